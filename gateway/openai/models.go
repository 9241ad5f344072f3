package openai

import (
	"net/http"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/desk"
)

// The OpenAI dialect's list of models. It is as public as the essaim dialect's info,
// so it asks for no key.

type list struct {
	Object string  `json:"object"` // "list"
	Data   []model `json:"data"`
}

type model struct {
	ID      string           `json:"id"`
	Object  string           `json:"object"`  // "model"
	Created int64            `json:"created"` // required by clients; not known here
	OwnedBy string           `json:"owned_by"`
	Essaim  essaim.ModelInfo `json:"essaim"`
}

func (api *API) models(w http.ResponseWriter, r *http.Request) {
	models, err := api.desk.Models(r.Context())
	if err != nil {
		api.fail(w, err)
		return
	}
	out := list{Object: "list", Data: []model{}}
	for _, m := range models {
		out.Data = append(out.Data, describe(m))
	}
	desk.WriteJSON(w, http.StatusOK, out)
}

func (api *API) model(w http.ResponseWriter, r *http.Request) {
	m, err := api.desk.ModelOf(r.Context(), "", r.PathValue("id"))
	if err != nil {
		api.fail(w, err)
		return
	}
	desk.WriteJSON(w, http.StatusOK, describe(m))
}

func describe(m essaim.ModelInfo) model {
	return model{ID: m.Name, Object: "model", OwnedBy: "essaim", Essaim: m}
}
