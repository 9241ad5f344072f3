package pixel

import (
	"math/bits"

	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/program"
)

// passes of smooth that a plane gets.
const passes = 3

// eachPlane makes an output whose planes, one a vector, have grown by a factor, and
// calls do with each input's and output's place.
func eachPlane(in quant.Value, growth int, r *quant.Room, do func(dst []int32, from, n int)) quant.Value {
	n := in.Elements()
	out := r.Wide(in.Vectors, n*growth)
	r.Each(in.Vectors, func(v int) { do(out.Wide[v*n*growth:][:n*growth], v*n, n) })
	return out
}

// times16 has one input, of activations, and multiplies by 16.
type times16 struct{}

// Kind is "times16".
func (times16) Kind() string { return "times16" }

// Numbers are none.
func (times16) Numbers() []int32 { return nil }

// Type is Int32.
func (times16) Type() quant.Type { return quant.Int32 }

// Apply is described with the type.
func (times16) Apply(in []quant.Value, r *quant.Room) quant.Value {
	return eachPlane(in[0], 1, r, func(dst []int32, from, n int) {
		for i, v := range in[0].Narrow[from:][:n] {
			dst[i] = 16 * int32(v)
		}
	})
}

// double has one input, square planes of activations, and enlarges them bilinearly to
// twice the side. Values come out 16 times larger: weights 1 and 3 each way, undivided.
type double struct{}

// Kind is "double".
func (double) Kind() string { return "double" }

// Numbers are none.
func (double) Numbers() []int32 { return nil }

// Type is Int32.
func (double) Type() quant.Type { return quant.Int32 }

// Apply is described with the type.
func (double) Apply(in []quant.Value, r *quant.Room) quant.Value {
	return eachPlane(in[0], 4, r, func(dst []int32, from, n int) { doublePlane(dst, in[0].Narrow[from:][:n]) })
}

func doublePlane(out []int32, p []int16) {
	n := root2(len(p))
	for y := range 2 * n {
		near := p[y/2*n:][:n]
		far := p[clamp(y/2-1+y%2*2, n)*n:][:n] // above for even rows, below for odd ones
		line := out[y*2*n:][:2*n]
		here := 3*int32(near[0]) + int32(far[0])
		before := here
		for x := range n {
			next := here
			if x+1 < n {
				next = 3*int32(near[x+1]) + int32(far[x+1])
			}
			line[2*x] = 3*here + before
			line[2*x+1] = 3*here + next
			before, here = here, next
		}
	}
}

// root2 is the side of a square plane whose side is a power of two.
func root2(area int) int { return 1 << (bits.Len(uint(area)) / 2) }

// smooth has one input, of int32, in each of whose vectors a square plane begins at element
// from. It takes the mottling out of the plane's areas.
type smooth struct {
	flow           quant.Flow
	from, elements int
}

// Kind is "smooth".
func (smooth) Kind() string { return "smooth" }

// Numbers are what the table begins with, and from.
func (s smooth) Numbers() []int32 { return []int32{s.flow.First, int32(s.from)} }

// Type is Int32.
func (smooth) Type() quant.Type { return quant.Int32 }

// Apply is described with the type.
func (s smooth) Apply(in []quant.Value, r *quant.Room) quant.Value {
	var (
		n       = root2(s.elements)
		stride  = in[0].Elements()
		out     = r.Wide(in[0].Vectors, s.elements)
		scratch = r.Wide(in[0].Vectors, quant.FlowScratch(n))
	)
	defer r.Free(scratch)
	r.Each(in[0].Vectors, func(v int) {
		s.flow.Plane(out.Vector(v).Wide, in[0].Wide[v*stride+s.from:][:s.elements], scratch.Vector(v).Wide, n)
	})
	return out
}

// enlarge has one input, square planes, and enlarges them by a spline.
type enlarge struct{ *spline }

// Kind is "enlarge".
func (enlarge) Kind() string { return "enlarge" }

// Numbers are the factor.
func (e enlarge) Numbers() []int32 { return []int32{int32(e.Factor)} }

// Type is Int32.
func (enlarge) Type() quant.Type { return quant.Int32 }

// Apply is described with the type.
func (e enlarge) Apply(in []quant.Value, r *quant.Room) quant.Value {
	tall := r.Wide(in[0].Vectors, in[0].Elements()*e.Factor) // with all rows, not yet all columns
	defer r.Free(tall)
	return eachPlane(in[0], e.Factor*e.Factor, r, func(dst []int32, from, n int) {
		e.enlarge(dst, tall.Wide[from*e.Factor:][:n*e.Factor], in[0].Wide[from:][:n])
	})
}

// A spline enlarges planes by a factor.
type spline struct{ *program.Spline }

func newSpline(factor int) *spline { return &spline{program.NewSpline(factor)} }

// enlarge does the columns, to tall, then the rows, to out, of a square plane, rounding after each.
func (s *spline) enlarge(out, tall, p []int32) {
	n := root2(len(p))
	big := n * s.Factor
	for y := range big {
		w, at := &s.Weight[y%s.Factor], y/s.Factor+s.First[y%s.Factor]
		a, b, c, d := p[clamp(at, n)*n:][:n], p[clamp(at+1, n)*n:][:n], p[clamp(at+2, n)*n:][:n], p[clamp(at+3, n)*n:][:n]
		line := tall[y*n:][:n]
		for x := range line {
			line[x] = s.Blend(w, a[x], b[x], c[x], d[x])
		}
	}
	for y := range big {
		from, line := tall[y*n:][:n], out[y*big:][:big]
		for x := range line {
			w, at := &s.Weight[x%s.Factor], x/s.Factor+s.First[x%s.Factor]
			line[x] = s.Blend(w, from[clamp(at, n)], from[clamp(at+1, n)], from[clamp(at+2, n)], from[clamp(at+3, n)])
		}
	}
}

// clamp is the nearest of 0..n-1.
func clamp(i, n int) int { return min(max(i, 0), n-1) }
