package web

import (
	"context"
	"net/http"

	"github.com/essaim/essaim/client"
)

// View answers a question about the ledger with something that JSON can hold. value is a part of the path, by its
// name.
//
// Errors: CodeBadInput, CodeNotFound, CodeUnavailable.
type View func(ctx context.Context, value func(name string) string) (any, error)

func (p *Page) view(path string, v View) {
	p.mux.HandleFunc("GET "+client.PathLedger+path, func(w http.ResponseWriter, r *http.Request) {
		out, err := v(r.Context(), r.PathValue)
		p.answer(w, out, err)
	})
}
