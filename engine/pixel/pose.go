package pixel

import "github.com/essaim/essaim/quant"

// pose has one input or two, RGB pictures of one size: a thing and the canvas it is laid onto,
// without which that is white. Where both have something, the darker value stays. Reading is
// bilinear with weights in 1/16; beyond the thing there is white.
//
// Which pixels are read, and with what weights, follows from the parameters alone, so
// nothing is divided by data.
type pose struct {
	place
	mirror bool
	zoom   int // source pixels a pixel, in 1/256
	tilt   int // sine of the angle, in 1/256
}

// Kind is "pose".
func (pose) Kind() string { return "pose" }

// Numbers are size, x and y of the place, 1 if mirrored, else 0, zoom and tilt.
func (o pose) Numbers() []int32 {
	mirror := 0
	if o.mirror {
		mirror = 1
	}
	var out []int32
	for _, n := range []int{o.Size, o.X, o.Y, mirror, o.zoom, o.tilt} {
		out = append(out, int32(n))
	}
	return out
}

// Type is Uint8.
func (pose) Type() quant.Type { return quant.Uint8 }

// Apply is described with the type.
func (o pose) Apply(in []quant.Value, r *quant.Room) quant.Value {
	n := root2(in[0].Elements() / channels)
	out := r.Narrow(1, channels*n*n)
	if len(in) > 1 {
		copy(out.Narrow, in[1].Narrow)
	} else {
		fill(out.Narrow)
	}
	src := r.Words((n + 3) * (n + 3))
	defer r.FreeWords(src)
	o.source(src, in[0].Narrow, n)
	o.lay(out.Narrow, src, n)
	return out
}

// fill makes all white.
func fill(p []int16) {
	p[0] = white
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}

const (
	channels = 3
	white    = 255
)

// A pixel is held in a word, 16 bits a channel, so that its channels are added and multiplied at once:
// nothing here exceeds 255·256 + 128.
const (
	allWhite = white | white<<16 | white<<32
	twos     = 2 | 2<<16 | 2<<32
	halves   = 128 | 128<<16 | 128<<32
	levels   = 255 | 255<<16 | 255<<32
)

// lay lays a thing, of which src is the source, onto a canvas of n x n.
func (o pose) lay(canvas []int16, src []uint64, n int) {
	var (
		size   = o.Size * n / side
		left   = o.X * n / side
		top    = o.Y * n / side
		wide   = n + 3 // of a row of src
		cosine = o.zoom - o.tilt*o.tilt>>9
		middle = 8*n - 8
	)
	if o.small() {
		middle -= 8 // the means have moved everything by half a pixel
	}
	for y := range size {
		line := canvas[((top+y)*n+left)*channels:][:size*channels]
		u, v := 1-size, 2*y-size+1 // twice the distance from the middle
		across := newWalk(2*(u*cosine-v*o.tilt), 4*cosine, o.Size)
		down := newWalk(2*(v*cosine+u*o.tilt), 4*o.tilt, o.Size)
		for ; len(line) >= channels; line = line[channels:] {
			sx, sy := min(max(across.at+middle, -16), 16*n)+16, min(max(down.at+middle, -16), 16*n)+16
			at := src[sy>>4*wide+sx>>4:]
			near, far := at[:2], at[wide:][:2]
			a, b := uint64(sy&15), uint64(sx&15)
			upper := near[0]*(16-b) + near[1]*b
			lower := far[0]*(16-b) + far[1]*b
			p := (upper*(16-a) + lower*a + halves) >> 8 & levels
			line[0] = min(line[0], int16(p&white))
			line[1] = min(line[1], int16(p>>16&white))
			line[2] = min(line[2], int16(p>>32))
			across.next()
			down.next()
		}
	}
}

// A walk is floor(from/by), floor((from+step)/by), floor((from+2·step)/by) and so on.
type walk struct{ at, rest, whole, part, by int }

func newWalk(from, step, by int) walk {
	return walk{floorDiv(from, by), from - floorDiv(from, by)*by, floorDiv(step, by), step - floorDiv(step, by)*by, by}
}

func (w *walk) next() {
	w.at += w.whole
	if w.rest += w.part; w.rest >= w.by {
		w.rest -= w.by
		w.at++
	}
}

// small reports whether the thing shrinks, so that reading could skip pixels.
func (o pose) small() bool { return o.Size < side }

// source makes what lay reads: the n x n thing, mirrored if it has to be, and of a small one the
// means of 2 x 2 pixels, with a border of white one pixel wide, two below and to the right.
func (o pose) source(src []uint64, thing []int16, n int) {
	wide := n + 3
	for i := range wide {
		src[i], src[(n+1)*wide+i], src[(n+2)*wide+i] = allWhite, allWhite, allWhite
	}
	for y := range n {
		line := src[(y+1)*wide:][:wide]
		line[0], line[n+1], line[n+2] = allWhite, allWhite, allWhite
		first, step := 1, 1
		if o.mirror {
			first, step = n, -1
		}
		for from := thing[y*n*channels:][:n*channels]; len(from) >= channels; from = from[channels:] {
			line[first] = uint64(from[0]) | uint64(from[1])<<16 | uint64(from[2])<<32
			first += step
		}
	}
	if !o.small() {
		return
	}
	for y := 1; y <= n; y++ { // each pixel is read before it is written
		line, below := src[y*wide:][:wide], src[(y+1)*wide:][:wide]
		for x := 1; x <= n; x++ {
			line[x] = (line[x] + line[x+1] + below[x] + below[x+1] + twos) >> 2 & levels
		}
	}
}

// floorDiv divides and rounds down; b is above zero.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
