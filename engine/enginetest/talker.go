package enginetest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

// Talker is an engine that answers chats and embeds texts at once. It keeps the whole
// contract, its models are metered, and its zero value is ready. The fields are set before
// first use and not changed afterwards.
type Talker struct {
	// Delay is how long each word takes; 0: no time.
	Delay time.Duration

	// Spoil, if not nil, may change each result: a miner that cheats.
	Spoil func(r engine.Request, result *engine.Result)

	runs atomic.Int64
}

var _ engine.Engine = (*Talker)(nil)

// TalkerModels are the Talker's: a chat and an embedding.
func TalkerModels() []engine.Model {
	model := func(name string, kind essaim.Kind) engine.Model {
		manifest, err := json.Marshal(map[string]any{"name": name, "kind": kind, "engine": "talker", "licence": "Apache-2.0", "meter": essaim.MeterToken})
		if err != nil {
			panic(err)
		}
		return engine.Model{Digest: essaim.DigestOf(manifest), Manifest: manifest, Name: name, Kind: kind, Meter: essaim.MeterToken, Exact: true}
	}
	chat := model("talker-1", essaim.KindChat)
	chat.MinSteps, chat.MaxSteps, chat.Steps = 1, 1000, 100
	return []engine.Model{chat, model("talker-embed-1", essaim.KindEmbed)}
}

// Runs counts the calls of Run that were not refused.
func (f *Talker) Runs() int { return int(f.runs.Load()) }

// Name is "talker".
func (f *Talker) Name() string { return "talker" }

// Models is TalkerModels.
func (f *Talker) Models(context.Context) ([]engine.Model, error) { return TalkerModels(), nil }

// Run says "You said: " and the last message, a token a word, or embeds its prompt's hash.
func (f *Talker) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	for _, m := range TalkerModels() {
		if m.Digest != r.Model {
			continue
		}
		r, err := m.Fit(r)
		if err != nil {
			return engine.Result{}, err
		}
		if err := ctx.Err(); err != nil {
			return engine.Result{}, err
		}
		f.runs.Add(1)
		var out engine.Result
		if m.Kind == essaim.KindEmbed {
			out = embed(r.Prompt)
		} else if out, err = f.talk(ctx, r, progress); err != nil {
			return out, err
		}
		if f.Spoil != nil {
			f.Spoil(r, &out)
		}
		return out, nil
	}
	return engine.Result{}, fmt.Errorf("%w: talker has its own only", engine.ErrNoModel)
}

func embed(text string) engine.Result {
	h := sha256.Sum256([]byte(text))
	v := make([]float32, 8)
	for i := range v {
		v[i] = float32(h[i])/255 - 0.5
	}
	return engine.Result{MediaType: engine.MediaFloats, Data: engine.Floats(v), Units: essaim.TokenUnits(uint64(len(strings.Fields(text))), 0)}
}

func (f *Talker) talk(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	c, err := engine.ParseChat(r.Prompt)
	if err != nil {
		return engine.Result{}, err
	}
	a := engine.Answer{Finish: engine.FinishStop}
	for _, m := range c.Messages {
		a.Read += uint64(len(strings.Fields(m.Content)))
	}
	words := strings.SplitAfter("You said: "+c.Messages[len(c.Messages)-1].Content, " ")
	for i, w := range words {
		if i == r.Steps {
			a.Finish = engine.FinishLength
			break
		}
		if f.Delay > 0 {
			select {
			case <-time.After(f.Delay):
			case <-ctx.Done():
			}
		}
		if err := ctx.Err(); err != nil {
			return engine.Result{}, err
		}
		a.Content += w
		a.Written++
		if progress != nil {
			progress(engine.Progress{Step: i + 1, Text: w})
		}
	}
	return a.Result(), nil
}
