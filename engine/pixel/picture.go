package pixel

import (
	"crypto/sha256"
	"image"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/quant"
)

// planes are a thing before its conversion to RGB: luma and chroma of one size, in 1/65280,
// one vector each.
type planes struct{ y, cb, cr quant.Value }

// planes turns the samples of things into their planes of side x side, which share all's memory.
func (w *weights) planes(t *quant.Tape, v quant.Value) (each []planes, all planes) {
	const full, quarter = side * side, half * half
	y := smoothed(t, "flow.luma", w.flowLuma, v, 0, full)
	cb := smoothed(t, "flow.chroma", w.flowChroma, v, full, quarter)
	cr := smoothed(t, "flow.chroma", w.flowChroma, v, full+quarter, quarter)
	all.y = developed(t, "luma", "y", quant.Lookup{Table: w.luma, Elements: full}, times16{}, y)
	all.cb = developed(t, "chroma", "cb", quant.Lookup{Table: w.chroma, Elements: quarter}, double{}, cb)
	all.cr = developed(t, "chroma", "cr", quant.Lookup{Table: w.chroma, Elements: quarter}, double{}, cr)
	each = make([]planes, v.Vectors)
	for i := range each {
		each[i] = planes{t.Do("y", take{i}, all.y), t.Do("cb", take{i}, all.cb), t.Do("cr", take{i}, all.cr)}
	}
	return each, all
}

// developed looks a smoothed plane up in an output table and brings it to its unit and size. It frees v.
func developed(t *quant.Tape, table, name string, look quant.Lookup, unit quant.Operator, v quant.Value) quant.Value {
	short := t.Do(table, look, v)
	out := t.Do(name, unit, short)
	t.Free(v, short)
	return out
}

// free gives the planes' memory back.
func (p planes) free(t *quant.Tape) { t.Free(p.y, p.cb, p.cr) }

// take has one input and puts out one of its vectors.
type take struct{ index int }

// Kind is "take".
func (take) Kind() string { return "take" }

// Numbers are the index.
func (o take) Numbers() []int32 { return []int32{int32(o.index)} }

// Type is Int32.
func (take) Type() quant.Type { return quant.Int32 }

// Apply is described with the type.
func (o take) Apply(in []quant.Value, _ *quant.Room) quant.Value { return in[0].Vector(o.index) }

// smoothed takes one plane out of each vector and smooths it.
func smoothed(t *quant.Tape, table string, flow quant.Flow, v quant.Value, from, elements int) quant.Value {
	v = t.Do(table, smooth{flow, from, elements}, v)
	for range passes - 1 {
		rough := v
		v = t.Do(table, smooth{flow, 0, elements}, rough)
		t.Free(rough)
	}
	return v
}

// rgb enlarges a thing's planes by a factor, a power of two, and converts them.
func (p planes) rgb(t *quant.Tape, factor int) quant.Value {
	if factor == 1 {
		return t.Do("rgb", pixels{}, p.y, p.cb, p.cr)
	}
	o := enlarge{newSpline(factor)}
	p = planes{t.Do("y", o, p.y), t.Do("cb", o, p.cb), t.Do("cr", o, p.cr)}
	defer p.free(t)
	return t.Do("rgb", pixels{}, p.y, p.cb, p.cr)
}

// pixels has three inputs, the planes of one thing, and puts out its RGB values, row by row.
type pixels struct{}

// Kind is "pixels".
func (pixels) Kind() string { return "pixels" }

// Numbers are none.
func (pixels) Numbers() []int32 { return nil }

// Type is Uint8.
func (pixels) Type() quant.Type { return quant.Uint8 }

// Apply is described with the type.
func (pixels) Apply(in []quant.Value, r *quant.Room) quant.Value {
	n := in[0].Elements()
	y, cb, cr := in[0].Wide, in[1].Wide[:n], in[2].Wide[:n]
	out := r.Narrow(1, channels*n)
	for i, l := range y {
		p := (*[channels]int16)(out.Narrow[channels*i:])
		l, cb, cr := int64(l)<<14+1<<21, int64(cb[i]), int64(cr[i])
		p[0] = level(l + 22970*cr)
		p[1] = level(l - 5638*cb - 11700*cr)
		p[2] = level(l + 29032*cb)
	}
	return out
}

// level brings 1/65280·2⁻¹⁴, to which a half has been added, to 0..255.
func level(v int64) int16 {
	if v >>= 22; uint64(v) > white { // seldom
		return int16(min(max(v, 0), white))
	}
	return int16(v)
}

// picture makes an image of RGB values.
func picture(rgb quant.Value) *image.RGBA {
	n := root2(rgb.Elements() / channels)
	m := image.NewRGBA(image.Rect(0, 0, n, n))
	for i := range n * n {
		to, from := m.Pix[4*i:][:4], rgb.Narrow[channels*i:][:channels]
		to[0], to[1], to[2], to[3] = uint8(from[0]), uint8(from[1]), uint8(from[2]), white
	}
	return m
}

// pixelsDigest is the SHA-256 of the picture's bytes, three a pixel, row by row.
func pixelsDigest(m *image.RGBA) (digest essaim.Digest) {
	hash, line := sha256.New(), make([]byte, channels*m.Rect.Dx())
	for y := range m.Rect.Dy() {
		from := m.Pix[y*m.Stride:][:m.Stride]
		for to := line; len(to) >= channels; to, from = to[channels:], from[4:] {
			to[0], to[1], to[2] = from[0], from[1], from[2]
		}
		hash.Write(line)
	}
	hash.Sum(digest[:0])
	return digest
}
