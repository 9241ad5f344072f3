package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/gateway/apikey"
)

// maxTexts bounds the texts of one request for embeddings.
const maxTexts = 64

// OneOrMore is a text or an array of texts, as several dialects have them.
type OneOrMore []string

// UnmarshalJSON reads either.
func (o *OneOrMore) UnmarshalJSON(b []byte) error {
	var one *string
	if json.Unmarshal(b, &one) == nil {
		if one != nil {
			*o = OneOrMore{*one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// Chat finds the model and fits a conversation to it. most bounds the tokens that are
// written; 0: as the model has it. A nil seed: any.
//
// Errors: CodeBadInput, CodeNotFound, CodeUnavailable.
func (d *Desk) Chat(ctx context.Context, model string, c engine.Chat, most uint32, seed *uint64) (essaim.ModelInfo, client.Request, error) {
	m, err := d.ModelOf(ctx, essaim.KindChat, model)
	if err != nil {
		return m, client.Request{}, err
	}
	r, err := client.Chat(m, c, most)
	if err != nil {
		return m, r, err
	}
	if err := d.checkPrompt(r.Kind, r.Prompt); err != nil {
		return m, r, err
	}
	if r.Steps > uint32(m.MaxSteps) {
		return m, r, essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("at most %d", m.MaxSteps), "model %s does not write %d tokens", m.Name, r.Steps)
	}
	r.Conversation = d.conversation(m.Digest, c)
	if r.Seed = newSeed(); seed != nil {
		r.Seed = *seed
	}
	return m, r, nil
}

// Embed has texts embedded, each as a task of its own.
func (d *Desk) Embed(ctx context.Context, key apikey.Key, model string, texts []string) (m essaim.ModelInfo, list []Text, vectors [][]float32, err error) {
	if len(texts) == 0 || len(texts) > maxTexts {
		return m, nil, nil, essaim.Errorf(essaim.CodeBadInput, "ask several times", "%d texts, want 1 to %d", len(texts), maxTexts)
	}
	if m, err = d.ModelOf(ctx, essaim.KindEmbed, model); err != nil {
		return m, nil, nil, err
	}
	var requests []client.Request
	for _, t := range texts {
		if err := d.checkPrompt(essaim.KindEmbed, t); err != nil {
			return m, nil, nil, err
		}
		requests = append(requests, client.Embed(m, t))
	}
	if list, err = d.Perform(ctx, key, requests); err != nil {
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

// Tell says in an answer's header what its tasks were.
func Tell(w http.ResponseWriter, list []Text) {
	var receipts, miners []string
	var cost essaim.Amount
	for _, t := range list {
		receipts, miners = append(receipts, t.File), append(miners, t.Receipt.Miner.String())
		cost += t.Receipt.Price
	}
	w.Header().Set("X-Essaim-Receipt", strings.Join(receipts, ", "))
	w.Header().Set("X-Essaim-Miner", strings.Join(miners, ", "))
	w.Header().Set("X-Essaim-Cost", strconv.FormatUint(uint64(cost), 10))
}
