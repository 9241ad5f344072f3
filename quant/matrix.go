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
	m.Products(dst, x, 1, workers)
}

// Products is Product for several vectors, one after the other in x and their sums
// one after the other in dst. The weights are read from memory once for all of them.
func (m *Matrix) Products(dst []int32, x []int16, vectors, workers int) {
	m.products(dst, x, vectors, &Room{Workers: workers})
}

func (m *Matrix) products(dst []int32, x []int16, vectors int, room *Room) {
	const grain = 1 << 16 // multiplications worth a goroutine
	x, dst = x[:vectors*m.Cols], dst[:vectors*m.Rows]
	packed := room.takeBytes(2 * len(x))
	defer room.freeBytes(packed)
	rows := chosen.prepare(m, dst, x, packed, vectors)
	workers := min(room.workers(), m.Rows/4, len(x)*m.Rows/grain)
	if workers <= 1 {
		rows(0, m.Rows)
		return
	}
	var wg sync.WaitGroup
	for i := range workers {
		lo, hi := m.Rows*i/workers&^(tileSide-1), m.Rows*(i+1)/workers&^(tileSide-1)
		if i == workers-1 {
			hi = m.Rows
		}
		wg.Go(func() { rows(lo, hi) })
	}
	wg.Wait()
}
