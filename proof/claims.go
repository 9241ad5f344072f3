package proof

import (
	"encoding/binary"
	"fmt"

	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/transcript"
	"github.com/essaim/essaim/quant"
)

// A claim is one vector of a given output: that d = W·x for matrix number matrix, d being the output less the bias;
// equation (1) of docs/protocol/proof.md.
type claim struct {
	matrix int
	dense  []int16 // x of a product, or
	pairs  []int32 // of a gather: rows of its table and their weights
	out    []int32
	bias   []int32 // nil: none
}

// claims are those of an operator whose output, of the right size, is out.
func claimsOf(o quant.Op, matrix int, s commit.Shape, out []int32) (all []claim) {
	var bias []int32
	if p, ok := o.Operator.(quant.Product); ok {
		bias = p.Bias
	}
	in := o.In[0]
	n := in.Elements()
	for v := range in.Vectors {
		c := claim{matrix: matrix, out: out[v*s.Rows:][:s.Rows], bias: bias}
		if in.Wide != nil {
			c.pairs = in.Wide[v*n:][:n]
		} else {
			c.dense = in.Narrow[v*n:][:n]
		}
		all = append(all, c)
	}
	return all
}

// each calls do with the x that are not 0 and their places; a place may come more than once.
func (c claim) each(cols int, do func(j int, x int64)) {
	for j, x := range c.dense {
		if x != 0 {
			do(j, int64(x))
		}
	}
	for i := 0; i+1 < len(c.pairs); i += 2 {
		row, weight := c.pairs[i], c.pairs[i+1]
		if weight != 0 && row >= 0 && int(row) < cols {
			do(int(row), int64(weight))
		}
	}
}

// d is what the products of row i must come to.
func (c claim) d(i int) int64 {
	v := int64(c.out[i])
	if c.bias != nil {
		v -= int64(c.bias[i])
	}
	return v
}

// within checks (2): that neither side of the claim can differ from the other and still be the same modulo P.
func (c claim) within(s commit.Shape) error {
	bound := int64(0)
	c.each(s.Cols, func(_ int, x int64) { bound += 128 * max(x, -x) })
	if bound >= field.P/2 {
		return fmt.Errorf("%s reads numbers whose products could reach %d, beyond the field", s.Name, bound)
	}
	for i := range c.out {
		if d := c.d(i); d > bound || d < -bound {
			return fmt.Errorf("%s put out %d, which no weights can make", s.Name, c.out[i])
		}
	}
	return nil
}

// inputs is the table of X, Lanes numbers for each j of a lane: all x of a matrix, with a power of γ each.
func inputs(l *commit.Layout, all []claim, powers []field.Ext) []field.Ext {
	out := make([]field.Ext, commit.Lane*l.Lanes)
	first := firsts(l)
	for k, c := range all {
		lane := first[c.matrix]
		c.each(l.Shapes[c.matrix].Cols, func(j int, x int64) {
			e := field.Of(x)
			var z field.Ext
			z.MulByElement(&powers[k], &e)
			to := &out[j%commit.Lane*l.Lanes+lane+j/commit.Lane]
			to.Add(to, &z)
		})
	}
	return out
}

// firsts are the first lanes of all matrices.
func firsts(l *commit.Layout) []int {
	out := make([]int, len(l.Shapes))
	for i := range out {
		out[i] = l.FirstLane(i)
	}
	return out
}

// total is the left side of (3).
func total(all []claim, r, powers []field.Ext) (sum field.Ext) {
	eq := field.Eq(r)
	for k, c := range all {
		var own field.Ext
		for i := range c.out {
			if d := c.d(i); d != 0 {
				e := field.Of(d)
				var z field.Ext
				z.MulByElement(&eq[i], &e)
				own.Add(&own, &z)
			}
		}
		own.Mul(&own, &powers[k])
		sum.Add(&sum, &own)
	}
	return sum
}

// begin is the transcript of a proof about so many statements, before the first one.
func (m *Model) begin(statements int) *transcript.Transcript {
	return m.Begin(modeClear, statements)
}

// absorb adds a statement and its run.
func absorb(t *transcript.Transcript, s Statement, headers []byte, given [][]int32) {
	t.Absorb("statement", s.bytes())
	t.Absorb("operators", headers)
	n := 0
	for _, out := range given {
		n += 4 * len(out)
	}
	b := make([]byte, 0, n)
	for _, out := range given {
		for _, v := range out {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
	}
	t.Absorb("given", b)
}
