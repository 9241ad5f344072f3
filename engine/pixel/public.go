package pixel

import (
	"fmt"
	"slices"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// NewPublic is New without the matrices of the weights, of which public is the public part (quant.Public),
// from anyone. The engine can only Walk, where all products and table rows are given: that is how a proof is
// checked without the weights.
//
// Errors: wraps engine.ErrModelFiles if the public part is of other weights; quant.ErrFormat.
func NewPublic(public []byte, options ...Option) (*Engine, error) {
	files, err := builtIn()
	if err != nil {
		return nil, err
	}
	m, err := engine.ParseManifest(files.Manifest, Name)
	if err == nil {
		m.Files = slices.DeleteFunc(m.Files, func(f engine.ManifestFile) bool { return f.Name == weightsName })
		err = m.Check(files.Files)
	}
	if err != nil {
		return nil, fmt.Errorf("pixel model: %w", err)
	}
	tensors, root, err := quant.ReadPublic(public)
	if err != nil {
		return nil, fmt.Errorf("pixel weights: %w", err)
	}
	if root != m.Root {
		return nil, fmt.Errorf("%w: the public part is of weights with root %x, the manifest states %s", engine.ErrModelFiles, root, m.Root)
	}
	w, err := readWeights(tensors.Reader())
	if err != nil {
		return nil, err
	}
	e, err := assemble(m, w, files.Files, options)
	if err != nil {
		return nil, err
	}
	e.public = true
	return e, nil
}
