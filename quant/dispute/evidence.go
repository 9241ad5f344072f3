package dispute

import (
	"errors"
	"fmt"
	"slices"

	"github.com/essaim/essaim/quant"
)

// Evidence shows the numbers that one step follows from, with their places in what was committed to.
type Evidence struct {
	Inputs  []Shown      `cbor:"1,keyasint,omitempty"` // outputs of earlier operators, in ascending order of their IDs
	Rest    []quant.Hash `cbor:"2,keyasint,omitempty"` // of the earlier operators' tree
	Tensors []Shown      `cbor:"3,keyasint,omitempty"` // of the model, in ascending order of their places
	Count   int          `cbor:"4,keyasint,omitempty"` // of the model's tensors
	Model   []quant.Hash `cbor:"5,keyasint,omitempty"` // the rest of the model's tree
}

// Shown is some blocks of an output or of a tensor.
type Shown struct {
	At     int          `cbor:"1,keyasint"` // place in its tree, from 0
	Leaf   []byte       `cbor:"2,keyasint"` // without the root of the blocks
	Blocks []Block      `cbor:"3,keyasint"` // in ascending order of their places
	Rest   []quant.Hash `cbor:"4,keyasint,omitempty"`
}

// Block is one block.
type Block struct {
	At   int    `cbor:"1,keyasint"`
	Data []byte `cbor:"2,keyasint"`
}

// ErrEvidence is wrapped by complaints about evidence that shows nothing.
var ErrEvidence = errors.New("evidence does not hold")

// leaf is the leaf's hash, computed from the blocks, of something of size bytes.
func (s Shown) leaf(size int) (leafAt, error) {
	var some []leafAt
	for _, b := range s.Blocks {
		if b.At < 0 || len(some) > 0 && b.At <= some[len(some)-1].at || b.At >= quant.BlockCount(size) || len(b.Data) != blockSize(size, b.At) {
			return leafAt{}, fmt.Errorf("%w: block %d of %d bytes", ErrEvidence, b.At, len(b.Data))
		}
		some = append(some, leafAt{b.At, quant.LeafHash(b.Data)})
	}
	root, err := rootOf(quant.BlockCount(size), some, s.Rest)
	return leafAt{s.At, quant.LeafHash(slices.Concat(s.Leaf, root[:]))}, err
}

// blockSize is the size of a block of something of size bytes.
func blockSize(size, at int) int { return min(quant.BlockSize, size-at*quant.BlockSize) }

// number is element i of a type; ok is false if its block is not shown.
func (s Shown) number(typ quant.Type, i int) (v int32, ok bool) {
	at := i * typ.Size()
	if i < 0 {
		return 0, false
	}
	for _, b := range s.Blocks {
		if b.At == at/quant.BlockSize && at%quant.BlockSize < len(b.Data) {
			return typ.ElementOf(b.Data[at%quant.BlockSize:]), true
		}
	}
	return 0, false
}

// source reads what evidence shows that was checked.
type source struct {
	element quant.Element
	inputs  []Shown
	headers []quant.Header // of inputs
	tensors []Shown
	entries []quant.ModelTensor
	missed  bool // something was read that is not shown
}

func (s *source) In(input, at int) int32 {
	for i, h := range s.headers {
		if input < len(s.element.Header.In) && h.ID == s.element.Header.In[input] {
			if v, ok := s.inputs[i].number(h.Type, at); ok {
				return v
			}
		}
	}
	s.missed = true
	return 0
}

func (s *source) Param(tensor string, at int) int32 {
	for i, t := range s.entries {
		if t.Name == tensor {
			if v, ok := s.tensors[i].number(t.Type, at); ok {
				return v
			}
		}
	}
	s.missed = true
	return 0
}

func (s *source) Tensor(name string) (int, uint) {
	for _, t := range s.entries {
		if t.Name == name {
			return t.Elements, t.Shift
		}
	}
	s.missed = true
	return 1, 1
}

// open checks evidence against the root of all operators before the element's and the model's root.
func (v Evidence) open(e quant.Element, before, model quant.Hash) (*source, error) {
	s := &source{element: e, inputs: v.Inputs, tensors: v.Tensors}
	var leaves []leafAt
	for i, in := range v.Inputs {
		h, rest, err := quant.ReadHeader(in.Leaf)
		if err != nil || len(rest) > 0 || h.ID != in.At+1 || i > 0 && in.At <= v.Inputs[i-1].At {
			return nil, fmt.Errorf("%w: input %d has no header, or another one", ErrEvidence, i)
		}
		leaf, err := in.leaf(h.Size())
		if err != nil {
			return nil, err
		}
		leaves, s.headers = append(leaves, leaf), append(s.headers, h)
	}
	if len(leaves) > 0 {
		if root, err := rootOf(e.ID-1, leaves, v.Rest); err != nil || root != before {
			return nil, fmt.Errorf("%w: inputs: %w", ErrEvidence, errPath)
		}
	}
	leaves = nil
	for i, t := range v.Tensors {
		entry, err := quant.ReadEntry(t.Leaf)
		if err != nil || i > 0 && t.At <= v.Tensors[i-1].At {
			return nil, fmt.Errorf("%w: tensor %d: %w", ErrEvidence, i, errors.Join(err, errPath))
		}
		leaf, err := t.leaf(entry.Elements * entry.Type.Size())
		if err != nil {
			return nil, err
		}
		leaves, s.entries = append(leaves, leaf), append(s.entries, entry)
	}
	if len(leaves) > 0 {
		root, err := rootOf(v.Count, leaves, v.Model)
		if err != nil || quant.TensorsRoot(v.Count, root) != model {
			return nil, fmt.Errorf("%w: tensors: %w", ErrEvidence, errPath)
		}
	}
	return s, nil
}
