// Package openai is the driver of engines that speak OpenAI's interface: llama.cpp's server, vLLM,
// LocalAI, the server of stable-diffusion.cpp, LM Studio and others.
//
// Chats are streamed, embeddings are asked for as numbers, pictures as base64. The interface does
// not say what a model is for: its name is a guess at it, and the driver's address can say better
// (New). It does not name the weights either, so a model is only as much the same elsewhere as its
// name is. Of stable-diffusion.cpp the driver knows more (sdcpp.go).
//
// The package must not ask for anything that is not in the documented fields, besides a seed, which
// servers without it pass over.
package openai

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"path"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// Name of the engine.
const Name = "openai"

// maxModels bounds what one server may list.
const maxModels = 1000

// Engine is one server. Use New.
type Engine struct {
	client        *adapter.Client
	catalog       adapter.Catalog
	embeds, draws []string
	sizes         []engine.Size
}

var _ engine.Engine = (*Engine)(nil)

// New names a server, such as http://127.0.0.1:8080 or, with a key, with patterns of the models that embed and that draw, and
// with the sizes that those draw, http://:KEY@127.0.0.1:8080?embed=bge*&draw=sd*&sizes=512x512,768x768. Nothing is sent yet.
func New(address string) (*Engine, error) {
	client, err := adapter.Dial(address)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("engine %s: the address is no URL", Name)
	}
	sizes, err := adapter.SizesAt(address)
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", Name, err)
	}
	e := &Engine{client: client, embeds: u.Query()["embed"], draws: u.Query()["draw"], sizes: sizes}
	for _, p := range append(e.embeds, e.draws...) {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("engine %s: the address has a bad pattern", Name)
		}
	}
	e.catalog.List = e.list
	return e, nil
}

// Name is "openai".
func (e *Engine) Name() string { return Name }

// Close drops the connections that are not in use.
func (e *Engine) Close() error { e.client.Close(); return nil }

// Models asks the server.
func (e *Engine) Models(ctx context.Context) ([]engine.Model, error) { return e.catalog.Models(ctx) }

func (e *Engine) list(ctx context.Context) ([]engine.Model, error) {
	var got struct {
		Data []struct {
			ID   string `json:"id"`
			Max  int    `json:"max_model_len"` // vLLM's
			Meta struct {
				Context int `json:"n_ctx"` // llama.cpp's
			} `json:"meta"`
		} `json:"data"`
	}
	if err := e.client.Get(ctx, "/v1/models", adapter.MaxSmall, &got); err != nil {
		return nil, err
	}
	var out []engine.Model
	seen := map[string]bool{}
	for _, d := range got.Data[:min(len(got.Data), maxModels)] {
		if d.ID == "" || seen[d.ID] {
			continue
		}
		seen[d.ID] = true
		if d.ID == sdcpp {
			m, err := e.weights(ctx)
			if err != nil {
				return nil, err
			}
			out = append(out, m)
			continue
		}
		meter, kind := essaim.MeterToken, adapter.Guess(d.ID, e.embeds, e.draws)
		if kind == essaim.KindImage {
			meter = essaim.MeterPixelStep
		}
		m := adapter.Describe(Name, d.ID, kind, meter, "")
		if kind == essaim.KindImage {
			m.Sizes = e.sizes
		}
		if most := cmp.Or(d.Max, d.Meta.Context); kind == essaim.KindChat && most > 0 {
			m.MaxSteps = min(m.MaxSteps, most)
			m.Steps = min(m.Steps, most)
		}
		out = append(out, m)
	}
	return out, nil
}

// Run asks the server.
func (e *Engine) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	m, r, err := e.catalog.Fit(ctx, r)
	if err != nil {
		return engine.Result{}, err
	}
	switch m.Kind {
	case essaim.KindChat:
		return e.chat(ctx, m, r, progress)
	case essaim.KindEmbed:
		return e.embed(ctx, m, r)
	}
	return e.draw(ctx, m, r)
}

type chatRequest struct {
	Model         string           `json:"model"`
	Messages      []engine.Message `json:"messages"`
	MaxTokens     int              `json:"max_tokens"`
	Seed          uint64           `json:"seed"`
	Temperature   *float64         `json:"temperature,omitempty"`
	TopP          *float64         `json:"top_p,omitempty"`
	Stop          []string         `json:"stop,omitempty"`
	Format        *format          `json:"response_format,omitempty"`
	Stream        bool             `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

type format struct {
	Type string `json:"type"`
}

type chunk struct {
	Choices []struct {
		Delta  struct{ Content *string }
		Finish *string `json:"finish_reason"`
	}
	Usage *usage
	Error json.RawMessage
}

type usage struct {
	Prompt     uint64 `json:"prompt_tokens"`
	Completion uint64 `json:"completion_tokens"`
}

func (e *Engine) chat(ctx context.Context, m engine.Model, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	c, err := engine.ParseChat(r.Prompt)
	if err != nil {
		return engine.Result{}, err
	}
	ask := chatRequest{
		Model: m.Name, Messages: c.Messages, MaxTokens: r.Steps, Seed: adapter.Seed(r.Seed),
		Temperature: c.Temperature, TopP: c.TopP, Stop: c.Stop, Stream: true,
	}
	ask.StreamOptions.IncludeUsage = true
	if c.JSON {
		ask.Format = &format{"json_object"}
	}
	var count usage
	finish, talk := "", adapter.Talk{Progress: progress}
	err = e.client.Lines(ctx, "/v1/chat/completions", ask, func(line []byte) (bool, error) {
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if data = bytes.TrimSpace(data); !ok { // a comment, or the event's name
			return false, nil
		}
		if string(data) == "[DONE]" {
			if finish == "" {
				return true, fmt.Errorf("%w: the answer does not say why it ended", adapter.ErrBroken)
			}
			return true, nil
		}
		var part chunk
		if json.Unmarshal(data, &part) != nil || len(part.Error) > 0 && string(part.Error) != "null" {
			return true, fmt.Errorf("%w: an error in the stream", adapter.ErrBroken)
		}
		if part.Usage != nil {
			count = *part.Usage
		}
		if len(part.Choices) == 0 {
			return false, nil
		}
		if f := part.Choices[0].Finish; f != nil {
			finish = *f
		}
		if text := part.Choices[0].Delta.Content; text != nil {
			return false, talk.Say(*text)
		}
		return false, nil
	})
	if err != nil {
		return engine.Result{}, err
	}
	return talk.Result(finish, count.Prompt, count.Completion, r), nil
}

func (e *Engine) embed(ctx context.Context, m engine.Model, r engine.Request) (engine.Result, error) {
	var got struct {
		Data  []struct{ Embedding []float32 }
		Usage usage
	}
	ask := map[string]any{"model": m.Name, "input": r.Prompt, "encoding_format": "float"}
	if err := e.client.Post(ctx, "/v1/embeddings", ask, adapter.MaxSmall, &got); err != nil {
		return engine.Result{}, err
	}
	if len(got.Data) != 1 {
		return engine.Result{}, fmt.Errorf("%w: %d embeddings of one text", adapter.ErrBroken, len(got.Data))
	}
	return adapter.Embedding(got.Data[0].Embedding, got.Usage.Prompt, r)
}

func (e *Engine) draw(ctx context.Context, m engine.Model, r engine.Request) (engine.Result, error) {
	var got struct {
		Data []struct {
			B64 string `json:"b64_json"`
		}
	}
	prompt, err := e.order(ctx, m, r)
	if err != nil {
		return engine.Result{}, err
	}
	ask := map[string]any{
		"model": m.Name, "prompt": prompt, "n": 1, "size": engine.Size{Width: r.Width, Height: r.Height}.String(),
		"response_format": "b64_json", "seed": adapter.Seed(r.Seed),
	}
	if err := e.client.Post(ctx, "/v1/images/generations", ask, adapter.MaxPicture, &got); err != nil {
		return engine.Result{}, err
	}
	if len(got.Data) != 1 {
		return engine.Result{}, fmt.Errorf("%w: %d pictures, one was asked for", adapter.ErrBroken, len(got.Data))
	}
	file, err := base64.StdEncoding.DecodeString(got.Data[0].B64)
	if err != nil {
		return engine.Result{}, fmt.Errorf("%w: the picture is not base64", adapter.ErrBroken)
	}
	return adapter.Picture(file, r, r.Steps)
}
