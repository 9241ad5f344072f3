package pixel

import (
	"slices"

	"github.com/essaim/essaim/quant"
)

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

// Apply is described with the type.
func (o pose) Apply(in []quant.Value, _ int) quant.Value {
	n := root2(in[0].Elements() / channels)
	out := quant.Value{Vectors: 1}
	if len(in) > 1 {
		out.Narrow = slices.Clone(in[1].Narrow)
	} else {
		out.Narrow = slices.Repeat([]int16{white}, channels*n*n)
	}
	o.lay(out.Narrow, in[0].Narrow, n)
	return out
}

const (
	channels = 3
	white    = 255
)

// lay lays a thing onto a canvas; both are n x n.
func (o pose) lay(canvas, thing []int16, n int) {
	src := o.source(thing, n)
	var (
		size   = o.size * n / side
		left   = o.x * n / side
		top    = o.y * n / side
		wide   = (n + 2) * channels // of a row of src
		cosine = o.zoom - o.tilt*o.tilt>>9
	)
	for y := range size {
		line := canvas[((top+y)*n+left)*channels:][:size*channels]
		for x := range size {
			u, v := 2*x-size+1, 2*y-size+1 // twice the distance from the middle
			sx, sy := o.at(u*cosine-v*o.tilt, n), o.at(v*cosine+u*o.tilt, n)
			near := src[sy>>4*wide+sx>>4*channels:]
			far := src[min(sy>>4+1, n+1)*wide+sx>>4*channels:]
			next := channels
			if sx>>4 == n+1 {
				next = 0
			}
			a, b := int32(sy&15), int32(sx&15)
			for c := range channels {
				upper := int32(near[c])*(16-b) + int32(near[next+c])*b
				lower := int32(far[c])*(16-b) + int32(far[next+c])*b
				p := &line[x*channels+c]
				*p = min(*p, int16((upper*(16-a)+lower*a+128)>>8))
			}
		}
	}
}

// at is where to read, in 1/16 of a pixel of source, for a distance from the middle in 1/512
// of a pixel of the place.
func (o pose) at(distance, n int) int {
	middle := 8*n - 8
	if o.small() {
		middle -= 8 // the means have moved everything by half a pixel
	}
	return min(max(floorDiv(2*distance, o.size)+middle, -16), 16*n) + 16
}

// small reports whether the thing shrinks, so that reading could skip pixels.
func (o pose) small() bool { return o.size < side }

// source is what lay reads: the n x n thing, mirrored if it has to be, and of a small one the
// means of 2 x 2 pixels, with a border of white one pixel wide.
func (o pose) source(thing []int16, n int) []int16 {
	wide := (n + 2) * channels
	out := slices.Repeat([]int16{white}, (n+2)*wide)
	for y := range n {
		from, to := thing[y*n*channels:][:n*channels], out[(y+1)*wide+channels:][:n*channels]
		copy(to, from)
		for x := 0; o.mirror && x < n; x++ {
			copy(to[x*channels:][:channels], from[(n-1-x)*channels:])
		}
	}
	if !o.small() {
		return out
	}
	for y := 1; y <= n; y++ { // each pixel is read before it is written
		line, below := out[y*wide:][:wide], out[(y+1)*wide:][:wide]
		for i := channels; i < wide-channels; i++ {
			line[i] = (line[i] + line[i+channels] + below[i] + below[i+channels] + 2) >> 2
		}
	}
	return out
}

// floorDiv divides and rounds down; b is above zero.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
