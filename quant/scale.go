package quant

import "math"

// Round divides by 2^shift, halves rounded up. It is the only rounding there is; see
// the package comment. shift is 0 to 62.
func Round(v int64, shift uint) int64 { return (v + 1<<shift>>1) >> shift }

// Requantise is Round(v*mul, shift), saturated to int32.
func Requantise(v int32, mul int32, shift uint) int32 {
	return int32(min(max(Round(int64(v)*int64(mul), shift), math.MinInt32), math.MaxInt32))
}

// A Scale changes the unit of a vector, each element by its own factor
// Mul[i] / 2^Shift.
type Scale struct {
	Mul   []int32 // 0 <= Mul[i] < 1<<16
	Shift uint    // 1 to 46
}

// Wide writes src in the new unit to dst, which may be src. Both have len(s.Mul)
// elements.
func (s Scale) Wide(dst, src []int32) {
	dst, mul := dst[:len(src)], s.Mul[:len(src)]
	done := 0
	if chosen.scaleWide != nil && len(src) >= scaleChunk {
		done = len(src) &^ (scaleChunk - 1)
		chosen.scaleWide(&dst[0], &src[0], &mul[0], done, s.Shift)
	}
	for i := done; i < len(src); i++ {
		dst[i] = Requantise(src[i], mul[i], s.Shift)
	}
}

// Narrow writes src in the new unit to dst, each element clamped to lo..hi. Both
// have len(s.Mul) elements.
func (s Scale) Narrow(dst []int16, src []int32, lo, hi int16) {
	dst, mul := dst[:len(src)], s.Mul[:len(src)]
	done := 0
	if chosen.scaleNarrow != nil && len(src) >= scaleChunk {
		done = len(src) &^ (scaleChunk - 1)
		chosen.scaleNarrow(&dst[0], &src[0], &mul[0], done, s.Shift, int32(lo), int32(hi))
	}
	for i := done; i < len(src); i++ {
		dst[i] = int16(min(max(Requantise(src[i], mul[i], s.Shift), int32(lo)), int32(hi)))
	}
}

// add writes a + b + offset to dst, element by element, modulo 2³². All have the same length; dst may be a or b.
func add(dst, a, b []int32, offset int32) {
	a, b = a[:len(dst)], b[:len(dst)]
	done := 0
	if chosen.add != nil && len(dst) >= addChunk {
		done = len(dst) &^ (addChunk - 1)
		chosen.add(&dst[0], &a[0], &b[0], done, offset)
	}
	for i := done; i < len(dst); i++ {
		dst[i] = a[i] + b[i] + offset
	}
}

// A Table is a function of an integer: v gives Out[v-First], and the first or the
// last element if v is beyond the ends.
type Table struct {
	First int32
	Out   []int16 // not empty
}

// At looks v up.
func (t Table) At(v int32) int16 {
	return t.Out[min(max(int64(v)-int64(t.First), 0), int64(len(t.Out))-1)]
}
