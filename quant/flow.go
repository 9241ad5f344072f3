package quant

import "fmt"

// A Flow evens out the areas of a picture and leaves its edges: one pass of anisotropic diffusion
// (Perona and Malik, 1990). Each of a pixel's eight neighbours pulls it by what a table says of
// their difference, diagonal ones half as much. Two neighbours pull each other alike, so that
// each pair is looked up once.
type Flow struct {
	Table         // sixteen times what a difference moves; of -d it says the negative of what it says of d
	pulls []int32 // Out, as vectors read it
}

// NewFlow makes a flow of a table.
//
// Errors: wraps ErrFormat if what it says of -d is not the negative of what it says of d.
func NewFlow(t Table) (Flow, error) {
	f := Flow{Table: t, pulls: make([]int32, len(t.Out))}
	for i, v := range t.Out {
		f.pulls[i] = int32(v)
	}
	for d := range int32(len(t.Out)) + max(t.First, -t.First) + 1 {
		if t.At(-d) != -t.At(d) {
			return f, fmt.Errorf("%w: a table of differences says %d of %d and %d of %d", ErrFormat, t.At(d), d, t.At(-d), -d)
		}
	}
	return f, nil
}

// FlowScratch is the number of elements that Plane needs for itself for a side of n.
func FlowScratch(n int) int { return 8 * (n + 2) }

// Plane writes to dst a plane of n x n pixels, n above 0, made of src's: of a pixel p with straight neighbours q and
// diagonal ones r, beyond the border the border repeating,
//
//	p + floor((2·ΣT(q-p) + ΣT(r-p) + 16) / 32)
//
// Differences may not leave int32, nor may results. What is in scratch is any number.
func (f Flow) Plane(dst, src, scratch []int32, n int) {
	wide := n + 2 // a pixel of border on each side
	here, below := scratch[:wide], scratch[wide:][:wide]
	was, now := scratch[2*wide:][:3*wide], scratch[5*wide:][:3*wide]
	padRow(below, src[:n])
	for y := -1; y < n; y++ { // the row above the first is the first again: of it only the pulls count
		here, below = below, here
		padRow(below, src[min(y+1, n-1)*n:][:n])
		f.row(dst[max(y, 0)*n:][:n], here, below, was, now)
		now[wide], now[3*wide-1] = now[1], now[n] // pulls from the border, downwards to the right and to the left
		was, now = now, was
	}
}

// padRow repeats a row's ends.
func padRow(dst, row []int32) {
	copy(dst[1:], row)
	dst[0], dst[len(row)+1] = row[0], row[len(row)-1]
}

// row makes one row. was has the pulls from each pixel of the row above on those below it: straight,
// to the right and to the left, each with a border; now gets this row's.
func (f Flow) row(dst, here, below, was, now []int32) {
	n, wide := len(dst), len(dst)+2
	x, before := 0, int32(0) // what the pixel to the left is pulled by
	if n >= flowChunk && chosen.flow != nil {
		x = n &^ (flowChunk - 1)
		before = chosen.flow(&dst[0], &here[0], &below[0], &was[0], &now[0], &f.pulls[0], x, wide, f.First, int32(len(f.pulls)-1))
	}
	for ; x < n; x++ {
		p := here[x+1]
		next, down, right, left := f.pull(p, here[x+2]), f.pull(p, below[x+1]), f.pull(p, below[x+2]), f.pull(p, below[x])
		straight := next - before + down - was[x+1]
		diagonal := right - was[wide+x] + left - was[2*wide+x+2]
		now[x+1], now[wide+x+1], now[2*wide+x+1] = down, right, left
		dst[x] = p + (2*straight+diagonal+16)>>5
		before = next
	}
}

// pull is what the table says of the way from one pixel to its neighbour.
func (f Flow) pull(from, to int32) int32 {
	d := to - from - f.First
	return f.pulls[min(max(d, 0), int32(len(f.pulls)-1))]
}
