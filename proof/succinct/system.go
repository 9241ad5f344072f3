package succinct

import (
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/quant"
)

// A value is an operator's hidden output: each element is a sum of cells and a public number. What starts at a cell goes on for
// all vectors and elements.
type value struct {
	vectors, elements int
	first             []int   // cells
	known             []int32 // of each element of a vector; nil: zeros
	bound             int64   // that no element exceeds in size
}

// A product is one, or a gather: its output less the bias is the cells from out on.
type product struct {
	matrix  int
	shape   commit.Shape
	vectors int
	in      int     // cells of what it reads, or
	pairs   []int32 // what a gather reads
	out     int
}

// A system is what the operators of some runs say without a single activation: which cells there are, and what of them is
// looked up and multiplied. The multiplicities of the table's rows are the first cells.
type system struct {
	model    *proof.Model
	table    table
	products []product
	changes  []change
	cells    int // besides the multiplicities
	leaves   int // besides the table's rows
	vectors  int // of products

	hidden map[int]value // of the present run, by the number of the operator
	last   int           // of the present run
}

func newSystem(m *proof.Model) *system { return &system{model: m} }

// begin begins a run whose last hidden operator has a number.
func (y *system) begin(last int) { y.hidden, y.last = map[int]value{}, last }

// add adds an operator of the run, in order. Of the last hidden one the output must be there; of those before
// it, and of what is not linear, only the shapes count.
//
// Errors: wraps proof.ErrUnprovable.
func (y *system) add(o quant.Op) error {
	in := make([]value, len(o.In))
	any, all := false, true
	for i, v := range o.In {
		var ok bool
		in[i], ok = y.hidden[v.ID]
		any, all = any || ok, all && ok
		if ok && o.Out.ID <= y.last && (v.Vectors != in[i].vectors || v.Elements() != in[i].elements) {
			return unprovable(o, "it reads a part of what is hidden")
		}
	}
	switch linear := proof.Linear(o); {
	case o.Out.ID > y.last:
		for _, v := range o.In {
			if _, ok := y.hidden[v.ID]; ok && v.ID != y.last {
				return unprovable(o, "it reads what is hidden, after the last hidden operator")
			}
		}
		if linear {
			return unprovable(o, "it comes after the last hidden operator")
		}
		return nil
	case linear:
		return y.linear(o, in, all)
	case !any:
		return nil
	case !all:
		return unprovable(o, "it reads both what is hidden and what is not")
	}
	switch op := o.Operator.(type) {
	case quant.Sum:
		return y.sum(o, in[0], in[1])
	case quant.Rescale:
		return y.change(o, in[0], op.Scale, quant.Activate{}, false)
	case quant.Activate:
		return y.change(o, in[0], op.Scale, op, true)
	}
	return unprovable(o, "operators of this kind cannot be hidden")
}

// take takes n new cells.
func (y *system) take(n int) int {
	y.cells += n
	return y.cells - n
}

func (y *system) linear(o quant.Op, in []value, hidden bool) error {
	i, ok := y.model.Matrix(o)
	if !ok || len(in) != 1 {
		return unprovable(o, "it is not the model's")
	}
	p := product{matrix: i, shape: y.model.Layout().Shapes[i], vectors: o.In[0].Vectors}
	out := value{vectors: p.vectors, elements: p.shape.Rows}
	if op, ok := o.Operator.(quant.Product); ok {
		if !hidden || len(in[0].first) != 1 || in[0].known != nil || in[0].elements != p.shape.Cols {
			return unprovable(o, "it does not read activations that are hidden")
		}
		p.in, out.known, out.bound = in[0].first[0], op.Bias, 128*in[0].bound*int64(p.shape.Cols)
		for _, b := range op.Bias {
			out.bound = max(out.bound, 128*in[0].bound*int64(p.shape.Cols)+max(int64(b), -int64(b)))
		}
	} else {
		if hidden || o.In[0].Wide == nil {
			return unprovable(o, "it reads what is hidden")
		}
		p.pairs, out.bound = o.In[0].Wide, reach(o.In[0])
	}
	p.out = y.take(p.vectors * p.shape.Rows)
	out.first = []int{p.out}
	y.products = append(y.products, p)
	y.vectors += p.vectors
	y.hidden[o.Out.ID] = out
	return nil
}

// reach is how large the sums of rows can be that pairs of a row and a weight stand for.
func reach(v quant.Value) (most int64) {
	n := v.Elements()
	for i := range v.Vectors {
		sum := int64(0)
		for j := 1; j < n; j += 2 {
			w := int64(v.Wide[i*n+j])
			sum += 128 * max(w, -w)
		}
		most = max(most, sum)
	}
	return most
}

// sum adds hidden outputs: no new cell.
func (y *system) sum(o quant.Op, a, b value) error {
	if a.vectors != b.vectors || a.elements != b.elements {
		return unprovable(o, "its inputs have two shapes")
	}
	out := value{a.vectors, a.elements, append(append([]int(nil), a.first...), b.first...), a.known, a.bound + b.bound}
	switch {
	case a.known == nil:
		out.known = b.known
	case b.known != nil:
		out.known = make([]int32, len(a.known))
		for i := range out.known {
			out.known[i] = a.known[i] + b.known[i]
		}
	}
	if out.bound >= field.P {
		return unprovable(o, "its output could leave the field")
	}
	y.hidden[o.Out.ID] = out
	return nil
}

// size is how many leaves there are, filled up to a power of two, as its logarithm.
func (y *system) size() int { return field.Logarithm(y.table.rows() + y.leaves) }
