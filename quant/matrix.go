package quant

import (
	"math"
	"sync"
)

// A Matrix maps Cols activations to Rows sums. It is not changed by its methods, so
// it may be shared.
type Matrix struct {
	Rows, Cols int
	W          []int8  // Rows*Cols weights, row-major, each -127..127
	Bias       []int32 // Rows, in the unit of the sums; nil: none
}

// Limit is the largest |x| for which no sum, nor any part of one, can leave int32,
// whatever the weights are.
func (m *Matrix) Limit() int {
	room := int64(math.MaxInt32)
	for _, b := range m.Bias {
		room = min(room, math.MaxInt32-max(int64(b), -int64(b)))
	}
	return int(room / (127 * int64(m.Cols)))
}

// Product writes the sums W·x + Bias to dst. x has Cols elements within ±Limit(), dst
// has Rows.
//
// The rows are shared out to at most workers goroutines, all finished when Product
// returns; 1 or less computes in the caller's. The result does not depend on it.
func (m *Matrix) Product(dst []int32, x []int16, workers int) {
	const grain = 128 // rows worth a goroutine
	workers = min(workers, m.Rows/grain)
	if workers <= 1 {
		m.rows(dst, x, 0, m.Rows)
		return
	}
	var wg sync.WaitGroup
	for i := range workers {
		lo, hi := m.Rows*i/workers, m.Rows*(i+1)/workers
		wg.Go(func() { m.rows(dst, x, lo, hi) })
	}
	wg.Wait()
}

// rows computes dst[lo:hi], four rows at a time: each activation is then loaded and
// widened once for four multiplications.
func (m *Matrix) rows(dst []int32, x []int16, lo, hi int) {
	n := m.Cols
	x = x[:n]
	r := lo
	for ; r+4 <= hi; r += 4 {
		w := m.W[r*n : (r+4)*n]
		dot4((*[4]int32)(dst[r:r+4]), w[:n], w[n:2*n], w[2*n:3*n], w[3*n:], x)
	}
	for ; r < hi; r++ {
		dst[r] = dot(m.W[r*n:(r+1)*n], x)
	}
	if m.Bias != nil {
		Add(dst[lo:hi], m.Bias[lo:hi])
	}
}

func dot(w []int8, x []int16) (sum int32) {
	w = w[:len(x)]
	for i, v := range x {
		sum += int32(w[i]) * int32(v)
	}
	return sum
}

func dot4(sum *[4]int32, a, b, c, d []int8, x []int16) {
	a, b, c, d = a[:len(x)], b[:len(x)], c[:len(x)], d[:len(x)]
	var sa, sb, sc, sd int32
	for i, v := range x {
		v := int32(v)
		sa += int32(a[i]) * v
		sb += int32(b[i]) * v
		sc += int32(c[i]) * v
		sd += int32(d[i]) * v
	}
	*sum = [4]int32{sa, sb, sc, sd}
}
