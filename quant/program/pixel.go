package program

import (
	"strconv"

	"github.com/essaim/essaim/quant"
)

// Shape of the picture engine's network and pictures.
const (
	hidden   = 2048
	width    = 512
	blocks   = 4
	side     = 64 // of a picture, pixels
	channels = 3
)

// A Place is a square of the picture, in 64ths of its side.
type Place struct{ Size, X, Y int }

// What the seed chooses among.
var (
	zooms = []int{256, 256, 272, 292}    // source pixels a pixel, in 1/256
	tilts = []int{0, 0, 0, -18, 18, -30} // sine of the angle, in 1/256

	layouts = [][][]Place{ // for each number of things, the places that they may have
		1: {{{64, 0, 0}}},
		2: {{{36, 0, 4}, {36, 28, 24}}, {{36, 0, 24}, {36, 28, 4}}, {{34, 0, 15}, {34, 30, 15}}},
		3: {{{32, 16, 0}, {32, 0, 32}, {32, 32, 32}}, {{32, 0, 0}, {32, 32, 0}, {32, 16, 32}}},
		4: {{{32, 0, 0}, {32, 32, 0}, {32, 0, 32}, {32, 32, 32}}},
	}
)

// MaxThings is how many a picture can show.
const MaxThings = 4

// drawLayout is the draw of a seed that chooses the layout. Draw i+1 is for thing i.
const drawLayout = 9

// A Choice is what a seed chooses for one of a picture's things before anything is known of it but how many there are.
type Choice struct {
	Place      Place
	Zoom, Tilt int    // in 1/256
	Mirror     bool   // it is mirrored, unless its words forbid it
	Draw       uint64 // for what depends on its words
}

// Choose lets the seed choose for 1 to MaxThings things.
func Choose(seed uint64, things int) []Choice {
	layout := pick(layouts[things], quant.Draw(seed, drawLayout))
	out := make([]Choice, things)
	for i := range out {
		q := quant.Draw(seed, uint64(i)+1)
		out[i] = Choice{Place: layout[i], Zoom: zooms[0], Tilt: pick(tilts, q>>16&0xffff), Mirror: q&1 == 1, Draw: q}
		if things == 1 {
			out[i].Zoom = pick(zooms, q>>8)
		}
	}
	return out
}

func pick[T any](all []T, draw uint64) T { return all[draw%uint64(len(all))] }

// pixel is a run of the engine pixel.
func (b *builder) pixel(r Run) bool {
	factor := r.Width / side
	may := b.headers[0].Numbers // be mirrored: what the words say of each thing
	if b.vectors > MaxThings || r.Width%side != 0 || factor != 1 && factor != 4 && factor != 8 || len(may) != b.vectors {
		return false
	}
	y, cb, cr := b.planes(b.network())
	things := b.vectors
	b.vectors = 1
	taken := make([][3]int, things)
	for i := range taken {
		for j, plane := range [3]int{y, cb, cr} {
			taken[i][j] = b.do("take", planeNames[j], side*side, quant.Int32, []int32{int32(i)}, plane)
		}
	}
	canvas := 0
	for i, c := range Choose(r.Seed, things) {
		if may[i] != 0 && may[i] != 1 {
			return false
		}
		b.step = i + 1
		c.Mirror = c.Mirror && may[i] == 1
		canvas = b.lay(taken[i], factor, c, canvas)
	}
	return true
}

var planeNames = [3]string{"y", "cb", "cr"}

// network appends everything up to the samples.
func (b *builder) network() int {
	e := b.activate("text", 256, -127, 127, b.do("gather", "text.table", 256, quant.Int32, nil, 1))
	c := b.activated("text2", 512, 0, 127, b.activated("text1", 1024, 0, 127, e))
	x := b.rescaled("cond", width, 1, c)
	for l := range blocks {
		n := strconv.Itoa(l)
		own := b.product("up"+n, hidden, 1, b.activate("up"+n+".pre", width, -127, 127, x))
		asked := b.rescaled("cond"+n, hidden, 0, c)
		h := b.activate("up"+n, hidden, 0, 127, b.do("sum", "up"+n, hidden, quant.Int32, nil, own, asked))
		more := b.rescaled("down"+n, width, 1, h)
		x = b.do("sum", "down"+n, width, quant.Int32, nil, x, more)
	}
	z := b.rescaled("out", width, 1, b.activate("out.pre", width, -127, 127, x))
	return b.rescaled("basis", side*side*3/2, 1, b.activate("basis.pre", width, -16383, 16383, z))
}

// planes appends the three planes of all things: smoothed, then brought to their unit and size.
func (b *builder) planes(samples int) (y, cb, cr int) {
	const full, quarter = side * side, side * side / 4
	smoothed := func(table string, from, n, v int) int {
		for range 3 {
			v = b.do("smooth", table, n, quant.Int32, []int32{-1024, int32(from)}, v)
			from = 0
		}
		return v
	}
	y = smoothed("flow.luma", 0, full, samples)
	cb = smoothed("flow.chroma", full, quarter, samples)
	cr = smoothed("flow.chroma", full+quarter, quarter, samples)
	y = b.do("times16", "y", full, quant.Int32, nil, b.do("lookup", "luma", full, quant.Int16, []int32{0, 0}, y))
	cb = b.do("double", "cb", full, quant.Int32, nil, b.do("lookup", "chroma", quarter, quant.Int16, []int32{-2048, 0}, cb))
	cr = b.do("double", "cr", full, quant.Int32, nil, b.do("lookup", "chroma", quarter, quant.Int16, []int32{-2048, 0}, cr))
	return y, cb, cr
}

// lay appends what lays a thing onto the canvas.
func (b *builder) lay(planes [3]int, factor int, c Choice, canvas int) int {
	n := side * factor
	if factor > 1 {
		for j := range planes {
			planes[j] = b.do("enlarge", planeNames[j], n*n, quant.Int32, []int32{int32(factor)}, planes[j])
		}
	}
	in := []int{b.do("pixels", "rgb", channels*n*n, quant.Uint8, nil, planes[:]...)}
	if canvas != 0 {
		in = append(in, canvas)
	}
	numbers := []int32{int32(c.Place.Size), int32(c.Place.X), int32(c.Place.Y), 0, int32(c.Zoom), int32(c.Tilt)}
	if c.Mirror {
		numbers[poseMirror] = 1
	}
	return b.do("pose", "canvas", channels*n*n, quant.Uint8, numbers, in...)
}
