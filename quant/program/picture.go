package program

import (
	"math/bits"

	"github.com/essaim/essaim/quant"
)

// pictureKinds are the kinds that only pictures have; engine/pixel's package comment defines them.
func pictureKinds() map[string]quant.Kind {
	return map[string]quant.Kind{
		"smooth":  {Steps: func(quant.Element) int { return len(pulls) + 1 }, Step: smoothStep},
		"times16": once(func(e quant.Element, s quant.Source) int32 { return 16 * s.In(0, e.At) }),
		"double":  once(doubled),
		"take":    once(func(e quant.Element, s quant.Source) int32 { return s.In(0, int(e.Numbers[0])*e.Elements+e.At) }),
		"enlarge": once(enlarged),
		"pixels":  once(pixel),
		"pose":    {Steps: func(quant.Element) int { return corners + 1 }, Step: poseStep},
	}
}

func once(f func(e quant.Element, s quant.Source) int32) quant.Kind {
	return quant.Kind{Step: func(e quant.Element, _ int, _ int64, s quant.Source) int64 { return int64(f(e, s)) }}
}

// root2 is the side of a square plane whose side is a power of two.
func root2(area int) int { return 1 << (bits.Len(uint(area)) / 2) }

// clamp is the nearest of 0..n-1.
func clamp(i, n int) int { return min(max(i, 0), n-1) }

// pulls are what pulls a pixel when a plane is smoothed: its neighbours and how much each weighs.
var pulls = [...]struct{ x, y, weight int }{
	{1, 0, 2}, {-1, 0, 2}, {0, 1, 2}, {0, -1, 2}, {1, 1, 1}, {-1, 1, 1}, {1, -1, 1}, {-1, -1, 1},
}

// smoothStep adds up the pulls, then moves the pixel.
func smoothStep(e quant.Element, step int, before int64, s quant.Source) int64 {
	v, at := e.Place()
	n := root2(e.Elements)
	from := v*e.Inputs[0].Elements + int(e.Numbers[1])
	here := s.In(0, from+at)
	if step == len(pulls) {
		return int64(here + (int32(before)+16)>>5)
	}
	p := pulls[step]
	there := s.In(0, from+clamp(at/n+p.y, n)*n+clamp(at%n+p.x, n))
	return before + int64(p.weight)*int64(quant.LookedUp(e.Layer, e.Numbers[0], there-here, s))
}

// doubled enlarges a square plane bilinearly to twice its side.
func doubled(e quant.Element, s quant.Source) int32 {
	v, at := e.Place()
	n := root2(e.Inputs[0].Elements)
	x, y := at%(2*n), at/(2*n)
	near, far := y/2, clamp(y/2-1+y%2*2, n) // above for even rows, below for odd ones
	column := func(x int) int32 {
		from := v * e.Inputs[0].Elements
		return 3*s.In(0, from+near*n+x) + s.In(0, from+far*n+x)
	}
	return 3*column(x/2) + column(clamp(x/2-1+x%2*2, n))
}

// A Spline enlarges planes by a factor, a power of two, with the interpolating cubic of Catmull and Rom
// (1974). At t = n/d between two samples its four weights are polynomials of degree three,
// so that 2d³ times each is an integer.
type Spline struct {
	Factor int
	Shift  uint       // the weights' sum is 1 << Shift
	Weight [][4]int64 // by place within a source pixel
	First  []int      // by place: the first of the four samples, against the source pixel
}

// NewSpline makes one.
func NewSpline(factor int) *Spline {
	d := int64(2 * factor) // places are at odd multiples of 1/d
	s := &Spline{Factor: factor, Shift: uint(1 + 3*(bits.Len(uint(2*factor))-1))}
	for i := range factor {
		n, first := int64(2*i+1-factor), -1
		if n < 0 {
			n, first = n+d, -2
		}
		n2, n3 := n*n, n*n*n
		s.First = append(s.First, first)
		s.Weight = append(s.Weight, [4]int64{
			-n*d*d + 2*n2*d - n3,
			2*d*d*d - 5*n2*d + 3*n3,
			n*d*d + 4*n2*d - 3*n3,
			-n2*d + n3,
		})
	}
	return s
}

// Blend weighs four samples.
func (s *Spline) Blend(w *[4]int64, a, b, c, d int32) int32 {
	return int32(quant.Round(w[0]*int64(a)+w[1]*int64(b)+w[2]*int64(c)+w[3]*int64(d), s.Shift))
}

// enlarged blends four rows in each of four columns, rounds, then blends the columns.
func enlarged(e quant.Element, s quant.Source) int32 {
	spline := NewSpline(int(e.Numbers[0]))
	v, at := e.Place()
	n := root2(e.Inputs[0].Elements)
	big := n * spline.Factor
	x, y := at%big, at/big
	wx, wy := &spline.Weight[x%spline.Factor], &spline.Weight[y%spline.Factor]
	left, top := x/spline.Factor+spline.First[x%spline.Factor], y/spline.Factor+spline.First[y%spline.Factor]
	var column [4]int32
	for i := range column {
		var p [4]int32
		for j := range p {
			p[j] = s.In(0, v*n*n+clamp(top+j, n)*n+clamp(left+i, n))
		}
		column[i] = spline.Blend(wy, p[0], p[1], p[2], p[3])
	}
	return spline.Blend(wx, column[0], column[1], column[2], column[3])
}

// pixel converts luma and chroma to one of red, green and blue.
func pixel(e quant.Element, s quant.Source) int32 {
	i := e.At / channels
	y := int64(s.In(0, i))<<14 + 1<<21
	switch e.At % channels {
	case 0:
		y += 22970 * int64(s.In(2, i))
	case 1:
		y -= 5638*int64(s.In(1, i)) + 11700*int64(s.In(2, i))
	default:
		y += 29032 * int64(s.In(1, i))
	}
	return int32(min(max(y>>22, 0), white))
}

// Places of a pose's numbers.
const (
	poseSize = iota
	poseX
	poseY
	poseMirror
	poseZoom
	poseTilt
)

const (
	corners = 4 // that a pixel is read between
	white   = 255
)

// poseStep adds up what is read at the four corners, then lays it onto the canvas.
func poseStep(e quant.Element, step int, before int64, s quant.Source) int64 {
	n := root2(e.Elements / channels)
	at := func(i int) int { return int(e.Numbers[i]) }
	size, i, channel := at(poseSize)*n/side, e.At/channels, e.At%channels
	x, y := i%n-at(poseX)*n/side, i/n-at(poseY)*n/side
	inside := x >= 0 && y >= 0 && x < size && y < size
	switch {
	case step == corners:
		below := int64(white)
		if len(e.Inputs) > 1 {
			below = int64(s.In(1, e.At))
		}
		if inside {
			below = min(below, (before+128)>>8)
		}
		return below
	case !inside:
		return before
	}
	cosine := at(poseZoom) - at(poseTilt)*at(poseTilt)>>9
	u, v := 2*x-size+1, 2*y-size+1 // twice the distance from the middle
	middle := 8*n - 8
	if at(poseSize) < side {
		middle -= 8 // the means have moved everything by half a pixel
	}
	sx := clamp(floorDiv(2*(u*cosine-v*at(poseTilt)), at(poseSize))+middle+16, 16*n+17)
	sy := clamp(floorDiv(2*(v*cosine+u*at(poseTilt)), at(poseSize))+middle+16, 16*n+17)
	right, down := step&1, step>>1
	weight := (16 - sx&15 + right*(2*(sx&15)-16)) * (16 - sy&15 + down*(2*(sy&15)-16))
	if weight == 0 {
		return before
	}
	return before + int64(weight)*int64(bordered(e, s, sx>>4+right, sy>>4+down, n, channel))
}

// bordered is a pixel of the thing, mirrored if it has to be, of a small one a mean, with a border of white.
func bordered(e quant.Element, s quant.Source, x, y, n, channel int) int32 {
	if e.Numbers[poseSize] >= side {
		return thing(e, s, x, y, n, channel)
	}
	if x < 1 || x > n || y < 1 || y > n {
		return white
	}
	sum := int32(2)
	for i := range 4 {
		sum += thing(e, s, x+i&1, y+i>>1, n, channel)
	}
	return sum >> 2
}

// thing is a pixel of the thing, whose first has the coordinates 1, 1.
func thing(e quant.Element, s quant.Source, x, y, n, channel int) int32 {
	if x < 1 || x > n || y < 1 || y > n {
		return white
	}
	if e.Numbers[poseMirror] != 0 {
		x = n + 1 - x
	}
	return s.In(0, ((y-1)*n+x-1)*channels+channel)
}

// floorDiv divides and rounds down; b is above zero.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
