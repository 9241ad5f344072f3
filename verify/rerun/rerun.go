// Package rerun checks a result by running the task once more (V2).
//
// Of a model that is exact, the same task gives the same bits on every machine, and one
// bit of difference is a wrong result. Of other models machines differ a little, so
// pictures are compared within a tolerance, and what is neither alike nor different enough is
// unclear.
//
// It costs what the task cost and needs the prompt in the clear. It must not keep it.
package rerun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/verify"
)

// Name of the method.
const Name = "rerun"

// The bands of verify.PixelDistance for models that are not exact, and of what counts as
// near for those that are.
const (
	accept = 1_500 // up to one and a half levels of 256 a channel, in the mean, are noise
	reject = 6_000
)

// Method compares with what its runner gives.
type Method struct{ Runner verify.Runner }

// About describes the method.
func (Method) About() verify.About {
	return verify.About{
		Name: Name, Rung: "V2", For: "all tasks of models that the verifier has", Needs: "the input in the clear, the model",
		Proves: "the model gives this result, to the bit if it is exact, within the tolerance if not",
		Not:    "without exactness, that it was this model and not one that draws nearly the same",
		Cost:   "1 run", Score: "mean difference of a picture's channels in 1/1000 of a level of 256; numbers that differ in an embedding",
	}
}

// Check runs the task again.
func (m Method) Check(ctx context.Context, c verify.Case) (verify.Finding, error) {
	if err := c.Check(); err != nil {
		return verify.Bound(Name, err), nil
	}
	return m.Compare(ctx, c)
}

// Compare is Check for whoever knows the prompt and not the salt: it does not ask whether
// the input is the one that the task names, nor anything else that V0 asks.
func (m Method) Compare(ctx context.Context, c verify.Case) (verify.Finding, error) {
	again, err := m.Runner.Again(ctx, c)
	if errors.Is(err, verify.ErrNever) {
		return verify.Bound(Name, err), nil
	}
	if err != nil {
		return verify.Finding{}, err
	}
	if again.Steps != int(c.Receipt.Steps) {
		return verify.Bound(Name, fmt.Errorf("the receipt says %d steps, the model takes %d", c.Receipt.Steps, again.Steps)), nil
	}
	f := verify.Finding{Method: Name, Result: essaim.VerdictValid, Evidence: essaim.DigestOf(again.Output.Data)}
	compare := compareBytes
	if c.Task.Kind == essaim.KindImage {
		compare = comparePictures
	}
	if f, err = compare(f, c, again); err != nil || f.Result != essaim.VerdictValid {
		return f, err
	}
	if said := c.Receipt.Trace; again.Exact && !said.IsZero() && said != again.Trace {
		f.Result, f.Evidence, f.Reason = essaim.VerdictInvalid, again.Trace, "the result is right, the trace is not the model's"
	}
	return f, nil
}

func compareBytes(f verify.Finding, c verify.Case, again verify.Again) (verify.Finding, error) {
	if !again.Exact {
		return f, fmt.Errorf("%w: kind %s of a model that is not exact", verify.ErrCannot, c.Task.Kind)
	}
	got, want := c.Output.Data, again.Output.Data
	if bytes.Equal(got, want) && c.Output.MediaType == again.Output.MediaType {
		return f, nil
	}
	far := len(got) != len(want)
	for i := range min(len(got), len(want)) {
		d := int(int8(got[i])) - int(int8(want[i]))
		if d != 0 {
			f.Score++
		}
		far = far || max(d, -d) > 2
	}
	f.Result, f.Near = essaim.VerdictInvalid, !far
	f.Reason = fmt.Sprintf("%d of %d bytes are not what the model gives", f.Score, len(want))
	return f, nil
}

func comparePictures(f verify.Finding, c verify.Case, again verify.Again) (verify.Finding, error) {
	got, err := verify.Decode(c.Output)
	if err != nil {
		return verify.Bound(Name, err), nil
	}
	want, err := verify.Decode(again.Output)
	if err != nil {
		return f, fmt.Errorf("the rerun's picture: %w", err)
	}
	f.Evidence = verify.PixelsDigest(want)
	apart, ok := verify.PixelDistance(got, want)
	if !ok {
		return verify.Bound(Name, fmt.Errorf("the model draws %v, the picture is %v", want.Bounds().Size(), got.Bounds().Size())), nil
	}
	if f.Score = apart; apart == 0 {
		return f, nil
	}
	bits := verify.HashOf(got).Distance(verify.HashOf(want))
	f.Reason = fmt.Sprintf("the picture is %d.%03d levels a channel and %d of 64 hash bits from what the model draws", apart/1000, apart%1000, bits)
	alike := apart <= accept && bits <= verify.HashAccept
	switch {
	case alike && !again.Exact:
		f.Reason = ""
	case again.Exact || apart >= reject || bits >= verify.HashReject:
		f.Result, f.Near = essaim.VerdictInvalid, alike
	default:
		f.Result, f.Near = essaim.VerdictUnclear, true
	}
	return f, nil
}

// Engines is a Runner of engines. Use With.
type Engines struct {
	engines []engine.Engine

	mu    sync.Mutex
	found map[essaim.Digest]offer
}

type offer struct {
	engine engine.Engine
	model  engine.Model
}

// With makes a runner of these engines, which are asked for their models when first needed.
func With(engines ...engine.Engine) *Engines {
	return &Engines{engines: engines, found: map[essaim.Digest]offer{}}
}

// Again runs the task; see verify.Runner.
func (e *Engines) Again(ctx context.Context, c verify.Case) (verify.Again, error) {
	o, err := e.find(ctx, c.Task.Model)
	if err != nil {
		return verify.Again{}, err
	}
	result, err := o.engine.Run(ctx, Request(c), nil)
	if errors.Is(err, engine.ErrBadRequest) && o.model.Exact {
		return verify.Again{}, fmt.Errorf("%w: model %s refuses it", verify.ErrNever, o.model.Name) // not the engine's words, which may quote the prompt
	}
	if err != nil {
		return verify.Again{}, fmt.Errorf("rerun by %s: %w", o.engine.Name(), err)
	}
	return verify.Again{Output: essaim.Output{MediaType: result.MediaType, Data: result.Data}, Steps: result.Steps, Trace: result.Trace, Exact: o.model.Exact}, nil
}

// Request is what a case's task asks an engine for.
func Request(c verify.Case) engine.Request {
	return engine.Request{
		Model: c.Task.Model, Prompt: c.Input.Prompt, Seed: c.Task.Seed,
		Width: int(c.Task.Width), Height: int(c.Task.Height), Steps: int(c.Task.Steps), Trace: !c.Receipt.Trace.IsZero(),
	}
}

func (e *Engines) find(ctx context.Context, model essaim.Digest) (offer, error) {
	e.mu.Lock()
	o, ok := e.found[model]
	e.mu.Unlock()
	if ok {
		return o, nil
	}
	for _, one := range e.engines {
		models, err := one.Models(ctx)
		if err != nil {
			continue // another may have it
		}
		for _, m := range models {
			if m.Digest == model {
				e.mu.Lock()
				e.found[model] = offer{one, m}
				e.mu.Unlock()
				return offer{one, m}, nil
			}
		}
	}
	return offer{}, fmt.Errorf("%w: model %s is not here", verify.ErrCannot, model.Short())
}
