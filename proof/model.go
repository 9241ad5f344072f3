package proof

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/quant"
)

// A Model is what a verifier knows of one. It is not changed once made.
type Model struct {
	digest  essaim.Digest // of the manifest
	weights quant.Hash    // root of the weights file
	root    quant.Hash    // of the commitment
	layout  *commit.Layout
}

// NewModel makes a model of what its manifest states: its digest, its `root` and its `proof`; and of the
// public part of the weights, from anyone.
//
// Errors: wraps ErrRefused if the public part is of other weights; quant.ErrFormat, commit.ErrShape.
func NewModel(manifest essaim.Digest, root, proof essaim.Digest, public []byte) (*Model, error) {
	tensors, have, err := quant.ReadPublic(public)
	if err != nil {
		return nil, err
	}
	if essaim.Digest(have) != root {
		return nil, fmt.Errorf("%w: the model's public part is of weights with root %x, the manifest states %s", ErrRefused, have, root)
	}
	m := &Model{digest: manifest, weights: have, root: proof}
	var shapes []commit.Shape
	for _, one := range matrices(tensors) {
		shapes = append(shapes, one.Shape)
	}
	m.layout, err = commit.NewLayout(shapes)
	return m, err
}

// matrices are those of a weights file that products and tables of rows are made with, in its
// order; of a public part, without content. A table's rows count by column: it is turned.
func matrices(tensors quant.Tensors) (out []commit.Matrix) {
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		t := tensors[name]
		if !t.IsMatrix() {
			continue
		}
		m := commit.Matrix{Shape: commit.Shape{Name: name, Rows: t.Shape[0], Cols: t.Shape[1]}, W: t.Int8()}
		if !strings.HasSuffix(name, ".w") {
			m.Rows, m.Cols, m.Turned = m.Cols, m.Rows, true
		}
		out = append(out, m)
	}
	return out
}

// matrix is the number and the shape of the matrix that an operator's output is linear in; false: it is
// none of those, or not of this model.
func (m *Model) matrix(o quant.Op) (int, bool) {
	name, rows, cols := o.Layer, 0, 0
	switch op := o.Operator.(type) {
	case quant.Product:
		name, rows, cols = name+".w", op.Rows, op.Cols
	case quant.Gather:
		rows = op.Cols
	default:
		return 0, false
	}
	i, ok := m.layout.Find(name)
	if !ok {
		return 0, false
	}
	s := m.layout.Shapes[i]
	return i, s.Rows == rows && (cols == 0 || s.Cols == cols)
}

// linear reports whether an operator is one whose output a proof gives.
func linear(o quant.Op) bool {
	switch o.Operator.(type) {
	case quant.Product, quant.Gather:
		return true
	}
	return false
}

// A Prover has a model's weights, committed to. It is safe for concurrent use.
type Prover struct {
	Model
	committed *commit.Weights
}

// NewProver commits to the weights of a file, with at most workers goroutines, which also are what a proof
// may use. It takes seconds for a model of 20 million weights; see commit.New.
//
// Errors: wraps quant.ErrFormat, commit.ErrShape.
func NewProver(manifest essaim.Digest, weights []byte, workers int) (*Prover, error) {
	return ResumeProver(manifest, weights, nil, workers)
}

// ResumeProver is NewProver at a fraction of the price, with the leaves of the one that was made before. They are
// believed: whoever does not know where they come from compares Root with what the manifest states.
//
// Errors: those of NewProver.
func ResumeProver(manifest essaim.Digest, weights, leaves []byte, workers int) (*Prover, error) {
	tensors, err := quant.ReadTensors(weights)
	if err != nil {
		return nil, err
	}
	p := &Prover{}
	if p.committed, err = commit.New(matrices(tensors), leaves, workers); err != nil {
		return nil, err
	}
	p.Model = Model{digest: manifest, root: p.committed.Root(), layout: p.committed.Layout}
	p.weights, err = quant.ModelRoot(weights)
	return p, err
}

// Root is the proof root: what the manifest states as `proof`.
func (m *Model) Root() essaim.Digest { return m.root }

// Leaves are what ResumeProver takes, 32 bytes for each column of the code: 16 MB for a model of 20 million weights.
func (p *Prover) Leaves() []byte { return p.committed.Leaves() }
