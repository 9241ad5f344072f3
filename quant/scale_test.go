package quant

import (
	"math"
	"math/rand/v2"
	"testing"
)

// checkScale compares a scale with Requantise, element by element.
func checkScale(t *testing.T, s Scale, src []int32, lo, hi int16) {
	t.Helper()
	wide, narrow := make([]int32, len(src)+1), make([]int16, len(src)+1)
	wide[len(src)], narrow[len(src)] = 77, 77
	s.Wide(wide[:len(src)], src)
	s.Narrow(narrow[:len(src)], src, lo, hi)
	for i, v := range src {
		want := Requantise(v, s.Mul[i], s.Shift)
		if clamped := int16(min(max(want, int32(lo)), int32(hi))); wide[i] != want || narrow[i] != clamped {
			t.Fatalf("%d · %d >> %d becomes %d and %d, want %d and %d", v, s.Mul[i], s.Shift, wide[i], narrow[i], want, clamped)
		}
	}
	if wide[len(src)] != 77 || narrow[len(src)] != 77 {
		t.Fatal("written beyond the end")
	}
	if len(src) > 0 { // in place
		s.Wide(src, src)
		if src[0] != wide[0] {
			t.Errorf("in place the first becomes %d, want %d", src[0], wide[0])
		}
	}
}

func TestScalePathsAreRequantise(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		edges := []int32{math.MinInt32, math.MinInt32 + 1, -65537, -1, 0, 1, 2, 65536, math.MaxInt32}
		for range 3000 {
			s := Scale{Shift: uint(1 + r.IntN(46))}
			src := make([]int32, r.IntN(40))
			for i := range src {
				s.Mul = append(s.Mul, int32(r.Uint32()>>(16+r.IntN(16))))
				src[i] = int32(r.Uint32()) >> r.IntN(32)
				if r.IntN(4) == 0 {
					src[i] = edges[r.IntN(len(edges))]
				}
				if r.IntN(4) == 0 { // near halves of the divisor, where rounding decides
					src[i] = int32((int64(1)<<s.Shift>>1)/max(int64(s.Mul[i]), 1)) + int32(r.IntN(3)-1)
				}
			}
			checkScale(t, s, src, -127, 127)
			checkScale(t, s, src, 0, 127)
			checkScale(t, s, src, -16383, 16383)
			checkScale(t, s, src, math.MinInt16, math.MaxInt16)
		}
	})
}

func FuzzScale(f *testing.F) {
	f.Add(int32(-1), int32(1), uint8(0))
	f.Add(int32(math.MinInt32), int32(65535), uint8(0))
	f.Add(int32(math.MaxInt32), int32(65535), uint8(45))
	f.Fuzz(func(t *testing.T, v, mul int32, shift uint8) {
		s := Scale{Shift: uint(shift)%46 + 1}
		src := make([]int32, 19)
		for i := range src {
			s.Mul = append(s.Mul, (mul^int32(i))&0xffff)
			src[i] = v + int32(i)*7
		}
		for _, p := range paths {
			force(t, p)
			checkScale(t, s, append([]int32(nil), src...), -127, 127)
		}
	})
}
