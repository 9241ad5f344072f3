package proving

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/essaim/essaim"
)

// TestConvictAsJSON: one object, whether the miner is convicted or not; the exit code says which.
func TestConvictAsJSON(t *testing.T) {
	no, shown := errors.New("no"), errors.New("shown")
	for _, slash := range []uint64{0, 7} {
		var out bytes.Buffer
		s := &Shell{Stdout: &out, JSON: func() bool { return true }, No: func(error) error { return no }, Shown: func(err error) error { return errors.Join(shown, err) }}
		err := tell(s, essaim.Dispute{ID: 1, Slash: slash}, essaim.Tx{})
		if convicted := slash != 0; convicted != (err == nil) || !convicted && !(errors.Is(err, no) && errors.Is(err, shown)) {
			t.Errorf("slash %d: %v", slash, err)
		}
		var v struct{ Dispute essaim.Dispute }
		if err := json.Unmarshal(out.Bytes(), &v); err != nil || v.Dispute.Slash != slash {
			t.Errorf("slash %d: %v\n%s", slash, err, out.String())
		}
	}
}
