package logprob

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// A fingerprint of hidden states, after TOPLOC (Ong et al., arXiv 2501.16007): of the last
// hidden states of 32 tokens, one after the other, as bfloat16, the 128 elements of largest
// magnitude are the points (index, bits) of a polynomial, and its coefficients are the
// fingerprint:
//
//	2 bytes   m, the largest number up to 65497 modulo which the indices differ
//	256 bytes the coefficients over GF(65497) of the polynomial of degree 127 through all
//	          (index modulo m, bits modulo 65497), that of x⁰ first
//
// all big-endian. Who has nearly the same states has nearly the same largest elements, and
// finds nearly the same bits where he looks; who has others finds noise.
const (
	// TokensPerFingerprint is how many tokens one fingerprint covers.
	TokensPerFingerprint = 32

	// FingerprintSize is in bytes.
	FingerprintSize = 2 + 2*points

	points = 128
	prime  = 65497
)

// Fingerprint makes the fingerprint of bfloat16 states, given as their bits.
//
// Errors: there are fewer than 128 states.
func Fingerprint(states []uint16) ([]byte, error) {
	top, err := largest(states)
	if err != nil {
		return nil, err
	}
	m := modulus(top)
	xs, ys := make([]uint32, points), make([]uint32, points)
	for i, at := range top {
		xs[i], ys[i] = uint32(at%m), uint32(states[at])%prime
	}
	out := binary.BigEndian.AppendUint16(nil, uint16(m))
	for _, c := range interpolate(xs, ys) {
		out = binary.BigEndian.AppendUint16(out, uint16(c))
	}
	return out, nil
}

// largest are the indices of the states of largest magnitude, among equals the first ones.
// Bits without the sign are in the order of magnitudes.
func largest(states []uint16) ([]int, error) {
	if len(states) < points {
		return nil, fmt.Errorf("%d hidden states, want %d at least", len(states), points)
	}
	all := make([]int, len(states))
	for i := range all {
		all[i] = i
	}
	slices.SortFunc(all, func(a, b int) int {
		return cmp.Or(cmp.Compare(states[b]&0x7fff, states[a]&0x7fff), cmp.Compare(a, b))
	})
	return all[:points], nil
}

// modulus is the largest one up to prime under which the indices stay different. There is one:
// indices of a few million differ modulo some number near it; at worst m is small and the
// fingerprint says little.
func modulus(indices []int) int {
	seen := make(map[int]bool, len(indices))
	for m := prime; m > points; m-- {
		clear(seen)
		for _, i := range indices {
			seen[i%m] = true
		}
		if len(seen) == len(indices) {
			return m
		}
	}
	return prime
}

// interpolate gives the coefficients of the polynomial through the points: Newton's divided
// differences, then expanded.
func interpolate(xs, ys []uint32) []uint32 {
	n := len(xs)
	d := slices.Clone(ys)
	for level := 1; level < n; level++ {
		for i := n - 1; i >= level; i-- {
			d[i] = mul(sub(d[i], d[i-1]), inverse(sub(xs[i], xs[i-level])))
		}
	}
	out := make([]uint32, n)
	for i := n - 1; i >= 0; i-- { // out = out·(x - xs[i]) + d[i]
		for j := n - 1; j > 0; j-- {
			out[j] = sub(out[j-1], mul(out[j], xs[i]))
		}
		out[0] = sub(d[i], mul(out[0], xs[i]))
	}
	return out
}

func sub(a, b uint32) uint32 { return (a + prime - b) % prime }
func mul(a, b uint32) uint32 { return uint32(uint64(a) * uint64(b) % prime) }

// inverse is a^(prime-2), which is 1/a, and 0 for 0.
func inverse(a uint32) uint32 {
	out := uint32(1)
	for e := prime - 2; e > 0; e >>= 1 {
		if e&1 == 1 {
			out = mul(out, a)
		}
		a = mul(a, a)
	}
	return out
}

// Comparison is how a verifier's states fit a fingerprint, at the 128 places where they are
// largest.
type Comparison struct {
	Exponents int    // how many have the same sign and exponent
	Mean      uint64 // of the differences of their mantissas (0 to 127), in 1/1000; of none: 127000
	Median    uint64 // likewise, in 1
}

// Fits says whether that is within the thresholds that TOPLOC's authors use for bfloat16.
func (c Comparison) Fits() bool { return c.Exponents > 90 && c.Mean < 10_000 && c.Median < 8 }

// Compare looks a fingerprint up where the verifier's own states are largest.
//
// Errors: the fingerprint has another size or no modulus, or there are too few states.
func Compare(fingerprint []byte, states []uint16) (Comparison, error) {
	if len(fingerprint) != FingerprintSize {
		return Comparison{}, fmt.Errorf("a fingerprint of %d bytes, want %d", len(fingerprint), FingerprintSize)
	}
	m := int(binary.BigEndian.Uint16(fingerprint))
	if m <= points || m > prime {
		return Comparison{}, fmt.Errorf("a fingerprint modulo %d", m)
	}
	top, err := largest(states)
	if err != nil {
		return Comparison{}, err
	}
	var off []uint64
	sum := uint64(0)
	for _, at := range top {
		said, have := uint16(evaluate(fingerprint[2:], uint32(at%m))), states[at]
		if said>>7 != have>>7 {
			continue
		}
		a, b := uint64(said&0x7f), uint64(have&0x7f)
		off = append(off, max(a, b)-min(a, b))
		sum += max(a, b) - min(a, b)
	}
	if len(off) == 0 {
		return Comparison{Mean: 127_000, Median: 127}, nil
	}
	slices.Sort(off)
	return Comparison{Exponents: len(off), Mean: 1000 * sum / uint64(len(off)), Median: off[len(off)/2]}, nil
}

// evaluate is the polynomial's value, by Horner's rule.
func evaluate(coefficients []byte, x uint32) (y uint32) {
	for i := len(coefficients) - 2; i >= 0; i -= 2 {
		c := uint32(binary.BigEndian.Uint16(coefficients[i:])) % prime
		y = (mul(y, x) + c) % prime
	}
	return y
}
