package openai

import (
	"encoding/base64"
	"net/http"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/gateway/desk"
)

// embeddingsRequest is the body of POST /v1/embeddings.
type embeddingsRequest struct {
	Model      string         `json:"model"`
	Input      desk.OneOrMore `json:"input"`
	Format     string         `json:"encoding_format"` // "float" or "base64"; "": float
	Dimensions *int           `json:"dimensions"`
}

type embeddingsResponse struct {
	Object string          `json:"object"`
	Data   []embeddingData `json:"data"`
	Model  string          `json:"model"`
	Usage  embeddingsUsage `json:"usage"`
	Essaim []*desk.Origin  `json:"essaim"`
}

type embeddingData struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or base64 of them as little-endian bytes
}

// embeddingsUsage counts the tokens that were paid for.
type embeddingsUsage struct {
	Prompt uint64 `json:"prompt_tokens"`
	Total  uint64 `json:"total_tokens"`
}

// embeddings embeds texts for an API-key user.
func (api *API) embeddings(w http.ResponseWriter, r *http.Request) {
	key, err := api.desk.Admit(r)
	var q embeddingsRequest
	if err == nil {
		err = desk.ReadJSON(w, r, desk.MaxTexts, &q)
	}
	switch {
	case err != nil:
	case q.Format != "" && q.Format != "float" && q.Format != "base64":
		err = essaim.Errorf(essaim.CodeBadInput, "float or base64", "encoding_format %q is not known", cut(q.Format))
	case q.Dimensions != nil:
		err = essaim.Errorf(essaim.CodeBadInput, "leave it out", "another number of dimensions is not offered here")
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	m, list, vectors, err := api.desk.Embed(r.Context(), key, q.Model, q.Input)
	if err != nil {
		api.fail(w, err)
		return
	}
	out := embeddingsResponse{Object: "list", Model: m.Name}
	for i, v := range vectors {
		var e any = v
		if q.Format == "base64" {
			e = base64.StdEncoding.EncodeToString(engine.Floats(v))
		}
		out.Data = append(out.Data, embeddingData{"embedding", i, e})
		out.Usage.Prompt += list[i].Receipt.Units * essaim.PromptTokens
		out.Essaim = append(out.Essaim, list[i].Origin())
	}
	out.Usage.Total = out.Usage.Prompt
	desk.Tell(w, list)
	desk.WriteJSON(w, http.StatusOK, out)
}
