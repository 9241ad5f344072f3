package gateway

import (
	"net/http"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/desk"
)

// auditor is the coordinator as one that audits; nil: it does not.
func (g *Gateway) auditor() client.Auditor {
	a, _ := g.cfg.Coordinator.(client.Auditor)
	return a
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
	w.Header().Set(desk.HeaderVerification, desk.VerificationOf(c))
	allowAnyOrigin(w)
	desk.WriteJSON(w, http.StatusOK, c)
}

// shareInput takes an input that its client has sealed to a verifier.
func (g *Gateway) shareInput(w http.ResponseWriter, r *http.Request) {
	var body essaim.ShareBody
	a, d, err := g.audited(r)
	if err == nil {
		err = desk.ReadJSON(w, r, maxSubmission, &body)
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
