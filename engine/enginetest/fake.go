package enginetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"image"
	"image/png"
	"sync/atomic"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

// Fake is an engine that draws coloured noise at once: the hash of the request, as a tiny
// picture. It keeps the whole contract, is exact, and its zero value is ready. The fields
// are set before first use and not changed afterwards.
type Fake struct {
	// Delay is how long each step takes; 0: no time.
	Delay time.Duration

	// Fail, if not nil, is asked before each run; its error is Run's.
	Fail func(ctx context.Context, r engine.Request) error

	// Spoil, if not nil, may change each result: a miner that cheats.
	Spoil func(r engine.Request, result *engine.Result)

	runs atomic.Int64
}

var _ engine.Engine = (*Fake)(nil)

// FakeModel is Fake's only model.
func FakeModel() engine.Model {
	return engine.Model{
		Digest: essaim.DigestOf([]byte("fake-1")), Name: "fake-1", Kind: essaim.KindImage, Exact: true,
		Sizes:    []engine.Size{{Width: 8, Height: 8}, {Width: 32, Height: 16}},
		MinSteps: 1, MaxSteps: 8, Steps: 2,
	}
}

// Runs counts the calls of Run that were not refused.
func (f *Fake) Runs() int { return int(f.runs.Load()) }

// Name is "fake".
func (f *Fake) Name() string { return "fake" }

// Models is FakeModel.
func (f *Fake) Models(context.Context) ([]engine.Model, error) {
	return []engine.Model{FakeModel()}, nil
}

// Run paints the hash of prompt, seed and steps; one unit of work a step.
func (f *Fake) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	if r.Model != FakeModel().Digest {
		return engine.Result{}, fmt.Errorf("%w: fake has fake-1 only", engine.ErrNoModel)
	}
	r, err := FakeModel().Fit(r)
	if err != nil {
		return engine.Result{}, err
	}
	f.runs.Add(1)
	if f.Fail != nil {
		if err := f.Fail(ctx, r); err != nil {
			return engine.Result{}, err
		}
	}
	for i := range r.Steps {
		if err := f.wait(ctx); err != nil {
			return engine.Result{}, err
		}
		if progress != nil {
			p := engine.Progress{Step: i + 1, Steps: r.Steps}
			if r.Previews {
				p.Preview = paint(r)
			}
			progress(p)
		}
	}
	return f.result(r)
}

func (f *Fake) wait(ctx context.Context) error {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func (f *Fake) result(r engine.Request) (engine.Result, error) {
	picture := paint(r)
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		return engine.Result{}, fmt.Errorf("writing a PNG: %w", err)
	}
	result := engine.Result{
		MediaType: "image/png", Data: file.Bytes(), PixelsDigest: digest(picture),
		Steps: r.Steps, Units: uint64(r.Steps),
	}
	if f.Spoil != nil {
		f.Spoil(r, &result)
	}
	return result, nil
}

// paint fills a picture with SHA-256(prompt, seed, steps, row).
func paint(r engine.Request) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, r.Width, r.Height))
	key := binary.BigEndian.AppendUint64([]byte(r.Prompt), r.Seed)
	key = binary.BigEndian.AppendUint32(key, uint32(r.Steps))
	for y := range r.Height {
		h := sha256.Sum256(binary.BigEndian.AppendUint32(key, uint32(y)))
		for x := range r.Width {
			at := m.Pix[m.PixOffset(x, y):][:4]
			at[0], at[1], at[2], at[3] = h[x%32], h[(x+11)%32], h[(x+22)%32], 255
		}
	}
	return m
}
