package quant

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// flowed is the definition, pixel by pixel.
func flowed(t Table, p []int32, n, x, y int) int32 {
	at := func(x, y int) int32 { return p[min(max(y, 0), n-1)*n+min(max(x, 0), n-1)] }
	here, sum := at(x, y), int32(16)
	for dy := -1; dy <= 1; dy++ {
		for dx := -1; dx <= 1; dx++ {
			pull := int32(t.At(at(x+dx, y+dy) - here))
			if dx*dy == 0 {
				pull *= 2
			}
			sum += pull // T(0) = 0 for the pixel itself
		}
	}
	return here + sum>>5
}

// oddTable says of -d the negative of what it says of d; half is its largest difference.
func oddTable(r *rand.Rand, half int) Table {
	t := Table{First: int32(-half), Out: make([]int16, 2*half+1)}
	for d := 1; d <= half; d++ {
		v := int16(r.IntN(65535) - 32767)
		t.Out[half+d], t.Out[half-d] = v, -v
	}
	return t
}

func TestFlowIsItsDefinition(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, n := range []int{1, 2, 3, 15, 16, 17, 32, 40, 64, 79} {
			table := oddTable(r, 1+r.IntN(1500))
			f, err := NewFlow(table)
			if err != nil {
				t.Fatal(err)
			}
			src, scratch := make([]int32, n*n), make([]int32, FlowScratch(n))
			for i := range src {
				src[i] = int32(r.IntN(4000)-2000) >> r.IntN(8) << r.IntN(12)
			}
			for i := range scratch {
				scratch[i] = int32(r.Uint32())
			}
			kept := slices.Clone(src)
			dst := make([]int32, n*n+1)
			dst[n*n] = 77
			f.Plane(dst[:n*n], src, scratch, n)
			for i := range src {
				if want := flowed(table, src, n, i%n, i/n); dst[i] != want {
					t.Fatalf("%d x %d: pixel %d, %d becomes %d, want %d", n, n, i%n, i/n, dst[i], want)
				}
			}
			if dst[n*n] != 77 || !slices.Equal(src, kept) {
				t.Fatalf("%d x %d: written elsewhere", n, n)
			}
		}
	})
}

func TestFlowsWithASideAreRefused(t *testing.T) {
	for why, c := range map[string]struct {
		table Table
		ok    bool
	}{
		"odd":                     {Table{-1, []int16{-5, 0, 5}}, true},
		"odd, one end longer":     {Table{-2, []int16{-5, -5, 0, 5}}, true},
		"a pull without a reason": {Table{-1, []int16{-5, 1, 5}}, false},
		"stronger upwards":        {Table{-1, []int16{-5, 0, 6}}, false},
		"differing ends":          {Table{-2, []int16{-7, -5, 0, 5}}, false},
		"not about 0":             {Table{0, []int16{0, 5}}, false},
	} {
		if _, err := NewFlow(c.table); errors.Is(err, ErrFormat) == c.ok {
			t.Errorf("%s: error %v", why, err)
		}
	}
}
