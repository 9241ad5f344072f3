package gateway

import (
	"net/http"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/desk"
)

func (g *Gateway) info(w http.ResponseWriter, r *http.Request) {
	info, err := g.cfg.Coordinator.Info(r.Context())
	if err != nil {
		g.writeError(w, err)
		return
	}
	if info.LedgerURL == "" {
		info.LedgerURL = g.cfg.LedgerURL
	}
	allowAnyOrigin(w)
	desk.WriteJSON(w, http.StatusOK, info)
}

func (g *Gateway) quote(w http.ResponseWriter, r *http.Request) {
	var q essaim.QuoteRequest
	if err := desk.ReadJSON(w, r, desk.MaxSmall, &q); err != nil {
		g.writeError(w, err)
		return
	}
	answer(g, w, func() (essaim.Quote, error) { return g.cfg.Coordinator.Quote(r.Context(), q) })
}

func (g *Gateway) task(w http.ResponseWriter, r *http.Request) {
	d, err := essaim.ParseDigest(r.PathValue("digest"))
	if err != nil {
		g.writeError(w, essaim.Errorf(essaim.CodeBadInput, "a task's digest has 64 hex digits", "%.100q is not a digest", r.PathValue("digest")))
		return
	}
	answer(g, w, func() (essaim.TaskRecord, error) { return g.cfg.Coordinator.Task(r.Context(), d) })
}

func (g *Gateway) acknowledge(w http.ResponseWriter, r *http.Request) {
	var body client.VoucherBody
	if err := desk.ReadJSON(w, r, desk.MaxSmall, &body); err != nil {
		g.writeError(w, err)
		return
	}
	answer(g, w, func() (struct{}, error) { return struct{}{}, g.cfg.Coordinator.Acknowledge(r.Context(), body.Voucher) })
}

func (g *Gateway) closeSession(w http.ResponseWriter, r *http.Request) {
	var body client.CloseBody
	if err := desk.ReadJSON(w, r, desk.MaxSmall, &body); err != nil {
		g.writeError(w, err)
		return
	}
	answer(g, w, func() (essaim.Settled, error) { return g.cfg.Coordinator.Close(r.Context(), body.Close) })
}

func answer[T any](g *Gateway, w http.ResponseWriter, ask func() (T, error)) {
	out, err := ask()
	if err != nil {
		g.writeError(w, err)
		return
	}
	desk.WriteJSON(w, http.StatusOK, out)
}
