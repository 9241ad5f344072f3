package gateway_test

import (
	"context"
	"crypto/ed25519"
	"testing"

	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway"

	"github.com/essaim/essaim"
)

// auditing is a coordinator that has one check to show of whatever it delivers.
type auditing struct {
	client.Coordinator
	t      *testing.T
	known  essaim.Digest // the task that it knows; zero: all
	shared []byte
}

func (a *auditing) Checked(_ context.Context, task essaim.Digest) (essaim.Checked, error) {
	if !a.known.IsZero() && a.known != task {
		return essaim.Checked{}, essaim.Errorf(essaim.CodeNotFound, "", "no receipt of task %s was looked at here", task.Short())
	}
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		a.t.Error(err)
	}
	v := essaim.Verdict{Version: 1, ChainID: "essaim-test", Receipt: essaim.DigestOf([]byte("r")), Task: task, Verifier: essaim.NodeKey(public), Method: "rerun", Result: essaim.VerdictValid, Height: 9}
	signed, err := essaim.SignVerdict(v, key)
	if err != nil {
		a.t.Error(err)
	}
	return essaim.Checked{Task: task, State: essaim.AuditDone, Height: 9, Share: 500, Checks: []essaim.Check{{Verdict: signed}}}, nil
}

func (a *auditing) Share(_ context.Context, task essaim.Digest, sealed []byte) error {
	if a.known != task {
		return essaim.Errorf(essaim.CodeConflict, "", "the input of task %s is not asked for", task.Short())
	}
	a.shared = sealed
	return nil
}

const wantVerification = `receipt; audit="done"; height=9; rerun=valid`

// TestVerificationHeader: what is answered says how far it was checked.
func TestVerificationHeader(t *testing.T) {
	for want, change := range map[string]func(*gateway.Config){
		"receipt":        func(*gateway.Config) {},
		wantVerification: func(c *gateway.Config) { c.Coordinator = &auditing{Coordinator: c.Coordinator, t: t} },
	} {
		r := newRig(t, change)
		if resp, b := r.draw(t, `{"prompt":"a red apple","size":"32x32"}`); resp.Header.Get("x-essaim-verification") != want || resp.StatusCode != 200 {
			t.Errorf("%d, %q, want %q: %.200s", resp.StatusCode, resp.Header.Get("x-essaim-verification"), want, b)
		}
	}
}

// TestChecks: what was checked of a task, and its input for a verifier, over HTTP as in process.
func TestChecks(t *testing.T) {
	a := &auditing{t: t, known: essaim.DigestOf([]byte("task"))}
	r := newRig(t, func(c *gateway.Config) { a.Coordinator, c.Coordinator = c.Coordinator, a })
	resp, b := r.send(t, "GET", "/essaim/v1/tasks/"+a.known.String()+"/checks", "")
	if got := decode[essaim.Checked](t, b); resp.StatusCode != 200 || got.State != essaim.AuditDone || len(got.Checks) != 1 ||
		resp.Header.Get("x-essaim-verification") != wantVerification || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %v %+v", resp.StatusCode, resp.Header, got)
	}
	c, err := r.client.Checked(t.Context(), a.known)
	if err != nil || c.Task != a.known || c.Share != 500 {
		t.Errorf("%+v, %v", c, err)
	}
	stranger := essaim.DigestOf([]byte("another task"))
	_, err = r.client.Checked(t.Context(), stranger)
	wantCode(t, err, essaim.CodeNotFound)
	wantCode(t, r.client.Share(t.Context(), stranger, []byte("sealed")), essaim.CodeConflict)
	if err := r.client.Share(t.Context(), a.known, []byte("sealed")); err != nil || string(a.shared) != "sealed" {
		t.Errorf("shared %q, %v", a.shared, err)
	}
	for path, want := range map[string]int{"/essaim/v1/tasks/zero/checks": 400, "/essaim/v1/tasks/" + stranger.String() + "/checks": 404} {
		if resp, b := r.send(t, "GET", path, ""); resp.StatusCode != want {
			t.Errorf("%s: %d %s", path, resp.StatusCode, b)
		}
	}
	if resp, _ := r.send(t, "POST", "/essaim/v1/tasks/"+a.known.String()+"/checks", `{"input":3}`); resp.StatusCode != 400 {
		t.Errorf("a body of another shape: %d", resp.StatusCode)
	}
	_, err = newRig(t).client.Checked(t.Context(), a.known)
	wantCode(t, err, essaim.CodeNotFound) // as of a coordinator that audits nothing
}
