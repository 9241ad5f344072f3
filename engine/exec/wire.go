package exec

import (
	"context"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// request is a line to the program.
type request struct {
	ID     uint64 `json:"id"`
	Method string `json:"method"` // "models", "run" or "cancel"

	// Of run.
	Model       string           `json:"model,omitempty"`
	Prompt      string           `json:"prompt,omitempty"`
	Messages    []engine.Message `json:"messages,omitempty"`
	Seed        uint64           `json:"seed"` // 31 bits
	Width       int              `json:"width,omitempty"`
	Height      int              `json:"height,omitempty"`
	Steps       int              `json:"steps,omitempty"`
	Temperature *float64         `json:"temperature,omitempty"`
	TopP        *float64         `json:"top_p,omitempty"`
	Stop        []string         `json:"stop,omitempty"`
	JSON        bool             `json:"json,omitempty"`
}

// reply is a line from the program: how far a request is, or how it ended.
type reply struct {
	ID    uint64 `json:"id"`
	Step  int    `json:"step"`
	Steps int    `json:"steps"`
	Text  string `json:"text"`

	Models []model `json:"models"`
	Result *result `json:"result"`
	Error  *fault  `json:"error"`
}

type model struct {
	Name     string      `json:"name"`
	Kind     essaim.Kind `json:"kind"`
	Source   string      `json:"source"` // of the weights, such as their digest
	Sizes    [][2]int    `json:"sizes"`
	MinSteps int         `json:"min_steps"`
	MaxSteps int         `json:"max_steps"`
	Steps    int         `json:"steps"` // default
}

type result struct {
	Finish    string    `json:"finish"` // of a chat, whose text has come before
	Read      uint64    `json:"read"`
	Written   uint64    `json:"written"`
	Embedding []float32 `json:"embedding"`
	Picture   []byte    `json:"picture"` // base64
}

type fault struct {
	Kind    string `json:"kind"`    // "bad_request", "no_model", or else it is the program's own
	Message string `json:"message"` // for people at the program; repeated nowhere
}

func (r reply) last() bool { return r.Result != nil || r.Error != nil || r.Models != nil }

// Models asks the program.
func (e *Engine) Models(ctx context.Context) ([]engine.Model, error) { return e.catalog.Models(ctx) }

func (e *Engine) list(ctx context.Context) ([]engine.Model, error) {
	limited, cancel := context.WithTimeout(ctx, firstTime)
	defer cancel()
	var list []model
	err := e.converse(limited, request{Method: "models"}, func(r reply) (bool, error) {
		list = r.Models
		return r.last(), r.err()
	})
	if limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: no list of models in %v", adapter.ErrBroken, firstTime)
	}
	if err != nil {
		return nil, err
	}
	var out []engine.Model
	for _, d := range list {
		meter := essaim.MeterToken
		switch d.Kind {
		case essaim.KindImage:
			meter = essaim.MeterPixelStep
		case essaim.KindChat, essaim.KindEmbed:
		default:
			continue // a newer program's
		}
		m := adapter.Describe(e.Name(), d.Name, d.Kind, meter, d.Source)
		if d.MaxSteps > 0 {
			m.MinSteps, m.MaxSteps, m.Steps = d.MinSteps, d.MaxSteps, d.Steps
		}
		for _, s := range d.Sizes {
			m.Sizes = append(m.Sizes, engine.Size{Width: s[0], Height: s[1]})
		}
		out = append(out, m)
	}
	return out, nil
}

func (r reply) err() error {
	switch {
	case r.Error == nil:
		return nil
	case r.Error.Kind == "bad_request":
		return fmt.Errorf("%w: the program refuses it", engine.ErrBadRequest)
	case r.Error.Kind == "no_model":
		return fmt.Errorf("%w: the program does not have it", engine.ErrNoModel)
	}
	return fmt.Errorf("%w: the program says that it has failed", adapter.ErrBroken)
}

// Run asks the program.
func (e *Engine) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	m, r, err := e.catalog.Fit(ctx, r)
	if err != nil {
		return engine.Result{}, err
	}
	q := request{Method: "run", Model: m.Name, Prompt: r.Prompt, Seed: adapter.Seed(r.Seed), Width: r.Width, Height: r.Height, Steps: r.Steps}
	if m.Kind == essaim.KindChat {
		c, err := engine.ParseChat(r.Prompt)
		if err != nil {
			return engine.Result{}, err
		}
		q.Prompt, q.Messages, q.Temperature, q.TopP, q.Stop, q.JSON = "", c.Messages, c.Temperature, c.TopP, c.Stop, c.JSON
	}
	var done result
	last, talk := 0, adapter.Talk{Progress: progress}
	err = e.converse(ctx, q, func(p reply) (bool, error) {
		if err := p.err(); err != nil {
			return true, err
		}
		if p.Result != nil {
			done = *p.Result
		}
		if m.Kind == essaim.KindChat {
			return p.last(), talk.Say(p.Text)
		}
		if progress != nil && p.Step > last && p.Step <= p.Steps {
			last = p.Step
			progress(engine.Progress{Step: p.Step, Steps: p.Steps})
		}
		return p.last(), nil
	})
	if err != nil {
		return engine.Result{}, err
	}
	switch m.Kind {
	case essaim.KindChat:
		return talk.Result(done.Finish, done.Read, done.Written, r), nil
	case essaim.KindEmbed:
		return adapter.Embedding(done.Embedding, done.Read, r)
	}
	return adapter.Picture(done.Picture, r, r.Steps)
}
