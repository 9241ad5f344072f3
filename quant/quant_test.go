package quant_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/essaim/essaim/quant"
)

func randomMatrix(r *rand.Rand, rows, cols int) *quant.Matrix {
	m := &quant.Matrix{Rows: rows, Cols: cols, W: make([]int8, rows*cols), Bias: make([]int32, rows)}
	for i := range m.W {
		m.W[i] = int8(r.IntN(255) - 127)
	}
	for i := range m.Bias {
		m.Bias[i] = int32(r.IntN(2_000_001) - 1_000_000)
	}
	return m
}

func randomVector(r *rand.Rand, n, limit int) []int16 {
	x := make([]int16, n)
	for i := range x {
		x[i] = int16(r.IntN(2*limit+1) - limit)
	}
	return x
}

// naive is the definition of a product, in integers that cannot overflow.
func naive(m *quant.Matrix, x []int16) []int64 {
	out := make([]int64, m.Rows)
	for r := range out {
		for c, v := range x {
			out[r] += int64(m.W[r*m.Cols+c]) * int64(v)
		}
		if m.Bias != nil {
			out[r] += int64(m.Bias[r])
		}
	}
	return out
}

func TestProductIsTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		m := randomMatrix(r, 1+r.IntN(600), 1+r.IntN(300))
		if r.IntN(4) == 0 {
			m.Bias = nil
		}
		x := randomVector(r, m.Cols, min(m.Limit(), math.MaxInt16))
		want := naive(m, x)
		for _, workers := range []int{0, 1, 2, 3, 7} {
			got := make([]int32, m.Rows)
			m.Product(got, x, workers)
			for i := range got {
				if int64(got[i]) != want[i] {
					t.Fatalf("%d x %d, %d workers: row %d is %d, want %d", m.Rows, m.Cols, workers, i, got[i], want[i])
				}
			}
		}
	}
}

func TestLimitHoldsAtTheExtreme(t *testing.T) {
	for _, cols := range []int{520, 2048} {
		m := &quant.Matrix{Rows: 1, Cols: cols, W: slices.Repeat([]int8{-127}, cols), Bias: []int32{-12345}}
		limit := m.Limit()
		if limit > math.MaxInt16 {
			t.Fatalf("limit %d is not a bound for int16 inputs", limit)
		}
		x := slices.Repeat([]int16{int16(limit)}, cols)
		got := make([]int32, 1)
		m.Product(got, x, 1)
		if want := naive(m, x)[0]; int64(got[0]) != want {
			t.Errorf("%d columns at limit %d: %d, want %d", cols, limit, got[0], want)
		}
	}
}

// bigRound is floor(v·mul/2^shift + 1/2) by big integers.
func bigRound(v, mul int64, shift uint) *big.Int {
	p := new(big.Int).Mul(big.NewInt(v), big.NewInt(mul))
	p.Add(p, new(big.Int).Lsh(big.NewInt(1), shift-1))
	return p.Div(p, new(big.Int).Lsh(big.NewInt(1), shift)) // Euclidean: the floor, as 2^shift > 0
}

func FuzzRequantise(f *testing.F) {
	f.Add(int32(1), uint16(1), uint8(0))
	f.Add(int32(-1), uint16(1), uint8(0))
	f.Add(int32(math.MinInt32), uint16(65535), uint8(0))
	f.Add(int32(math.MaxInt32), uint16(65535), uint8(45))
	f.Fuzz(func(t *testing.T, v int32, mul uint16, s uint8) {
		shift := uint(s)%46 + 1
		want := bigRound(int64(v), int64(mul), shift)
		if limit := big.NewInt(math.MaxInt32); want.Cmp(limit) > 0 {
			want = limit
		} else if limit := big.NewInt(math.MinInt32); want.Cmp(limit) < 0 {
			want = limit
		}
		if got := quant.Requantise(v, int32(mul), shift); int64(got) != want.Int64() {
			t.Errorf("Requantise(%d, %d, %d) = %d, want %v", v, mul, shift, got, want)
		}
	})
}

func TestRoundHalvesUp(t *testing.T) {
	for _, c := range []struct {
		v     int64
		shift uint
		want  int64
	}{{3, 1, 2}, {1, 1, 1}, {-1, 1, 0}, {-3, 1, -1}, {5, 2, 1}, {6, 2, 2}, {-6, 2, -1}, {-7, 2, -2}, {9, 0, 9}} {
		if got := quant.Round(c.v, c.shift); got != c.want {
			t.Errorf("Round(%d, %d) = %d, want %d", c.v, c.shift, got, c.want)
		}
	}
}

func TestScaleNarrowsAndWidens(t *testing.T) {
	s := quant.Scale{Mul: []int32{1, 2, 3, 60000}, Shift: 2}
	src := []int32{-6, 6, 400, math.MaxInt32}
	wide := make([]int32, 4)
	s.Wide(wide, src)
	if want := []int32{-1, 3, 300, math.MaxInt32}; !slices.Equal(wide, want) {
		t.Errorf("wide %v, want %v", wide, want)
	}
	narrow := make([]int16, 4)
	s.Narrow(narrow, src, 0, 127)
	if want := []int16{0, 3, 127, 127}; !slices.Equal(narrow, want) {
		t.Errorf("narrow %v, want %v", narrow, want)
	}
}

func TestTableClampsItsIndex(t *testing.T) {
	tab := quant.Table{First: -1, Out: []int16{10, 20, 30}}
	for v, want := range map[int32]int16{math.MinInt32: 10, -2: 10, -1: 10, 0: 20, 1: 30, 2: 30, math.MaxInt32: 30} {
		if got := tab.At(v); got != want {
			t.Errorf("At(%d) = %d, want %d", v, got, want)
		}
	}
}

// TestDrawIsSplitMix64 compares with the sequential generator, whose first values for
// state 0 are published.
func TestDrawIsSplitMix64(t *testing.T) {
	for i, want := range []uint64{0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F} {
		if got := quant.Draw(0, uint64(i)); got != want { // mix(0) = 0
			t.Errorf("Draw(0, %d) = %#x, want %#x", i, got, want)
		}
	}
}

func BenchmarkProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	m := randomMatrix(r, 2048, 512)
	x, dst := randomVector(r, 512, 127), make([]int32, 2048)
	b.SetBytes(2048 * 512)
	for b.Loop() {
		m.Product(dst, x, 1)
	}
}

func BenchmarkNarrow(b *testing.B) {
	s := quant.Scale{Mul: slices.Repeat([]int32{12345}, 2048), Shift: 20}
	src, dst := make([]int32, 2048), make([]int16, 2048)
	for i := range src {
		src[i] = int32(quant.Draw(1, uint64(i)) % 65536)
	}
	for b.Loop() {
		s.Narrow(dst, src, 0, 127)
	}
}
