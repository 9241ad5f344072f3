package proof

import (
	"context"
	"fmt"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/sumcheck"
	"github.com/essaim/essaim/quant"
)

// Verify checks an encoded proof of statements about a model, with an engine that need not have its weights
// but must have its other tensors: those of the public part that the model was made of.
//
// Errors: wraps ErrRefused, or is the engine's, for a request that cannot be run.
func (m *Model) Verify(ctx context.Context, e Walker, proof []byte, statements ...Statement) error {
	p, err := m.Decode(proof)
	if err != nil {
		return err
	}
	return m.VerifyDecoded(ctx, e, p, statements...)
}

// VerifyDecoded is Verify of a proof that was decoded for this model.
func (m *Model) VerifyDecoded(ctx context.Context, e Walker, p *Proof, statements ...Statement) error {
	if len(statements) != len(p.Given) || len(statements) == 0 {
		return fmt.Errorf("%w: it is of %d statements, not %d", ErrRefused, len(p.Given), len(statements))
	}
	t := m.begin(len(statements))
	var all []claim
	for i, s := range statements {
		if s.Model != m.digest {
			return fmt.Errorf("%w: it is to be of model %s, not %s", ErrRefused, s.Model.Short(), m.digest.Short())
		}
		w := walk{model: m, given: p.Given[i], seen: Run{Untraced: s.Trace.IsZero()}}
		if err := w.run(ctx, e, s); err != nil {
			return err
		}
		absorb(t, s, w.seen.headers, p.Given[i])
		all = append(all, w.claims...)
	}
	if err := limits(p.Given, len(all)); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	r := t.Point(m.layout.Point())
	powers := field.Powers(t.Ext(), len(all))
	s, rest := sumcheck.Verify(t, total(all, r, powers), p.Rounds)
	lanes := at(inputs(m.layout, all, powers), s, m.layout.Lanes)
	if err := m.layout.Verify(t, m.root, r, s, lanes, rest, p.Opening); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// A walk executes a run again but for its linear operators, which it gives.
type walk struct {
	model  *Model
	given  [][]int32
	next   int
	claims []claim
	seen   Run
	cancel context.CancelFunc
	err    error // the first
}

// run checks everything about a statement but the claims, which it leaves.
func (w *walk) run(ctx context.Context, e Walker, s Statement) error {
	ctx, w.cancel = context.WithCancel(ctx)
	defer w.cancel()
	err := e.Walk(ctx, s.Request(), w.give, w.seen.Watch)
	switch {
	case w.err != nil:
		return fmt.Errorf("%w: %w", ErrRefused, w.err)
	case err != nil:
		return fmt.Errorf("checking a proof: %w", err)
	case w.next != len(w.given):
		return fmt.Errorf("%w: it gives %d outputs, the run takes %d", ErrRefused, len(w.given), w.next)
	case w.seen.Result() != s.Result:
		return fmt.Errorf("%w: the run ends with %s, not %s", ErrRefused, w.seen.Result().Short(), s.Result.Short())
	case !s.Trace.IsZero() && w.seen.Trace() != s.Trace:
		return fmt.Errorf("%w: the run's trace is %s, not %s", ErrRefused, w.seen.Trace().Short(), s.Trace.Short())
	}
	return nil
}

// give is the next given output, for an operator that is linear; after an error, zeros.
func (w *walk) give(o quant.Op) (quant.Value, bool) {
	if !linear(o) {
		return quant.Value{}, false
	}
	vectors := o.In[0].Vectors
	i, ok := w.model.matrix(o)
	if !ok {
		return w.fail(o, "it is not the model's")
	}
	s := w.model.layout.Shapes[i]
	if w.next >= len(w.given) || len(w.given[w.next]) != vectors*s.Rows {
		return w.fail(o, "its output is missing or has another size")
	}
	out := w.given[w.next]
	w.next++
	claims := claimsOf(o, i, s, out)
	for _, c := range claims {
		if err := c.within(s); err != nil {
			return w.fail(o, err.Error())
		}
	}
	w.claims = append(w.claims, claims...)
	return quant.Value{Vectors: vectors, Wide: out}, true
}

// fail keeps the first error and ends the walk as soon as may be, with zeros until then.
func (w *walk) fail(o quant.Op, why string) (quant.Value, bool) {
	if w.err == nil {
		w.err = fmt.Errorf("%s of %s: %s", o.Operator.Kind(), o.Layer, why)
		w.cancel()
	}
	rows := 0
	switch op := o.Operator.(type) {
	case quant.Product:
		rows = op.Rows
	case quant.Gather:
		rows = op.Cols
	}
	return quant.Value{Vectors: o.In[0].Vectors, Wide: make([]int32, o.In[0].Vectors*rows)}, true
}
