package succinct

import (
	"context"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/proof"
)

// Check checks an encoded proof, in whichever mode it is.
//
// Errors: those of Verify.
func Check(ctx context.Context, c *proof.Checker, b []byte, statements ...proof.Statement) error {
	if proof.ModeOf(b) == Mode {
		return Verify(ctx, c.Model, c.Engine(), b, statements...)
	}
	return c.Check(ctx, b, statements...)
}

// Make runs what a statement asks for, with its result left open, and proves it: the engine's result and the encoded proof.
//
// Errors: those of Engine.Run; wraps proof.ErrUnprovable.
func Make(ctx context.Context, p *proof.Prover, e proof.Engine, s proof.Statement) (engine.Result, []byte, error) {
	run := new(Run)
	out, err := e.RunWatched(ctx, s.Request(), nil, run.Watch)
	if err != nil {
		return out, nil, err
	}
	if s.Result = out.PixelsDigest; s.Result.IsZero() {
		s.Result = essaim.DigestOf(out.Data)
	}
	made, err := Prove(p, []proof.Statement{s}, []*Run{run})
	if err != nil {
		return out, nil, err
	}
	return out, made.Encode(), nil
}
