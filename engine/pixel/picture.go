package pixel

import (
	"image"
	"math/bits"

	"github.com/essaim/essaim/quant"
)

// planes is a picture before its conversion to RGB: luma and chroma of n x n pixels, each
// row by row, in 1/65280.
type planes struct {
	n         int
	y, cb, cr []int32
}

// planes turns coefficients (1/4096) into a picture of side x side.
func (w *weights) planes(z []int32, workers int) planes {
	in := make([]int16, coefficients)
	w.basisPre.Narrow(in, z, -16383, 16383)
	v := wide(&w.basis, in, workers)

	y := make([]int32, side*side)
	for i := range y {
		y[i] = 16 * int32(w.luma.At(v[i]))
	}
	chroma := v[side*side:]
	for i, c := range chroma {
		chroma[i] = int32(w.chroma.At(c))
	}
	return planes{
		side,
		w.smooth(y),
		w.smooth(double(chroma[:half*half], half)),
		w.smooth(double(chroma[half*half:], half)),
	}
}

// smooth takes the mottling out of areas and leaves their edges: three passes of
// anisotropic diffusion (Perona and Malik, 1990). Each neighbour pulls a pixel by a table
// of their difference, diagonal ones half as much.
func (w *weights) smooth(p []int32) []int32 {
	const passes = 3
	next := make([]int32, len(p))
	for range passes {
		for y := range side {
			above, here, below := p[clamp(y-1, side)*side:][:side], p[y*side:][:side], p[clamp(y+1, side)*side:][:side]
			for x, v := range here {
				l, r := clamp(x-1, side), clamp(x+1, side)
				straight := w.pull(v, above[x]) + w.pull(v, below[x]) + w.pull(v, here[l]) + w.pull(v, here[r])
				diagonal := w.pull(v, above[l]) + w.pull(v, above[r]) + w.pull(v, below[l]) + w.pull(v, below[r])
				next[y*side+x] = v + 2*straight + diagonal
			}
		}
		p, next = next, p
	}
	return p
}

// newFlow is what a difference moves: Tukey's biweight d·(1 - (d/1024)²)², with
// differences in 1/4080. Those of edges, 1024 and more, move nothing.
func newFlow() quant.Table {
	const edge = 1 << 10
	t := quant.Table{First: -edge}
	for d := int64(-edge); d <= edge; d++ {
		keep := edge*edge - d*d
		t.Out = append(t.Out, int16(quant.Round(d*keep*keep, 40)))
	}
	return t
}

// pull is a sixteenth of the flow from one pixel to its neighbour: the table is in
// 1/4080, its values are taken as 1/65280.
func (w *weights) pull(from, to int32) int32 {
	return int32(w.flow.At(int32(quant.Round(int64(to-from), 4))))
}

// double enlarges a plane of n x n bilinearly to twice that. Its values come out 16
// times larger: weights 1 and 3 each way, undivided.
func double(p []int32, n int) []int32 {
	out := make([]int32, 4*n*n)
	for y := range 2 * n {
		near := p[y/2*n:][:n]
		far := p[clamp(y/2-1+y%2*2, n)*n:][:n] // above for even rows, below for odd ones
		line := out[y*2*n:][:2*n]
		for x := range n {
			here := 3*near[x] + far[x]
			l, r := clamp(x-1, n), clamp(x+1, n)
			line[2*x] = 3*here + 3*near[l] + far[l]
			line[2*x+1] = 3*here + 3*near[r] + far[r]
		}
	}
	return out
}

// clamp is the nearest of 0..n-1.
func clamp(i, n int) int { return min(max(i, 0), n-1) }

// enlarge returns the picture with factor times as many pixels each way; factor is a
// power of two.
func (p planes) enlarge(factor int) planes {
	if factor == 1 {
		return p
	}
	s := newSpline(factor)
	return planes{p.n * factor, s.enlarge(p.y, p.n), s.enlarge(p.cb, p.n), s.enlarge(p.cr, p.n)}
}

// A spline enlarges planes by a factor with the interpolating cubic of Catmull and Rom
// (1974). At t = n/d between two samples its four weights are polynomials of degree three,
// so that 2d³ times each is an integer.
type spline struct {
	factor int
	shift  uint       // the weights' sum is 1 << shift
	weight [][4]int64 // by place within a source pixel
	first  []int      // by place: the first of the four samples, against the source pixel
}

func newSpline(factor int) *spline {
	d := int64(2 * factor) // places are at odd multiples of 1/d
	s := &spline{factor: factor, shift: uint(1 + 3*(bits.Len(uint(2*factor))-1))}
	for i := range factor {
		n, first := int64(2*i+1-factor), -1
		if n < 0 {
			n, first = n+d, -2
		}
		n2, n3 := n*n, n*n*n
		s.first = append(s.first, first)
		s.weight = append(s.weight, [4]int64{
			-n*d*d + 2*n2*d - n3,
			2*d*d*d - 5*n2*d + 3*n3,
			n*d*d + 4*n2*d - 3*n3,
			-n2*d + n3,
		})
	}
	return s
}

// enlarge does the columns, then the rows, of a plane of n x n, rounding after each.
func (s *spline) enlarge(p []int32, n int) []int32 {
	big := n * s.factor
	tall := make([]int32, big*n)
	for y := range big {
		w, at := &s.weight[y%s.factor], y/s.factor+s.first[y%s.factor]
		a, b, c, d := p[clamp(at, n)*n:][:n], p[clamp(at+1, n)*n:][:n], p[clamp(at+2, n)*n:][:n], p[clamp(at+3, n)*n:][:n]
		line := tall[y*n:][:n]
		for x := range line {
			line[x] = s.blend(w, a[x], b[x], c[x], d[x])
		}
	}
	out := make([]int32, big*big)
	for y := range big {
		from, line := tall[y*n:][:n], out[y*big:][:big]
		for x := range line {
			w, at := &s.weight[x%s.factor], x/s.factor+s.first[x%s.factor]
			line[x] = s.blend(w, from[clamp(at, n)], from[clamp(at+1, n)], from[clamp(at+2, n)], from[clamp(at+3, n)])
		}
	}
	return out
}

func (s *spline) blend(w *[4]int64, a, b, c, d int32) int32 {
	return int32(quant.Round(w[0]*int64(a)+w[1]*int64(b)+w[2]*int64(c)+w[3]*int64(d), s.shift))
}

// image converts to RGB, mirrored left to right if flip is set.
func (p planes) image(flip bool) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, p.n, p.n))
	for y := range p.n {
		line := m.Pix[y*m.Stride:][:4*p.n]
		for x := range p.n {
			from := y*p.n + x
			if flip {
				from = y*p.n + p.n - 1 - x
			}
			l, cb, cr := int64(p.y[from])<<14, int64(p.cb[from]), int64(p.cr[from])
			line[4*x] = level(l + 22970*cr)
			line[4*x+1] = level(l - 5638*cb - 11700*cr)
			line[4*x+2] = level(l + 29032*cb)
			line[4*x+3] = 255
		}
	}
	return m
}

// level brings 1/65280·2⁻¹⁴ to 0..255.
func level(v int64) uint8 { return uint8(min(max(quant.Round(v, 22), 0), 255)) }

// rgb is the picture's bytes, three a pixel, row by row.
func rgb(m *image.RGBA) []byte {
	out := make([]byte, 0, len(m.Pix)/4*3)
	for i := 0; i < len(m.Pix); i += 4 {
		out = append(out, m.Pix[i:i+3]...)
	}
	return out
}
