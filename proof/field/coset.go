package field

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/field/koalabear"
	"github.com/consensys/gnark-crypto/field/koalabear/fft"
)

// A Coset evaluates polynomials of degree below n with small integers as coefficients at n points: ω^(t + rate·k) for k
// from 0 on, ω being the root of unity of order rate·n. It serves one goroutine.
type Coset struct {
	domain *fft.Domain
	twist  koalabear.Vector // ω^(t·j)
	work   koalabear.Vector
	bits   int
}

// NewCoset makes one; n and rate are powers of two, n at least 2.
func NewCoset(n, rate, t int) *Coset {
	c := &Coset{domain: fft.NewDomain(uint64(n)), twist: make(koalabear.Vector, n), work: make(koalabear.Vector, n), bits: bits.TrailingZeros(uint(n))}
	c.Move(rate, t)
	return c
}

// Move goes to another t.
func (c *Coset) Move(rate, t int) {
	var step Element
	step.ExpInt64(Root(rate*len(c.twist)), int64(t))
	at := koalabear.One()
	for j := range c.twist {
		c.twist[j] = at
		at.Mul(&at, &step)
	}
}

// Point is the k of the value that Values leaves at i: its bits in the reverse order.
func (c *Coset) Point(i int) int { return int(bits.Reverse32(uint32(i)) >> (32 - c.bits)) }

// Values writes the polynomial's values, below P and not in Montgomery's form, to dst, in the order of Point. Both have n elements.
func (c *Coset) Values(dst []Element, coefficients []int8) {
	// Elements are held in Montgomery's form, a·2³². Factors in that form take a number that is not to its product, as
	// it is: so coefficients go in, and values come out, as they are.
	dst = dst[:len(coefficients)]
	for j, w := range coefficients {
		v := uint32(int32(w))
		dst[j][0] = v + P&uint32(int32(w)>>31)
	}
	v := koalabear.Vector(dst)
	v.Mul(v, c.twist)
	c.domain.FFT(v, fft.DIF, fft.WithNbTasks(1))
	Settle()
}

// transform evaluates what is in work.
func (c *Coset) transform(dst []uint32) {
	c.work.Mul(c.work, c.twist)
	c.domain.FFT(c.work, fft.DIF, fft.WithNbTasks(1))
	Settle()
	for i := range dst {
		dst[i] = c.work[i][0]
	}
}
