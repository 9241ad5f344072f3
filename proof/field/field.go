// Package field is the finite field that proofs compute in: integers modulo the prime of KoalaBear, and their
// extension of degree four, whose 2^123.9 elements are enough to draw challenges from.
//
// It exists so that the rest of proof/ reads like the book (Thaler, Proofs, Arguments, and
// Zero-Knowledge), and so that one package knows the library that computes. Elements have one
// encoding, and what is not it is refused.
//
// It knows no model, no transcript and no proof, and must not: it is arithmetic.
package field

import (
	"bytes"
	"encoding/binary"

	"github.com/consensys/gnark-crypto/field/koalabear"
	"github.com/consensys/gnark-crypto/field/koalabear/extensions"
)

// P is the prime 2³¹ - 2²⁴ + 1.
const P = 1<<31 - 1<<24 + 1

// Size is that of an encoded Ext in bytes.
const Size = 16

// An Element is an integer modulo P.
type Element = koalabear.Element

// An Ext is an element a₀ + a₁u + (b₀ + b₁u)v of the extension, u² = 3, v² = u.
type Ext = extensions.E4

// Of is an integer modulo P.
func Of(v int64) (e Element) {
	v %= P
	if v < 0 {
		v += P
	}
	e.SetUint64(uint64(v))
	return e
}

// Coordinates are the four of an extension element, each below P.
func Coordinates(e *Ext) [4]uint32 {
	return [4]uint32{uint32(e.B0.A0.Uint64()), uint32(e.B0.A1.Uint64()), uint32(e.B1.A0.Uint64()), uint32(e.B1.A1.Uint64())}
}

// FromCoordinates is the element of four coordinates, taken modulo P.
func FromCoordinates(c [4]uint64) (e Ext) {
	e.B0.A0.SetUint64(c[0] % P)
	e.B0.A1.SetUint64(c[1] % P)
	e.B1.A0.SetUint64(c[2] % P)
	e.B1.A1.SetUint64(c[3] % P)
	return e
}

// Append appends the encodings of elements: four uint32 below P each, little-endian.
func Append(b []byte, all ...Ext) []byte {
	for i := range all {
		for _, c := range Coordinates(&all[i]) {
			b = binary.LittleEndian.AppendUint32(b, c)
		}
	}
	return b
}

// Read reads an element from the first Size bytes, which there must be. It says false of a coordinate that is not below P.
func Read(b []byte) (Ext, bool) {
	var c [4]uint64
	for i := range c {
		v := binary.LittleEndian.Uint32(b[4*i:])
		if v >= P {
			return Ext{}, false
		}
		c[i] = uint64(v)
	}
	return FromCoordinates(c), true
}

// Eq is the table of eq(point, i) = Π (point[t] if bit t of i is set, else 1 - point[t]) for all i, the
// first of point belonging to the highest bit: the multilinear Lagrange basis (Thaler, 3.5).
func Eq(point []Ext) []Ext {
	out := make([]Ext, 1, 1<<len(point))
	out[0].SetOne()
	for t := range point {
		n := len(out)
		out = out[:2*n]
		for i := n - 1; i >= 0; i-- {
			var one Ext
			one.Mul(&out[i], &point[t])
			out[2*i].Sub(&out[i], &one)
			out[2*i+1] = one
		}
	}
	return out
}

// Dot is Σ a[i]·b[i]. b is at least as long as a.
func Dot(a, b []Ext) (sum Ext) {
	for i := range a {
		var z Ext
		z.Mul(&a[i], &b[i])
		sum.Add(&sum, &z)
	}
	return sum
}

// DotElements is Σ a[i]·b[i] for integers b below P, as many as a.
func DotElements(a []Ext, b []uint32) Ext {
	v := make(koalabear.Vector, len(b))
	for i := range v {
		v[i].SetUint64(uint64(b[i]))
	}
	return dot(a, v)
}

// Evaluate is Σ a[j]·xʲ.
func Evaluate(a []Ext, x *Element) Ext { return dot(a, powers(*x, len(a))) }

func dot(a []Ext, v koalabear.Vector) Ext {
	if len(v) == 0 {
		return Ext{}
	}
	defer Settle()
	return extensions.Vector(a).InnerProductByElement(v)
}

// powers are 1, x, x² and so on, n of them: those known so far times their next one are as many again.
func powers(x Element, n int) koalabear.Vector {
	v := make(koalabear.Vector, n)
	if n > 0 {
		v[0].SetOne()
	}
	for have := 1; have < n; have *= 2 {
		more := v[have:min(2*have, n)]
		more.ScalarMul(v[:len(more)], &x)
		x.Square(&x)
	}
	Settle()
	return v
}

// PowersOf are 1, x, x² and so on, n of them, each below P.
func PowersOf(x *Element, n int) []uint32 {
	out := make([]uint32, n)
	for i, p := range powers(*x, n) {
		out[i] = uint32(p.Uint64())
	}
	return out
}

// AddScaled adds c·a to sum, which is as long; scratch is, too.
func AddScaled(sum, a []Ext, c *Ext, scratch []Ext) {
	if len(a) == 0 {
		return
	}
	extensions.Vector(scratch).ScalarMul(a, c)
	extensions.Vector(sum).Add(sum, scratch)
	Settle()
}

// AddPowers adds c·xʲ to sum[j], for all j.
func AddPowers(sum []Ext, c *Ext, x *Element) {
	if len(sum) == 0 {
		return
	}
	extensions.Vector(sum).MulAccByElement(powers(*x, len(sum)), c)
	Settle()
}

// Powers are 1, x, x² and so on, n of them.
func Powers(x Ext, n int) []Ext {
	out := make([]Ext, n)
	if n > 0 {
		out[0].SetOne()
	}
	for i := 1; i < n; i++ {
		out[i].Mul(&out[i-1], &x)
	}
	return out
}

// Root is the N-th root of unity 3^((P-1)/N) of a power of two N, at most 2²⁴.
func Root(n int) (w Element) {
	w.ExpInt64(Of(3), (P-1)/int64(n))
	return w
}

var zeros [256]byte

// Settle is to be called between the library's vector kernels and anything else. They leave the upper halves of
// the vector registers in use (v0.22.0 has no VZEROUPPER), after which SHA-256 of the standard library is a hundred times
// slower; a search of the runtime's ends with that instruction.
func Settle() { bytes.IndexByte(zeros[:], 1) }
