package succinct

import (
	"fmt"

	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/quant"
)

// An assignment is what the prover knows of a system: its cells and its leaves, all modulo field.P.
type assignment struct {
	*system
	cells []uint32 // the multiplicities first
	x, y  []uint32 // of each leaf
	first []int    // row of each tag in the table; then how many rows there are
	err   error    // the first look-up that is not in the table: the run cannot be proven, but a cheater can try
}

// residue is v modulo field.P.
func residue(v int64) uint32 {
	if v %= field.P; v < 0 {
		v += field.P
	}
	return uint32(v)
}

// fill assigns what runs were to a system that their operators, up to the last hidden ones, made.
func fill(y *system, ops []quant.Op) *assignment {
	rows := y.table.rows()
	a := &assignment{system: y, cells: make([]uint32, rows+y.cells), x: make([]uint32, rows+y.leaves), y: make([]uint32, rows+y.leaves)}
	for tag := range y.table.tags() {
		at, n := y.table.first(tag)
		a.first = append(a.first, at)
		for i := range n {
			x, v := y.table.row(tag, i)
			a.x[at+i], a.y[at+i] = residue(x), residue(v)
		}
	}
	a.first = append(a.first, rows)
	products, changes := y.products, y.changes
	for _, o := range ops {
		switch {
		case proof.Linear(o):
			a.product(&products[0], o)
			products = products[1:]
		case isChange(o):
			a.change(&changes[0], o)
			changes = changes[1:]
		}
	}
	return a
}

// own are the cells from one on.
func (a *assignment) own(first int) []uint32 { return a.cells[a.first[a.table.tags()]+first:] }

func (a *assignment) product(p *product, o quant.Op) {
	var bias []int32
	if op, ok := o.Operator.(quant.Product); ok {
		bias = op.Bias
	}
	cells := a.own(p.out)
	for i, v := range o.Out.Wide {
		d := int64(v)
		if bias != nil {
			d -= int64(bias[i%p.shape.Rows])
		}
		cells[i] = residue(d)
	}
}

// lookup is one, of the leaf at after those of the table.
func (a *assignment) lookup(at, tag int, x, y int64) {
	leaf := a.first[a.table.tags()] + at
	a.x[leaf], a.y[leaf] = residue(x), residue(y)
	row, ok := a.table.find(tag, x, y)
	if ok {
		a.cells[a.first[tag]+row]++
	} else if a.err == nil {
		a.err = fmt.Errorf("%w: a number of it, %d, is larger than can be proven", proof.ErrUnprovable, x)
	}
}

func (a *assignment) change(c *change, o quant.Op) {
	const mask = 1<<lowBits - 1
	in, out, n := o.In[0].Wide, wide(o.Out), c.n()
	lows := a.own(c.low)
	for i, v := range in {
		at := c.leaf + i
		next := func(tag int, x, y int64) {
			a.lookup(at, tag, x, y)
			at += n
		}
		m, q := c.mul[i%c.in.elements], int64(out[i])
		sum := int64(v)*m + 1<<(c.shift-1)
		if c.clamp >= 0 {
			q = sum >> c.shift
		}
		rest := sum - q<<c.shift
		low, b := int64(v)&mask, rest
		lows[i] = uint32(low)
		if c.shift > lowBits {
			b = rest & mask
			a.own(c.rest)[i] = residue(rest >> lowBits)
		}
		next(lowBits, low, 0)
		next(highBits, int64(v)>>lowBits+1<<(highBits-1), 0)
		next(lowBits, b, 0)
		next(lowBits, quotient(low*(m&mask)+c.carry()-b), 0)
		if c.shift > lowBits {
			next(c.shift-lowBits, rest>>lowBits, 0)
		}
		if c.q >= 0 {
			a.own(c.q)[i] = residue(q)
		}
		if c.clamp >= 0 {
			if c.out >= 0 {
				a.own(c.out)[i] = residue(int64(out[i]))
			}
			next(ranges+c.clamp, q, int64(out[i]))
		}
		for _, l := range c.limbs {
			u := l.sign*q + l.offset
			a.own(l.cell)[i] = residue(u & mask)
			next(lowBits, u&mask, 0)
			next(l.bits, u>>lowBits, 0)
		}
	}
}

// quotient is v / 2^14, modulo field.P if that is no integer, as it is only of a lie.
func quotient(v int64) int64 {
	if v&(1<<lowBits-1) == 0 {
		return v >> lowBits
	}
	e, inverse := field.Of(v), inverse14()
	e.Mul(&e, &inverse)
	return int64(e.Uint64())
}

// inverse14 is 2^-14.
func inverse14() field.Element {
	e := field.Of(1 << lowBits)
	return *e.Inverse(&e)
}
