package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/essaim/essaim"
)

// The OpenAI dialect's list of models. It is as public as the essaim dialect's info,
// so it asks for no key.

// latest is the tag that Ollama's clients mean when they give none.
const latest = ":latest"

type openAIModels struct {
	Object string        `json:"object"` // "list"
	Data   []openAIModel `json:"data"`
}

type openAIModel struct {
	ID      string           `json:"id"`
	Object  string           `json:"object"`  // "model"
	Created int64            `json:"created"` // required by clients; not known here
	OwnedBy string           `json:"owned_by"`
	Essaim  essaim.ModelInfo `json:"essaim"`
}

func (g *Gateway) models(w http.ResponseWriter, r *http.Request) {
	info, err := g.cfg.Coordinator.Info(r.Context())
	if err != nil {
		g.openAIFail(w, err)
		return
	}
	out := openAIModels{Object: "list", Data: []openAIModel{}}
	for _, m := range info.Models {
		out.Data = append(out.Data, describe(m))
	}
	writeJSON(w, http.StatusOK, out)
}

func (g *Gateway) model(w http.ResponseWriter, r *http.Request) {
	m, err := g.modelOf(r.Context(), "", r.PathValue("id"))
	if err != nil {
		g.openAIFail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, describe(m))
}

func describe(m essaim.ModelInfo) openAIModel {
	return openAIModel{ID: m.Name, Object: "model", OwnedBy: "essaim", Essaim: m}
}

// modelOf finds a model of a kind, or of any, by its digest or name; the empty name is the first
// one's. Of several with one name the first is meant: the digest is never ambiguous. The tag that
// Ollama's clients put behind a name may be missing in it.
//
// Errors: CodeNotFound, CodeUnavailable if there is no model at all.
func (g *Gateway) modelOf(ctx context.Context, kind essaim.Kind, name string) (essaim.ModelInfo, error) {
	info, err := g.cfg.Coordinator.Info(ctx)
	if err != nil {
		return essaim.ModelInfo{}, err
	}
	var names []string
	for _, m := range info.Models {
		if kind != "" && m.Kind != kind {
			continue
		}
		if name == "" || name == m.Name || name == m.Digest.String() || strings.TrimSuffix(name, latest) == strings.TrimSuffix(m.Name, latest) {
			return m, nil
		}
		names = append(names, m.Name)
	}
	if len(names) == 0 {
		return essaim.ModelInfo{}, essaim.Errorf(essaim.CodeUnavailable, "try later", "no miner is connected that does this")
	}
	return essaim.ModelInfo{}, essaim.Errorf(essaim.CodeNotFound, "on offer: "+strings.Join(names, ", "), "model %.100q is not on offer", name)
}
