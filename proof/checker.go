package proof

import (
	"context"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

// A Checker is a model with an engine to check its proofs with. It is safe for concurrent use if the engine is.
type Checker struct {
	*Model
	engine Walker
}

// NewChecker makes one of a manifest, the public part of the weights that it is of, and an engine that has no more.
//
// Errors: those of NewModel; engine.ErrModelFiles.
func NewChecker(manifest []byte, name string, public []byte, e Walker) (*Checker, error) {
	m, err := engine.ParseManifest(manifest, name)
	if err != nil {
		return nil, fmt.Errorf("%s model: %w", name, err)
	}
	model, err := NewModel(essaim.DigestOf(manifest), m.Root, m.Proof, public)
	if err != nil {
		return nil, err
	}
	return &Checker{model, e}, nil
}

// Check is Model.Verify with the checker's engine.
func (c *Checker) Check(ctx context.Context, proof []byte, statements ...Statement) error {
	return c.Verify(ctx, c.engine, proof, statements...)
}
