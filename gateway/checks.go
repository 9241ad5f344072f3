package gateway

import (
	"context"
	"fmt"
	"net/http"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
)

// headerVerification says how far what is answered was checked: the receipt always, and what
// is known of an audit by now. The path of a task's checks tells the rest, and later.
const headerVerification = "X-Essaim-Verification"

// auditor is the coordinator as one that audits; nil: it does not.
func (g *Gateway) auditor() client.Auditor {
	a, _ := g.cfg.Coordinator.(client.Auditor)
	return a
}

// verification is the header's text for a task.
func (g *Gateway) verification(ctx context.Context, task essaim.Digest) string {
	a := g.auditor()
	if a == nil {
		return "receipt"
	}
	c, err := a.Checked(ctx, task)
	if err != nil {
		return "receipt"
	}
	return verification(c)
}

func verification(c essaim.Checked) string {
	text := fmt.Sprintf("receipt; audit=%q", string(c.State))
	if c.Height > 0 {
		text += fmt.Sprintf("; height=%d", c.Height)
	}
	for _, check := range c.Checks {
		if v, err := essaim.OpenVerdict(check.Verdict); err == nil {
			text += fmt.Sprintf("; %s=%s", v.Method, v.Result)
		}
	}
	return text
}

// checks tells what is known of a task's receipt beyond its signatures.
func (g *Gateway) checks(w http.ResponseWriter, r *http.Request) {
	a, d, err := g.audited(r)
	if err != nil {
		g.writeError(w, err)
		return
	}
	c, err := a.Checked(r.Context(), d)
	if err != nil {
		g.writeError(w, err)
		return
	}
	w.Header().Set(headerVerification, verification(c))
	allowAnyOrigin(w)
	writeJSON(w, http.StatusOK, c)
}

// shareInput takes an input that its client has sealed to a verifier.
func (g *Gateway) shareInput(w http.ResponseWriter, r *http.Request) {
	var body essaim.ShareBody
	a, d, err := g.audited(r)
	if err == nil {
		err = readJSON(w, r, maxSubmission, &body)
	}
	if err != nil {
		g.writeError(w, err)
		return
	}
	answer(g, w, func() (struct{}, error) { return struct{}{}, a.Share(r.Context(), d, body.Input) })
}

func (g *Gateway) audited(r *http.Request) (client.Auditor, essaim.Digest, error) {
	d, err := essaim.ParseDigest(r.PathValue("digest"))
	a := g.auditor()
	switch {
	case err != nil:
		return nil, d, essaim.Errorf(essaim.CodeBadInput, "a task's digest has 64 hex digits", "%.100q is not a digest", r.PathValue("digest"))
	case a == nil:
		return nil, d, essaim.Errorf(essaim.CodeNotFound, "", "this coordinator has no receipts audited")
	}
	return a, d, nil
}
