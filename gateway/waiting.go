package gateway

import (
	"net/http"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/standing"
)

// standing tells how a task under way stands.
func (g *Gateway) standing(w http.ResponseWriter, r *http.Request) {
	c, d, err := g.waiting(r)
	if err != nil {
		g.writeError(w, err)
		return
	}
	answer(g, w, func() (standing.Standing, error) { return c.Standing(r.Context(), d) })
}

// cancel takes a task back for who has its session's key.
func (g *Gateway) cancel(w http.ResponseWriter, r *http.Request) {
	var body client.CancelBody
	c, d, err := g.waiting(r)
	if err == nil {
		err = desk.ReadJSON(w, r, desk.MaxSmall, &body)
	}
	if err != nil {
		g.writeError(w, err)
		return
	}
	answer(g, w, func() (struct{}, error) { return struct{}{}, c.Cancel(r.Context(), d, body.Signature) })
}

func (g *Gateway) waiting(r *http.Request) (client.Waiting, essaim.Digest, error) {
	d, err := essaim.ParseDigest(r.PathValue("digest"))
	c, ok := g.cfg.Coordinator.(client.Waiting)
	switch {
	case err != nil:
		return nil, d, essaim.Errorf(essaim.CodeBadInput, "a task's digest has 64 hex digits", "%.100q is not a digest", r.PathValue("digest"))
	case !ok:
		return nil, d, essaim.Errorf(essaim.CodeNotFound, "", "this coordinator does not tell how tasks stand")
	}
	return c, d, nil
}
