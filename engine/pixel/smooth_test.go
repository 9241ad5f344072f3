package pixel

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/essaim/essaim/quant"
)

// TestSmoothRowIsTheTable compares the row in assembly with the look-ups, for every
// difference at each of the eight neighbours, for any numbers, and for rows that are no whole chunks.
func TestSmoothRowIsTheTable(t *testing.T) {
	if smoothChunk == 0 {
		t.Skip("this build on this machine has look-ups only")
	}
	chunk := smoothChunk
	t.Cleanup(func() { smoothChunk = chunk })
	s := smooth{newFlow()}
	check := func(above, here, below []int32) {
		t.Helper()
		fast, slow := make([]int32, len(here)-2), make([]int32, len(here)-2)
		smoothChunk = chunk
		s.row(fast, above, here, below)
		smoothChunk = 0
		s.row(slow, above, here, below)
		if !slices.Equal(fast, slow) {
			t.Fatalf("rows %v, %v, %v become %v, by look-ups %v", above, here, below, fast, slow)
		}
	}
	const p, chunkRow = 70000, 10 // of the pixel under test, and a row of one chunk
	for d := int32(-17000); d <= 17000; d++ {
		for place := range 9 {
			flat := slices.Repeat([]int32{p}, 3*chunkRow)
			flat[place/3*chunkRow+3+place%3] += d
			check(flat[:chunkRow], flat[chunkRow:2*chunkRow], flat[2*chunkRow:])
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for n := 2; n < 80; n++ {
		rows := make([]int32, 3*n)
		for i := range rows {
			rows[i] = int32(r.Uint32()) >> r.IntN(16)
		}
		check(rows[:n], rows[n:2*n], rows[2*n:])
	}
}

// TestFlowIsOneFormula: what smoothRow computes is the table of newFlow, ends included.
func TestFlowIsOneFormula(t *testing.T) {
	flow := newFlow()
	for d := int64(-3000); d <= 3000; d++ {
		c := min(max(d, -1024), 1024)
		keep := 1<<20 - c*c
		want, short := (c*keep*keep+1<<39)>>40, (c*(keep*keep>>20)+1<<19)>>20
		if got := int64(flow.At(int32(d))); got != want || short != want {
			t.Errorf("flow(%d) is %d, by the formula %d, by the short one %d", d, got, want, short)
		}
	}
}

func BenchmarkSmooth(b *testing.B) {
	s := smooth{newFlow()}
	in := quant.Value{Vectors: 1, Wide: make([]int32, side*side)}
	for i := range in.Wide {
		in.Wide[i] = int32(quant.Draw(1, uint64(i)) % 65281)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Apply([]quant.Value{in}, 1)
	}
}
