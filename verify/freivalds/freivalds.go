// Package freivalds checks products of integer matrices without computing them (V3), after
// Freivalds, 1977.
//
// Whoever says that the sums of a product are S[v] = W·x[v] + b is asked for one number a
// vector: with a secret vector u, u·S[v] must be (uW)·x[v] + u·b. The verifier computes uW
// and u·b once and keeps them ([Key]); then a vector costs rows + columns multiplications
// where the product costs rows · columns.
//
// # How sure
//
// The elements of u are uniform in 0..2³¹-1 and all is computed modulo 2⁶⁴. If a sum is wrong,
// by d = 2^t·odd with |d| < 2³², then for any choice of the other elements at most one value of
// its own element of u hides that, since t + 31 < 64. So a wrong product passes with
// chance at most 2⁻³¹, whatever is wrong with it. Someone who tries k wrong products
// against one key passes with one of them with chance at most k·2⁻³¹: before that he only learns that
// he was caught, which he knew. A test measures this with smaller vectors.
//
// It checks the product and nothing else: other operators of a trace are recomputed, which
// costs little. A [Key] is a secret of its verifier: who knows it can make wrong sums that
// pass. It must not be stored where a miner reads it.
package freivalds

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/essaim/essaim/quant"
)

// bits of an element of u.
const bits = 31

// A Key checks the products of one matrix. It is not changed by its methods.
type Key struct {
	m     *quant.Matrix
	left  []uint64 // u
	wide  []uint64 // uW
	bias  uint64   // u·b
	limit int16
}

// NewKey draws a key for a matrix, whose weights it reads once.
//
// Errors: those of the machine's random numbers.
func NewKey(m *quant.Matrix) (*Key, error) {
	left := make([]uint64, m.Rows)
	b := make([]byte, 4*m.Rows)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("drawing a key: %w", err)
	}
	for i := range left {
		left[i] = uint64(binary.LittleEndian.Uint32(b[4*i:]) >> (32 - bits))
	}
	return newKey(m, left), nil
}

func newKey(m *quant.Matrix, left []uint64) *Key {
	k := &Key{m: m, left: left, wide: make([]uint64, m.Cols), limit: int16(min(m.Limit(), 1<<15-1))}
	for r, u := range left {
		if m.Bias != nil {
			k.bias += u * uint64(m.Bias[r])
		}
		for c, w := range m.W[r*m.Cols:][:m.Cols] {
			k.wide[c] += u * uint64(w)
		}
	}
	return k
}

// Check reports whether sums are the products of the matrix with vectors x, one after the
// other, biases included; if not, the first vector that is wrong. Activations beyond
// Matrix.Limit, of which no model's product is defined, count as wrong.
func (k *Key) Check(sums []int32, x []int16) (wrong int, ok bool) {
	rows, cols := k.m.Rows, k.m.Cols
	if len(x)%cols != 0 || len(sums) != len(x)/cols*rows {
		return 0, false
	}
	for v := range len(x) / cols {
		out, in := sums[v*rows:][:rows], x[v*cols:][:cols]
		within := true
		if k.limit < 1<<15-1 {
			for _, a := range in {
				within = within && a <= k.limit && a >= -k.limit
			}
		}
		if !within || dot(k.left, out) != dot(k.wide, in)+k.bias {
			return v, false
		}
	}
	return 0, true
}

// dot is the product of two vectors modulo 2⁶⁴. Four sums of their own let the processor
// multiply before it has added.
func dot[T int16 | int32](a []uint64, b []T) uint64 {
	var s0, s1, s2, s3 uint64
	n := len(b) &^ 7
	for i := 0; i < n; i += 8 {
		p, q := (*[8]uint64)(a[i:]), (*[8]T)(b[i:])
		s0 += p[0]*uint64(q[0]) + p[4]*uint64(q[4])
		s1 += p[1]*uint64(q[1]) + p[5]*uint64(q[5])
		s2 += p[2]*uint64(q[2]) + p[6]*uint64(q[6])
		s3 += p[3]*uint64(q[3]) + p[7]*uint64(q[7])
	}
	for i := n; i < len(b); i++ {
		s0 += a[i] * uint64(b[i])
	}
	return s0 + s1 + s2 + s3
}
