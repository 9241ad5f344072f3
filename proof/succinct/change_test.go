package succinct

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/quant"
)

// inRanges computes what a change of unit looks up, modulo the prime as the checker's forms do, and reports whether all
// of it is in the table.
func inRanges(v, m int64, shift int, low, rest, q int64) bool {
	inverse := inverse14()
	half := int64(inverse.Uint64())
	c := change{shift: shift}
	high := residue(times(int64(residue(v-low)), half) + 1<<(highBits-1))
	b := int64(residue(times(v, m) + 1<<(shift-1) - times(q, 1<<shift) - times(rest, 1<<lowBits)))
	a := residue(times(int64(residue(times(low, m&(1<<lowBits-1))+c.carry()-b)), half))
	in := func(x int64, bits int) bool { return x >= 0 && x < 1<<bits }
	return in(low, lowBits) && in(int64(high), highBits) && in(b, lowBits) && in(int64(a), lowBits) && in(rest, shift-lowBits)
}

// TestOneQuotient: the quotient that the engine computes is in the table's ranges, and no other number is, whatever
// the cheater takes for the rest.
func TestOneQuotient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shift := rapid.IntRange(lowBits, maxShift).Draw(t, "shift")
		m := rapid.Int64Range(0, 1<<18-1).Draw(t, "factor")
		v := rapid.Int64Range(-maxBound, maxBound-1).Draw(t, "v")
		sum := v*m + 1<<(shift-1)
		q, low := sum>>shift, v&(1<<lowBits-1)
		rest := (sum - q<<shift) >> lowBits
		if m < 1<<16 && q != int64(quant.Requantise(int32(v), int32(m), uint(shift))) {
			t.Fatal("the engine computes something else")
		}
		if !inRanges(v, m, shift, low, rest, q) {
			t.Fatal("the quotient is not accepted")
		}
		most := int64(min(1<<(lowBits+qBits-1), (field.P<<lowBits-(m+1)*maxBound-1<<29)>>shift))
		other := rapid.Int64Range(-most, most-1).Draw(t, "another")
		if near := rapid.Int64Range(-3, 3).Draw(t, "near"); near != 0 {
			other = min(max(q+near, -most), most-1)
		}
		if other == q {
			return
		}
		// Of another quotient b and rest must be a remainder: for any b, rest follows modulo the prime.
		b := rapid.OneOf(rapid.Just(sum&(1<<lowBits-1)), rapid.Int64Range(0, 1<<lowBits-1)).Draw(t, "b")
		inverse := inverse14()
		rest = times(int64(residue(times(v, m)+1<<(shift-1)-times(other, 1<<shift)-b)), int64(inverse.Uint64()))
		if inRanges(v, m, shift, low, rest, other) {
			t.Fatalf("%d passes for %d", other, q)
		}
		wrong := rapid.Int64Range(0, 1<<lowBits-1).Draw(t, "low")
		if wrong != low && inRanges(v, m, shift, wrong, rest, q) {
			t.Fatalf("%d passes for the low bits of %d", wrong, v)
		}
	})
}

// TestTable: each row is found where it is, and nothing else is.
func TestTable(t *testing.T) {
	var y table
	y.use([]int{3, 14, 0})
	y.clamp(-127, 127)
	if n := y.clamp(0, 127); n != 1 || y.clamp(-127, 127) != 0 {
		t.Error("clamps are numbered otherwise")
	}
	rows := 0
	for tag := range y.tags() {
		at, n := y.first(tag)
		if at != rows {
			t.Errorf("tag %d begins at %d, want %d", tag, at, rows)
		}
		for i := range n {
			x, v := y.row(tag, i)
			if row, ok := y.find(tag, x, v); !ok || at+row != rows {
				t.Fatalf("tag %d: %d, %d is at %d, want %d", tag, x, v, row, rows)
			}
			if _, ok := y.find(tag, x, v+1); ok {
				t.Fatalf("tag %d: %d, %d is there", tag, x, v+1)
			}
			rows++
		}
		for _, x := range []int64{-span - 1, span, 1 << 14, 1 << 40, -1 << 40} {
			if _, ok := y.find(tag, x, 0); ok && !(tag == 14 && x == span) {
				t.Errorf("tag %d: %d is there", tag, x)
			}
		}
	}
	if rows != y.rows() || rows != 8+1<<14+1+4*span {
		t.Errorf("%d rows, want %d", y.rows(), rows)
	}
}
