package proof

import (
	"context"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/sumcheck"
	"github.com/essaim/essaim/proof/transcript"
	"github.com/essaim/essaim/quant"
)

// A Proof is one taken apart; Encode is how it travels.
type Proof struct {
	Given   [][][]int32 // of each statement, the outputs of products and tables of rows
	Rounds  []sumcheck.Round
	Opening commit.Opening
}

// Prove proves statements, each with the run that it is of. It does not compare them: a statement that its run does not
// bear out makes a proof that is refused.
//
// Errors: wraps ErrUnprovable.
func (p *Prover) Prove(statements []Statement, runs []*Run) (*Proof, error) {
	if len(statements) != len(runs) || len(runs) == 0 || len(runs) > MaxStatements {
		return nil, fmt.Errorf("%w: %d statements and %d runs, of at most %d", ErrUnprovable, len(statements), len(runs), MaxStatements)
	}
	out := &Proof{}
	t := p.begin(len(runs))
	var all []claim
	for i, r := range runs {
		claims, given, err := r.claims(&p.Model)
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", i+1, err)
		}
		for _, c := range claims {
			if err := c.within(p.layout.Shapes[c.matrix]); err != nil {
				return nil, fmt.Errorf("%w: run %d: %w", ErrUnprovable, i+1, err)
			}
		}
		absorb(t, statements[i], r.headers, given)
		all, out.Given = append(all, claims...), append(out.Given, given)
	}
	if err := limits(out.Given, len(all)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnprovable, err)
	}
	p.argue(t, all, out)
	return out, nil
}

// argue shows claims that the transcript has heard of.
func (p *Prover) argue(t *transcript.Transcript, all []claim, out *Proof) {
	r := t.Point(p.layout.Point())
	powers := field.Powers(t.Ext(), len(all))

	// All products are one sum over the columns (3), of which the sumcheck leaves one point s.
	x := inputs(p.layout, all, powers)
	lanes := append([]field.Ext(nil), x...)
	var s []field.Ext
	out.Rounds, s = sumcheck.Prove(t, p.committed.Fold(r), lanes, p.layout.Lanes)

	// What the lanes of x are at s is what the matrices count in the opening.
	out.Opening = p.committed.Open(t, r, s, at(x, s, p.layout.Lanes))
}

// at evaluates the multilinear extensions of a table's lanes.
func at(table, s []field.Ext, lanes int) []field.Ext {
	out, scratch := make([]field.Ext, lanes), make([]field.Ext, lanes)
	for j, e := range field.Eq(s) {
		field.AddScaled(out, table[j*lanes:][:lanes], &e, scratch)
	}
	return out
}

// limits refuses what is too much for one proof.
func limits(given [][][]int32, vectors int) error {
	elements := 0
	for _, run := range given {
		if len(run) > maxOutputs {
			return fmt.Errorf("%d outputs in a run, at most %d are possible", len(run), maxOutputs)
		}
		for _, out := range run {
			elements += len(out)
		}
	}
	if elements > maxElements || vectors > maxVectors {
		return fmt.Errorf("%d vectors with %d numbers, at most %d with %d are possible", vectors, elements, maxVectors, maxElements)
	}
	return nil
}

// An Engine is one whose runs can be proven; engine/pixel and engine/text are.
type Engine interface {
	engine.Engine

	// RunWatched is Run, and shows each operator to watch.
	RunWatched(ctx context.Context, r engine.Request, progress func(engine.Progress), watch func(quant.Op)) (engine.Result, error)
}

// Run runs what a statement asks for, with its result left open, and proves it: the engine's result and the encoded proof.
//
// Errors: those of Engine.Run; wraps ErrUnprovable.
func (p *Prover) Run(ctx context.Context, e Engine, s Statement, progress func(engine.Progress)) (engine.Result, []byte, error) {
	run := &Run{Untraced: s.Trace.IsZero()}
	out, err := e.RunWatched(ctx, s.Request(), progress, run.Watch)
	if err != nil {
		return out, nil, err
	}
	if s.Result = out.PixelsDigest; s.Result.IsZero() {
		s.Result = essaim.DigestOf(out.Data)
	}
	made, err := p.Prove([]Statement{s}, []*Run{run})
	if err != nil {
		return out, nil, err
	}
	return out, made.Encode(), nil
}
