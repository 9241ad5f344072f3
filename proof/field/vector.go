package field

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/field/koalabear"
	"github.com/consensys/gnark-crypto/field/koalabear/extensions"
)

// A Vector has the library's arithmetic of whole vectors, Add, Sub, Mul, ScalarMul, MulByElement and InnerProduct among
// it, all of one length. Who has used it calls Settle before anything else is computed.
type Vector = extensions.Vector

// Elements is a Vector's counterpart of integers.
type Elements = koalabear.Vector

// EqTable is Eq by whole vectors.
func EqTable(point []Ext) []Ext {
	out := make([]Ext, 1<<len(point))
	out[0].SetOne()
	for t := len(point) - 1; t >= 0; t-- { // the highest bit, being the first coordinate, doubles the table last
		n := 1 << (len(point) - 1 - t)
		low, high := Vector(out[:n]), Vector(out[n:2*n])
		high.ScalarMul(low, &point[t])
		low.Sub(low, high)
	}
	Settle()
	return out
}

// Numbers is Values of coefficients below P.
func (c *Coset) Numbers(dst, coefficients []uint32) {
	for j, w := range coefficients {
		c.work[j][0] = w
	}
	c.transform(dst)
}

// Evaluations are the values at x of polynomials of one length.
func Evaluations(x *Element, all ...[]Ext) []Ext {
	out := make([]Ext, len(all))
	p := powers(*x, len(all[0]))
	for i, a := range all {
		out[i] = Vector(a).InnerProductByElement(p)
	}
	Settle()
	return out
}

// Lift makes integers below P elements of the extension.
func Lift(dst []Ext, v []uint32) {
	for i, a := range v {
		dst[i] = Ext{}
		dst[i].B0.A0.SetUint64(uint64(a))
	}
}

// Combine is Σ c[r]·(row r), rows of len(dst) integers below P lying one after the other; a last row that is shorter
// is filled up with zeros.
func Combine(dst []Ext, c []Ext, v []uint32) {
	row := make(Elements, len(dst))
	for r := range c {
		from := v[min(r*len(dst), len(v)):min((r+1)*len(dst), len(v))]
		for j, a := range from {
			row[j].SetUint64(uint64(a))
		}
		clear(row[len(from):])
		Vector(dst).MulAccByElement(row, &c[r])
	}
	Settle()
}

// Logarithm is the smallest k with 2^k at least n, which is above 0.
func Logarithm(n int) int { return bits.Len(uint(n - 1)) }

// block is how many elements are computed with at once: few enough to stay in the nearest cache.
const block = 128

// Fold fixes the highest bit of a table's places to c: low becomes low + c·(high - low). Settle is left to the caller.
func Fold(low, high []Ext, c *Ext) {
	var room [block]Ext
	for from := 0; from < len(low); from += block {
		n := min(block, len(low)-from)
		d, to := Vector(room[:n]), Vector(low[from:][:n])
		d.Sub(high[from:][:n], to)
		d.ScalarMul(d, c)
		to.Add(to, d)
	}
}
