package freivalds

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/verify"
)

// Name of the method.
const Name = "freivalds"

// Walker is an engine that goes through a run's operators without computing those that
// are given.
type Walker interface {
	engine.Engine
	Walk(ctx context.Context, r engine.Request, given func(quant.Op) (quant.Value, bool), watch func(quant.Op)) error
}

// Method checks a case's trace with engines that have its model. Use New.
type Method struct {
	walkers []Walker

	mu   sync.Mutex
	keys map[*quant.Matrix]*Key // kept: making one costs as much as a product
}

// New makes a method of engines. Their keys are drawn when first needed.
func New(walkers ...Walker) *Method {
	return &Method{walkers: walkers, keys: map[*quant.Matrix]*Key{}}
}

// About describes the method.
func (*Method) About() verify.About {
	return verify.About{
		Name: Name, Rung: "V3", For: "tasks of models that compute in integers", Needs: "the input in the clear, the model, the trace with its numbers",
		Proves: "each operator of the trace is right, products but for a chance of 2⁻³¹, and the result is the last one's",
		Not:    "nothing else is open",
		Cost:   "the other operators, and for a product of n × n a share of 2/n of its multiplications", Score: "number of the first operator that is wrong",
	}
}

// Check walks through the run. It compares each operator's record with the trace's, but
// takes products from the trace and checks them.
func (m *Method) Check(ctx context.Context, c verify.Case) (verify.Finding, error) {
	if err := c.Check(); err != nil {
		return verify.Bound(Name, err), nil
	}
	w, err := m.find(ctx, c.Task.Model)
	if err != nil {
		return verify.Finding{}, err
	}
	if len(c.Trace) == 0 {
		return verify.Finding{}, fmt.Errorf("%w: the miner shows no trace", verify.ErrCannot)
	}
	inner, stop := context.WithCancel(ctx)
	defer stop()
	r := reader{method: m, rest: c.Trace, stop: stop}
	err = w.Walk(inner, engine.Request{
		Model: c.Task.Model, Prompt: c.Input.Prompt, Seed: c.Task.Seed,
		Width: int(c.Task.Width), Height: int(c.Task.Height), Steps: int(c.Task.Steps),
	}, r.given, r.watch)
	switch {
	case r.failed != nil:
		return verify.Finding{}, r.failed
	case r.wrong != 0:
		f := verify.Bound(Name, fmt.Errorf("operator %d of the trace is not what the model gives: %s", r.wrong, r.why))
		f.Score = uint64(r.wrong)
		return f, nil
	case errors.Is(err, engine.ErrBadRequest):
		return verify.Bound(Name, fmt.Errorf("%w: the model refuses it", verify.ErrNever)), nil
	case err != nil:
		return verify.Finding{}, fmt.Errorf("walking through a trace: %w", err)
	}
	return conclude(c, &r), nil
}

// conclude compares what surrounds the operators.
func conclude(c verify.Case, r *reader) verify.Finding {
	bound := func(format string, args ...any) verify.Finding {
		return verify.Bound(Name, fmt.Errorf(format, args...))
	}
	want := c.Receipt.Pixels
	if c.Task.Kind != essaim.KindImage {
		want = c.Receipt.Output
	}
	switch {
	case len(r.rest) > 0:
		return bound("%d bytes follow the trace's last operator", len(r.rest))
	case !c.Receipt.Trace.IsZero() && essaim.Digest(r.hash.Root()) != c.Receipt.Trace:
		return bound("the trace is not the one that the receipt commits to")
	case essaim.DigestOf(r.last) != want:
		return bound("the result is not what the trace ends with")
	}
	return verify.Finding{Method: Name, Result: essaim.VerdictValid}
}

// A reader follows a trace's records while an engine walks.
type reader struct {
	method *Method
	stop   func()
	hash   quant.TraceHash

	rest   []byte // of the trace
	last   []byte // output of the last operator
	wrong  int    // the first operator that is not right; 0: none
	why    string
	failed error // of the verifier's own
}

// given takes a product from the trace, if it has one of the right shape there.
func (r *reader) given(o quant.Op) (quant.Value, bool) {
	p, ok := o.Operator.(quant.Product)
	if !ok || r.over() {
		return quant.Value{}, false
	}
	out := quant.Value{ID: o.Out.ID, Vectors: o.In[0].Vectors}
	n := out.Vectors * p.Rows
	h := quant.Header{
		ID: o.Out.ID, Step: o.Step, Kind: p.Kind(), Layer: o.Layer, Vectors: out.Vectors, Elements: p.Rows,
		Type: p.Type(), Numbers: p.Numbers(),
	}
	for _, v := range o.In {
		h.In = append(h.In, v.ID)
	}
	head := h.Append(nil)
	if !bytes.HasPrefix(r.rest, head) || len(r.rest) < len(head)+4*n {
		r.fail(o.Out.ID, "it is another one")
		return quant.Value{}, false
	}
	out.Wide = make([]int32, n)
	for i := range out.Wide {
		out.Wide[i] = int32(binary.LittleEndian.Uint32(r.rest[len(head)+4*i:]))
	}
	key, err := r.method.key(p.Matrix)
	if err != nil {
		r.failed = err
		r.stop()
		return quant.Value{}, false
	}
	if _, ok := key.Check(out.Wide, o.In[0].Narrow); !ok {
		r.fail(o.Out.ID, "a sum of its product")
	}
	return out, true
}

// watch compares an operator, computed here or given, with the trace's.
func (r *reader) watch(o quant.Op) {
	if r.over() {
		return
	}
	record := o.AppendRecord(nil)
	if !bytes.HasPrefix(r.rest, record) {
		r.fail(o.Out.ID, "what it puts out")
		return
	}
	r.hash.Add(o)
	r.last, r.rest = o.AppendOutput(nil), r.rest[len(record):]
}

func (r *reader) fail(operator int, why string) {
	if !r.over() {
		r.wrong, r.why = operator, why
		r.stop()
	}
}

func (r *reader) over() bool { return r.wrong != 0 || r.failed != nil }

func (m *Method) key(of *quant.Matrix) (*Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.keys[of]; ok {
		return k, nil
	}
	k, err := NewKey(of)
	if err == nil {
		m.keys[of] = k
	}
	return k, err
}

func (m *Method) find(ctx context.Context, model essaim.Digest) (Walker, error) {
	for _, w := range m.walkers {
		all, err := w.Models(ctx)
		if err != nil {
			continue // another may have it
		}
		for _, one := range all {
			if one.Digest == model && one.Exact {
				return w, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: model %s is not here, or not exact", verify.ErrCannot, model.Short())
}
