package dispute

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/essaim/essaim/quant"
)

// A Record is all that a run computed, so that questions about its trace can be answered.
type Record struct {
	Operators []Operator
	Result    []byte // what the receipt's digest of the result is of; nil: the last operator's output

	leaves []quant.Hash
}

// An Operator is one operator of a record.
type Operator struct {
	quant.Header
	Output []byte

	blocks []quant.Hash
	root   quant.Hash
}

// Add appends an executed operator.
func (r *Record) Add(o quant.Op) {
	r.Append(Operator{Header: o.Header(), Output: o.AppendOutput(nil)})
}

// Append appends an operator.
func (r *Record) Append(o Operator) {
	o.blocks = quant.Blocks(o.Output)
	o.root = treeRoot(o.blocks)
	r.Operators = append(r.Operators, o)
	r.leaves = append(r.leaves, o.leaf())
}

func (o Operator) leaf() quant.Hash {
	return quant.LeafHash(append(o.Header.Append(nil), o.root[:]...))
}

// Trace is the commitment to it.
func (r *Record) Trace() quant.Hash { return quant.TraceRoot(len(r.leaves), treeRoot(r.leaves)) }

// result is what the receipt's digest of the result is of.
func (r *Record) result() []byte {
	if r.Result != nil || len(r.Operators) == 0 {
		return r.Result
	}
	return r.Operators[len(r.Operators)-1].Output
}

// A Model is a weights file as the challenger shows parts of it.
type Model struct {
	tensors []quant.ModelTensor
	blocks  [][]quant.Hash // of each tensor
	leaves  []quant.Hash
}

// NewModel reads a weights file.
//
// Errors: wraps quant.ErrFormat.
func NewModel(file []byte) (*Model, error) {
	all, err := quant.ReadModel(file)
	if err != nil {
		return nil, err
	}
	m := &Model{tensors: all}
	for _, t := range all {
		blocks := quant.Blocks(t.Data)
		root := treeRoot(blocks)
		m.blocks = append(m.blocks, blocks)
		m.leaves = append(m.leaves, quant.LeafHash(slices.Concat(t.Entry, root[:])))
	}
	return m, nil
}

// Root is the model's root.
func (m *Model) Root() quant.Hash { return quant.TensorsRoot(len(m.leaves), treeRoot(m.leaves)) }

func (m *Model) find(name string) (int, bool) {
	return slices.BinarySearchFunc(m.tensors, name, func(t quant.ModelTensor, name string) int { return cmp.Compare(t.Name, name) })
}

// A reader reads a whole record and notes which blocks it read.
type reader struct {
	record  *Record
	model   *Model
	element quant.Element
	inputs  map[int][]int // operator's place to its blocks
	tensors map[int][]int
}

func (r *reader) In(input, at int) int32 {
	id := r.element.Header.In[input]
	o := r.record.Operators[id-1]
	note(r.inputs, id-1, at*o.Type.Size()/quant.BlockSize)
	return o.Type.ElementOf(o.Output[at*o.Type.Size():])
}

func (r *reader) Param(tensor string, at int) int32 {
	i, ok := r.model.find(tensor)
	if !ok {
		return 0
	}
	t := r.model.tensors[i]
	note(r.tensors, i, at*t.Type.Size()/quant.BlockSize)
	return t.Type.ElementOf(t.Data[at*t.Type.Size():])
}

func (r *reader) Tensor(name string) (int, uint) {
	i, ok := r.model.find(name)
	if !ok {
		return 1, 1
	}
	if _, ok := r.tensors[i]; !ok {
		r.tensors[i] = nil
	}
	return r.model.tensors[i].Elements, r.model.tensors[i].Shift
}

func note(m map[int][]int, of, block int) {
	if at, ok := slices.BinarySearch(m[of], block); !ok {
		m[of] = slices.Insert(m[of], at, block)
	}
}

// element is element at of operator id of the record.
func (r *Record) element(id, at int) (quant.Element, error) {
	e := quant.Element{Header: r.Operators[id-1].Header, At: at}
	for _, in := range e.Header.In {
		if in < 1 || in >= id {
			return e, fmt.Errorf("operator %d reads %d", id, in)
		}
		e.Inputs = append(e.Inputs, r.Operators[in-1].Header)
	}
	return e, nil
}

func (r *Record) read(m *Model, e quant.Element) *reader {
	return &reader{record: r, model: m, element: e, inputs: map[int][]int{}, tensors: map[int][]int{}}
}

// evidence is all that was read.
func (r *reader) evidence() Evidence {
	var v Evidence
	v.Inputs = shown(r.inputs, func(i int) ([]byte, []byte, []quant.Hash) {
		o := r.record.Operators[i]
		return o.Header.Append(nil), o.Output, o.blocks
	})
	v.Tensors = shown(r.tensors, func(i int) ([]byte, []byte, []quant.Hash) {
		return r.model.tensors[i].Entry, r.model.tensors[i].Data, r.model.blocks[i]
	})
	if len(v.Inputs) > 0 {
		v.Rest = restOf(r.record.leaves[:r.element.ID-1], places(v.Inputs))
	}
	if len(v.Tensors) > 0 {
		v.Count, v.Model = len(r.model.leaves), restOf(r.model.leaves, places(v.Tensors))
	}
	return v
}

func places(all []Shown) (out []int) {
	for _, s := range all {
		out = append(out, s.At)
	}
	return out
}

// shown shows blocks of what get gives: a leaf without its root, the data and their blocks' hashes.
func shown(read map[int][]int, get func(i int) (leaf, data []byte, blocks []quant.Hash)) (out []Shown) {
	for at, blocks := range read {
		leaf, data, all := get(at)
		if len(blocks) == 0 {
			blocks = []int{0} // nothing but that it is there
		}
		s := Shown{At: at, Leaf: leaf, Rest: restOf(all, blocks)}
		for _, b := range blocks {
			s.Blocks = append(s.Blocks, Block{b, data[b*quant.BlockSize:][:blockSize(len(data), b)]})
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Shown) int { return cmp.Compare(a.At, b.At) })
	return out
}
