package succinct

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/lookup"
	"github.com/essaim/essaim/proof/sumcheck"
	"github.com/essaim/essaim/proof/transcript"
	"github.com/essaim/essaim/quant"
)

// Verify checks an encoded proof of statements about a model, with an engine that need not have its weights. The
// engine's operators must not depend on activations, but by their numbers.
//
// Errors: wraps proof.ErrRefused, or is the engine's, for a request that cannot be run.
func Verify(ctx context.Context, m *proof.Model, e proof.Walker, b []byte, statements ...proof.Statement) error {
	p, rest, err := decodeShown(b)
	if err != nil {
		return err
	}
	if len(statements) != len(p.Shown) || len(statements) == 0 {
		return refused("it is of %d statements, not %d", len(p.Shown), len(statements))
	}
	y, t := newSystem(m), m.Begin(Mode, len(statements))
	for i, s := range statements {
		if s.Model != m.Digest() || !s.Trace.IsZero() {
			return refused("it is to be of model %s, not %s, and of no trace", s.Model.Short(), m.Digest().Short())
		}
		w := walk{system: y, shown: p.Shown[i]}
		if err := w.run(ctx, e, s); err != nil {
			return err
		}
		absorb(t, s, w.headers, p.Shown[i])
	}
	if err := y.limits(); err != nil {
		return refused("%w", err)
	}
	if err := p.decodeArgument(rest, y); err != nil {
		return err
	}
	return y.verify(t, p)
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %w", proof.ErrRefused, fmt.Errorf(format, args...))
}

// verify checks what is claimed of cells and weights.
func (y *system) verify(t *transcript.Transcript, p *Proof) error {
	t.Absorb("activations", p.Root[:])
	c := newChallenge(t.Ext(), t.Ext())
	left, ok := lookup.Verify(t, y.size(), p.Fractions)
	if !ok {
		return refused("a number is not in its table")
	}

	layout := y.model.Layout()
	r := t.Point(layout.Point())
	powers := field.Powers(t.Ext(), y.vectors)
	t.AbsorbExt("sum", p.Total)
	s, products := sumcheck.Verify(t, p.Total, p.Rounds)
	t.AbsorbExt("lanes", p.Lanes...)
	etas := field.Powers(t.Ext(), layout.Lanes)

	mus := field.Powers(t.Ext(), 4)
	f := y.lookups(field.EqTable(left.Point), c, mus[1])
	y.sums(f, r, powers, &mus[2])
	y.lanes(f, s, powers, etas, &mus[3])
	claim := left.Q
	for i, v := range []field.Ext{left.P, p.Total, field.Dot(etas, p.Lanes)} {
		v.Mul(&v, &mus[i+1])
		claim.Add(&claim, &v)
	}
	claim.Sub(&claim, &f.number)
	point, claim := sumcheck.Verify(t, claim, p.Claims)
	grid, err := y.grid()
	if err != nil {
		return refused("%w", err)
	}
	value, err := grid.Verify(t, p.Root, point, p.Cells)
	if err != nil {
		return refused("%w", err)
	}
	at := f.at(point, grid.Columns)
	if value.Mul(&value, &at); !value.Equal(&claim) {
		return refused("the activations are not what is claimed of them")
	}
	if err := layout.Verify(t, quant.Hash(y.model.Root()), r, s, p.Lanes, products, p.Weights); err != nil {
		return refused("%w", err)
	}
	return nil
}

// A walk goes through a run with zeros in the place of what is hidden.
type walk struct {
	*system
	shown   Shown
	headers []byte
	last    quant.Op
	cancel  context.CancelFunc
	err     error // the first
}

// run checks everything about a statement but what is claimed of cells, which it adds to the system.
func (w *walk) run(ctx context.Context, e proof.Walker, s proof.Statement) error {
	ctx, w.cancel = context.WithCancel(ctx)
	defer w.cancel()
	w.begin(w.shown.Operator)
	err := e.Walk(ctx, s.Request(), w.give, w.watch)
	switch {
	case w.err != nil:
		return refused("%w", w.err)
	case err != nil:
		return fmt.Errorf("checking a proof: %w", err)
	case w.last.Operator == nil:
		return refused("nothing was run")
	}
	if _, ok := w.hidden[w.shown.Operator]; !ok {
		return refused("operator %d cannot be shown", w.shown.Operator)
	}
	if got := essaim.Digest(sha256.Sum256(w.last.AppendOutput(nil))); got != s.Result {
		return refused("the run ends with %s, not %s", got.Short(), s.Result.Short())
	}
	return nil
}

// watch adds an operator.
func (w *walk) watch(o quant.Op) {
	w.headers = o.Header().Append(w.headers)
	w.last = o
	if w.err == nil {
		w.fail(w.add(o))
	}
}

// fail keeps the first error and ends the walk as soon as may be.
func (w *walk) fail(err error) {
	if err != nil && w.err == nil {
		w.err = err
		w.cancel()
	}
}

// give is zeros for what is linear, and what is shown for the last hidden operator.
func (w *walk) give(o quant.Op) (quant.Value, bool) {
	vectors := 1
	if len(o.In) > 0 {
		vectors = o.In[0].Vectors
	}
	rows := 0
	switch op := o.Operator.(type) {
	case quant.Product:
		rows = op.Rows
	case quant.Gather:
		rows = op.Cols
	case quant.Rescale:
		rows = len(op.Mul)
	case quant.Activate:
		rows = len(op.Mul)
	}
	out := quant.Value{Vectors: vectors}
	switch {
	case proof.Linear(o):
		out.Wide = make([]int32, vectors*rows)
		return out, true
	case o.Out.ID != w.shown.Operator || rows == 0 || w.err != nil:
		return quant.Value{}, false
	case len(w.shown.Output) != vectors*rows:
		w.fail(unprovable(o, "%d numbers of it are shown, it has %d", len(w.shown.Output), vectors*rows))
		return quant.Value{}, false
	}
	if o.Operator.Type() == quant.Int32 {
		out.Wide = w.shown.Output
		return out, true
	}
	out.Narrow = make([]int16, len(w.shown.Output))
	for i, v := range w.shown.Output {
		if out.Narrow[i] = int16(v); int32(out.Narrow[i]) != v {
			w.fail(unprovable(o, "%d is shown of it", v))
		}
	}
	return out, true
}
