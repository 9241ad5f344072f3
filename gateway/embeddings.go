package gateway

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/gateway/apikey"
)

// maxTexts bounds the texts of one request for embeddings.
const maxTexts = 64

// embeddingsRequest is the body of POST /v1/embeddings.
type embeddingsRequest struct {
	Model      string    `json:"model"`
	Input      oneOrMore `json:"input"`
	Format     string    `json:"encoding_format"` // "float" or "base64"; "": float
	Dimensions *int      `json:"dimensions"`
}

type embeddingsResponse struct {
	Object string          `json:"object"`
	Data   []embeddingData `json:"data"`
	Model  string          `json:"model"`
	Usage  embeddingsUsage `json:"usage"`
	Essaim []*origin       `json:"essaim"`
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
func (g *Gateway) embeddings(w http.ResponseWriter, r *http.Request) {
	key, err := g.authenticate(r)
	var q embeddingsRequest
	if err == nil {
		err = readJSON(w, r, maxChatBody, &q)
	}
	switch {
	case err != nil:
	case q.Format != "" && q.Format != "float" && q.Format != "base64":
		err = essaim.Errorf(essaim.CodeBadInput, "float or base64", "encoding_format %q is not known", cut(q.Format))
	case q.Dimensions != nil:
		err = essaim.Errorf(essaim.CodeBadInput, "leave it out", "another number of dimensions is not offered here")
	}
	if err != nil {
		g.openAIFail(w, err)
		return
	}
	m, list, vectors, err := g.embed(r.Context(), key, q.Model, q.Input)
	if err != nil {
		g.openAIFail(w, err)
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
		out.Essaim = append(out.Essaim, list[i].origin())
	}
	out.Usage.Total = out.Usage.Prompt
	g.tell(w, list)
	writeJSON(w, http.StatusOK, out)
}

// embed has texts embedded, each as a task of its own.
func (g *Gateway) embed(ctx context.Context, key apikey.Key, model string, texts []string) (m essaim.ModelInfo, list []text, vectors [][]float32, err error) {
	if len(texts) == 0 || len(texts) > maxTexts {
		return m, nil, nil, essaim.Errorf(essaim.CodeBadInput, "ask several times", "%d texts, want 1 to %d", len(texts), maxTexts)
	}
	if m, err = g.modelOf(ctx, essaim.KindEmbed, model); err != nil {
		return m, nil, nil, err
	}
	var requests []client.Request
	for _, t := range texts {
		if err := essaim.KindEmbed.CheckPrompt(t); err != nil {
			return m, nil, nil, err
		}
		requests = append(requests, client.Embed(m, t))
	}
	if list, err = g.perform(ctx, key, requests); err != nil {
		return m, nil, nil, err
	}
	for _, t := range list {
		v, err := t.Vector()
		if err != nil {
			return m, nil, nil, err
		}
		vectors = append(vectors, v)
	}
	return m, list, vectors, nil
}
