package mining

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/all"
)

const (
	benchFile   = "bench.json"
	benchTime   = 2 * time.Minute // for one model
	benchTokens = 16              // that a chat writes
)

// bench is how fast the models are on this machine, each measured once.
type bench struct {
	path string
	list map[string]measured // by model and the engine's version
}

type measured struct {
	Name    string    `json:"name"`
	Units   uint64    `json:"units"`
	Seconds float64   `json:"seconds"`
	At      time.Time `json:"at"`
}

func openBench(dir string) (*bench, error) {
	b := &bench{path: filepath.Join(dir, benchFile), list: map[string]measured{}}
	raw, err := os.ReadFile(b.path)
	if errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &b.list)
	}
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "delete the file to measure anew", "read %s: %w", b.path, err)
	}
	return b, nil
}

// rate is how many units of a model an engine does in a second.
func (b *bench) rate(ctx context.Context, f all.Found, model essaim.Digest) (float64, error) {
	key := model.String() + " " + f.Version
	m, ok := b.list[key]
	if !ok {
		var err error
		if m, err = measure(ctx, f, model); err != nil {
			return 0, err
		}
		b.list[key] = m
		if err := b.save(); err != nil {
			return 0, err
		}
	}
	return float64(m.Units) / max(m.Seconds, 1e-6), nil
}

func (b *bench) save() error {
	raw, err := json.MarshalIndent(b.list, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.path+".new", append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(b.path+".new", b.path)
}

// measure runs a model twice: the first time an engine may have to load it.
func measure(ctx context.Context, f all.Found, digest essaim.Digest) (out measured, err error) {
	ctx, cancel := context.WithTimeout(ctx, benchTime)
	defer cancel()
	d, err := all.Find(f.Driver)
	if err != nil {
		return out, err
	}
	e, err := d.Open(f.Address)
	if err != nil {
		return out, err
	}
	if c, ok := e.(io.Closer); ok {
		defer func() { err = errors.Join(err, c.Close()) }()
	}
	list, err := e.Models(ctx)
	if err != nil {
		return out, err
	}
	for _, m := range list {
		if m.Digest != digest {
			continue
		}
		r, err := sample(m)
		if err != nil {
			return out, err
		}
		for range 2 {
			began := time.Now()
			result, err := e.Run(ctx, r, nil)
			if err != nil {
				return out, err
			}
			out = measured{m.Name, result.Units, time.Since(began).Seconds(), began.UTC()}
		}
		return out, nil
	}
	return out, fmt.Errorf("the engine does not have the model any more")
}

// sample is what a model is measured with.
func sample(m engine.Model) (engine.Request, error) {
	r := engine.Request{Model: m.Digest, Prompt: "a red apple", Seed: 1}
	if m.Kind == essaim.KindChat {
		r.Prompt = engine.Chat{Messages: []engine.Message{{Role: "user", Content: "Count to ten."}}}.Encode()
		r.Steps = min(benchTokens, max(m.MaxSteps, 1))
	}
	return m.Fit(r)
}
