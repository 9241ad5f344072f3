package gateway_test

import (
	"strings"
	"testing"

	"github.com/essaim/essaim/censor"
	"github.com/essaim/essaim/gateway"
)

// TestFilter refuses before anything is asked of a miner or paid, in each dialect, and says neither
// what was found nor what was asked.
func TestFilter(t *testing.T) {
	no, err := censor.Parse("rotten quince")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *gateway.Config) { c.Filter = no })
	for path, body := range map[string]string{
		pathImages:               `{"prompt":"a Rotten, quince"}`,
		pathChat:                 `{"messages":[{"role":"user","content":"draw a rotten quince"}]}`,
		"/v1/responses":          `{"input":"a rotten quince"}`,
		"/v1/embeddings":         `{"input":["a pear","a rotten quince"]}`,
		"/api/chat":              `{"model":"talker-1","messages":[{"role":"user","content":"a rotten quince"}]}`,
		"/sdapi/v1/txt2img":      `{"prompt":"a rotten quince"}`,
		"/api/v2/generate/async": `{"prompt":"a rotten quince"}`,
	} {
		resp, b := r.send(t, "POST", path, body, r.auth()...)
		if resp.StatusCode != 400 || strings.Contains(string(b), "quince") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, b)
		}
		if strings.HasPrefix(path, "/v1/") && decode[failure](t, b).Error.Code != "content_policy_violation" {
			t.Errorf("%s: %s", path, b)
		}
	}
	if r.Submits() != 0 {
		t.Errorf("%d tasks", r.Submits())
	}
	if resp, b := r.draw(t, `{"prompt":"a quince"}`); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	r.books(t)
}
