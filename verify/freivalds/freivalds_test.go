package freivalds

import (
	"math/rand/v2"
	"testing"

	"github.com/essaim/essaim/quant"
)

// layer is a random matrix with activations and their sums.
func layer(seed uint64, rows, cols, vectors int) (m *quant.Matrix, x []int16, sums []int32) {
	r := rand.New(rand.NewPCG(seed, 4))
	m = &quant.Matrix{Rows: rows, Cols: cols, W: make([]int8, rows*cols), Bias: make([]int32, rows)}
	for i := range m.W {
		m.W[i] = int8(r.IntN(255) - 127)
	}
	for i := range m.Bias {
		m.Bias[i] = int32(r.IntN(1<<20) - 1<<19)
	}
	x = make([]int16, vectors*cols)
	for i := range x {
		x[i] = int16(r.IntN(255) - 127)
	}
	sums = make([]int32, vectors*rows)
	m.Products(sums, x, vectors, 1)
	return m, x, sums
}

func key(t testing.TB, m *quant.Matrix) *Key {
	t.Helper()
	k, err := NewKey(m)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestRightIsNeverRefused: there is no error on this side.
func TestRightIsNeverRefused(t *testing.T) {
	for seed, s := range [][3]int{{1, 1, 1}, {3, 5, 2}, {64, 33, 7}, {512, 512, 9}, {2048, 512, 3}, {7, 1024, 1}} {
		m, x, sums := layer(uint64(seed), s[0], s[1], s[2])
		if seed%2 == 1 {
			m.Bias = nil
			m.Products(sums, x, s[2], 1)
		}
		if wrong, ok := key(t, m).Check(sums, x); !ok {
			t.Errorf("%v: vector %d of a right product is refused", s, wrong)
		}
	}
}

// TestAnyWrongSumIsSeen tampers in the ways that a cheater could hope for.
func TestAnyWrongSumIsSeen(t *testing.T) {
	const rows, cols, vectors = 96, 64, 5
	m, x, right := layer(1, rows, cols, vectors)
	k := key(t, m)
	for why, tamper := range map[string]func(s []int32){
		"one off":             func(s []int32) { s[2*rows+7]++ },
		"the highest bit":     func(s []int32) { s[2*rows+7] ^= -1 << 31 },
		"opposite":            func(s []int32) { s[2*rows+7]++; s[2*rows+8]-- },
		"swapped rows":        func(s []int32) { s[2*rows], s[2*rows+1] = s[2*rows+1], s[2*rows] },
		"another vector":      func(s []int32) { copy(s[2*rows:3*rows], s[3*rows:4*rows]) },
		"zeros":               func(s []int32) { clear(s[2*rows : 3*rows]) },
		"all by 65536":        func(s []int32) { add(s[2*rows:3*rows], 1<<16) },
		"all by one":          func(s []int32) { add(s[2*rows:3*rows], 1) },
		"only the last of it": func(s []int32) { s[3*rows-1] += 1 << 20 },
	} {
		sums := append([]int32(nil), right...)
		tamper(sums)
		if wrong, ok := k.Check(sums, x); ok || wrong != 2 {
			t.Errorf("%s: vector %d, ok %v; want vector 2 to be wrong", why, wrong, ok)
		}
	}
	if _, ok := k.Check(right[:rows], x); ok {
		t.Error("fewer sums than vectors are accepted")
	}
	if _, ok := k.Check(right, x[1:]); ok {
		t.Error("a piece of a vector is accepted")
	}
	// Activations for which the product is not defined.
	big := &quant.Matrix{Rows: 1, Cols: 1 << 10, W: make([]int8, 1<<10)}
	far := make([]int16, 1<<10)
	far[9] = int16(big.Limit() + 1)
	if _, ok := key(t, big).Check([]int32{0}, far); ok {
		t.Error("an activation beyond the limit is accepted")
	}
}

func add(s []int32, n int32) {
	for i := range s {
		s[i] += n
	}
}

// TestSoundness measures how often a wrong product passes, with vectors of so few bits
// that it happens: not more often than the package comment says, for those errors, too, that
// make it most likely.
func TestSoundness(t *testing.T) {
	const few, keys = 5, 40_000
	m, x, right := layer(2, 6, 8, 1)
	r := rand.New(rand.NewPCG(5, 6))
	for why, tamper := range map[string]func(s []int32){
		"one element":        func(s []int32) { s[3]++ },
		"the highest bit":    func(s []int32) { s[3] ^= -1 << 31 },
		"two elements":       func(s []int32) { s[1]++; s[2]-- },
		"all":                func(s []int32) { add(s, 1) },
		"multiples of 2^30":  func(s []int32) { s[0] += 1 << 30; s[5] += 1 << 30 },
		"without any system": func(s []int32) { s[0] += 77; s[1] -= 1234; s[4] += 9 },
	} {
		sums := append([]int32(nil), right...)
		tamper(sums)
		passed := 0
		for range keys {
			left := make([]uint64, m.Rows)
			for i := range left {
				left[i] = uint64(r.Uint32N(1 << few))
			}
			k := newKey(m, left)
			if _, ok := k.Check(sums, x); ok {
				passed++
			}
			if _, ok := k.Check(right, x); !ok {
				t.Fatal("a right product is refused")
			}
		}
		const most = keys>>few + 5*35 // five standard deviations
		if passed > most {
			t.Errorf("%s: %d of %d passed, at most %d should", why, passed, keys, keys>>few)
		}
		t.Logf("%s: %d of %d passed with %d bits, bound %d", why, passed, keys, few, keys>>few)
	}
}
