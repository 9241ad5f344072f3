// Package ollama is the driver of Ollama: chats, embeddings and, where its build draws, pictures.
//
// Ollama says what each of its models can do and names its weights by a digest, so the same model of
// two miners has the same digest here. A model that can be pulled is not a model that is there: the
// driver pulls nothing.
//
// The package must not use Ollama's OpenAI interface, which tells less.
package ollama

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// Name of the engine.
const Name = "ollama"

// maxModels bounds what one server may list.
const maxModels = 200

// Engine is one server. Use New.
type Engine struct {
	client  *adapter.Client
	catalog adapter.Catalog
}

var _ engine.Engine = (*Engine)(nil)

// New names a server, such as http://127.0.0.1:11434. Nothing is sent yet.
func New(address string) (*Engine, error) {
	client, err := adapter.Dial(address)
	if err != nil {
		return nil, err
	}
	e := &Engine{client: client}
	e.catalog.List = e.list
	return e, nil
}

// Name is "ollama".
func (e *Engine) Name() string { return Name }

// Close drops the connections that are not in use.
func (e *Engine) Close() error { e.client.Close(); return nil }

// Version is the server's own.
func (e *Engine) Version(ctx context.Context) (string, error) {
	var got struct{ Version string }
	err := e.client.Get(ctx, "/api/version", adapter.MaxSmall, &got)
	return got.Version, err
}

// Models asks the server for its models, and for each what it can do.
func (e *Engine) Models(ctx context.Context) ([]engine.Model, error) { return e.catalog.Models(ctx) }

func (e *Engine) list(ctx context.Context) ([]engine.Model, error) {
	var got struct {
		Models []struct{ Name, Digest string }
	}
	if err := e.client.Get(ctx, "/api/tags", adapter.MaxSmall, &got); err != nil {
		return nil, err
	}
	var out []engine.Model
	for _, t := range got.Models[:min(len(got.Models), maxModels)] {
		kind, meter, err := e.can(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		if t.Name == "" || kind == "" {
			continue
		}
		m := adapter.Describe(Name, t.Name, kind, meter, t.Digest)
		if kind == essaim.KindImage {
			m.Sizes, m.MinSteps, m.MaxSteps, m.Steps = adapter.Sizes(), 1, 50, 20
		}
		if !slices.ContainsFunc(out, func(o engine.Model) bool { return o.Digest == m.Digest }) {
			out = append(out, m)
		}
	}
	return out, nil
}

// can asks what a model does; no kind: nothing that is known here.
func (e *Engine) can(ctx context.Context, name string) (essaim.Kind, essaim.Meter, error) {
	var got struct{ Capabilities []string }
	if err := e.client.Post(ctx, "/api/show", map[string]string{"model": name}, adapter.MaxPicture, &got); err != nil {
		return "", "", err
	}
	has := func(c string) bool { return slices.Contains(got.Capabilities, c) }
	switch {
	case has("embedding"):
		return essaim.KindEmbed, essaim.MeterToken, nil
	case has("image"):
		return essaim.KindImage, essaim.MeterPixelStep, nil
	case has("completion"):
		return essaim.KindChat, essaim.MeterToken, nil
	}
	return "", "", nil
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
	return e.draw(ctx, m, r, progress)
}

type chatRequest struct {
	Model    string           `json:"model"`
	Messages []engine.Message `json:"messages"`
	Stream   bool             `json:"stream"`
	Think    bool             `json:"think"`
	Format   string           `json:"format,omitempty"`
	Options  options          `json:"options"`
}

type options struct {
	Predict     int      `json:"num_predict,omitempty"`
	Seed        uint64   `json:"seed"`
	Temperature *float64 `json:"temperature,omitempty"`
	TopP        *float64 `json:"top_p,omitempty"`
	Stop        []string `json:"stop,omitempty"`
}

type chatLine struct {
	Message struct{ Content string }
	Done    bool
	Reason  string `json:"done_reason"`
	Read    uint64 `json:"prompt_eval_count"`
	Written uint64 `json:"eval_count"`
	Error   string
}

func (e *Engine) chat(ctx context.Context, m engine.Model, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	c, err := engine.ParseChat(r.Prompt)
	if err != nil {
		return engine.Result{}, err
	}
	ask := chatRequest{Model: m.Name, Messages: c.Messages, Stream: true, Options: options{
		Predict: r.Steps, Seed: adapter.Seed(r.Seed), Temperature: c.Temperature, TopP: c.TopP, Stop: c.Stop,
	}}
	if c.JSON {
		ask.Format = "json"
	}
	var last chatLine
	talk := adapter.Talk{Progress: progress}
	err = e.client.Lines(ctx, "/api/chat", ask, func(line []byte) (bool, error) {
		var part chatLine
		if json.Unmarshal(line, &part) != nil || part.Error != "" {
			return true, fmt.Errorf("%w: an error in the stream", adapter.ErrBroken)
		}
		last = part
		return part.Done, talk.Say(part.Message.Content)
	})
	if err != nil {
		return engine.Result{}, err
	}
	return talk.Result(last.Reason, last.Read, last.Written, r), nil
}

func (e *Engine) embed(ctx context.Context, m engine.Model, r engine.Request) (engine.Result, error) {
	var got struct {
		Embeddings [][]float32
		Read       uint64 `json:"prompt_eval_count"`
	}
	// Without truncate a text that is too long is refused, and not embedded in part.
	ask := map[string]any{"model": m.Name, "input": r.Prompt, "truncate": false}
	if err := e.client.Post(ctx, "/api/embed", ask, adapter.MaxSmall, &got); err != nil {
		return engine.Result{}, err
	}
	if len(got.Embeddings) != 1 {
		return engine.Result{}, fmt.Errorf("%w: %d embeddings of one text", adapter.ErrBroken, len(got.Embeddings))
	}
	return adapter.Embedding(got.Embeddings[0], got.Read, r)
}

// draw uses Ollama's own interface for pictures, which it calls experimental.
func (e *Engine) draw(ctx context.Context, m engine.Model, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	ask := map[string]any{
		"model": m.Name, "prompt": r.Prompt, "width": r.Width, "height": r.Height, "steps": r.Steps, "stream": true,
		"options": options{Seed: adapter.Seed(r.Seed)},
	}
	last, picture := 0, ""
	err := e.client.Pictures(ctx, "/api/generate", ask, func(line []byte) (bool, error) {
		var part struct {
			Image, Error     string
			Completed, Total int
			Done             bool
		}
		if json.Unmarshal(line, &part) != nil || part.Error != "" {
			return true, fmt.Errorf("%w: an error in the stream", adapter.ErrBroken)
		}
		if progress != nil && part.Completed > last && part.Completed <= part.Total {
			progress(engine.Progress{Step: part.Completed, Steps: part.Total})
			last = part.Completed
		}
		picture = part.Image
		return part.Done, nil
	})
	if err != nil {
		return engine.Result{}, err
	}
	file, err := base64.StdEncoding.DecodeString(picture)
	if err != nil {
		return engine.Result{}, fmt.Errorf("%w: the picture is not base64", adapter.ErrBroken)
	}
	return adapter.Picture(file, r, r.Steps)
}
