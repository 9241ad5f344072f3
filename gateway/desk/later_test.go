package desk_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/standing"
)

// TestTellLater: an answer says when to come again, in whole seconds, if that may help.
func TestTellLater(t *testing.T) {
	full := essaim.Errorf(essaim.CodeUnavailable, "", "full")
	busy := essaim.Errorf(essaim.CodeUnavailable, "", "17 requests: %w", apikey.ErrBusy)
	for _, c := range []struct {
		err    error
		status int
		want   string
	}{
		{full, 503, "1"}, {standing.Later(full, 0), 503, "1"}, {standing.Later(full, time.Millisecond), 503, "1"}, {standing.Later(full, time.Second), 503, "1"},
		{standing.Later(full, 1001*time.Millisecond), 503, "2"}, {standing.Later(full, time.Minute), 503, "60"}, {standing.Later(full, -time.Second), 503, "1"},
		{essaim.Errorf(essaim.CodeUnavailable, "", "no miner is left: %w", standing.Later(full, 7*time.Second)), 503, "7"},
		{fmt.Errorf("drawing: %w", standing.Later(full, 7*time.Second)), 503, "7"},
		{busy, 429, "1"}, {standing.Later(busy, 59*time.Minute+time.Second/2), 429, "3541"},
		{essaim.Errorf(essaim.CodeBadInput, "", "wrong"), 400, ""}, {standing.Later(essaim.Errorf(essaim.CodeInsufficient, "", "poor"), time.Second), 402, ""},
	} {
		w := httptest.NewRecorder()
		desk.TellLater(w, c.err)
		if status, _ := desk.FaultOf(c.err); status != c.status || w.Header().Get("Retry-After") != c.want {
			t.Errorf("%v: %d, Retry-After %q, want %d, %q", c.err, status, w.Header().Get("Retry-After"), c.status, c.want)
		}
	}
}
