package text

import (
	"fmt"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// NewPublic is New without the matrices of the weights, of which public is the public part (quant.Public),
// from anyone. The engine can only Walk, where all products and table rows are given: that is how a proof is
// checked without the weights.
//
// Errors: wraps engine.ErrModelFiles if the public part is of other weights; quant.ErrFormat.
func NewPublic(public []byte) (*Engine, error) {
	m, err := engine.ParseManifest(Manifest(), Name)
	if err != nil {
		return nil, fmt.Errorf("text model: %w", err)
	}
	tensors, root, err := quant.ReadPublic(public)
	if err != nil {
		return nil, fmt.Errorf("text weights: %w", err)
	}
	if root != m.Root {
		return nil, fmt.Errorf("%w: the public part is of weights with root %x, the manifest states %s", engine.ErrModelFiles, root, m.Root)
	}
	concepts, err := readConcepts(conceptsFile)
	if err != nil {
		return nil, fmt.Errorf("text model: %w", err)
	}
	w, err := readWeights(tensors.Reader(), len(concepts))
	if err != nil {
		return nil, fmt.Errorf("text weights: %w", err)
	}
	return &Engine{model: m.Model(), units: m.Units.Each, weights: w, public: true}, nil
}
