package pixel

import (
	"image"

	"github.com/essaim/essaim/quant"
)

// planes is a picture before its conversion to RGB: luma and chroma of n x n pixels, each
// row by row, in 1/65280.
type planes struct {
	n         int
	y, cb, cr quant.Value // one vector each
}

// planes turns coefficients (1/4096) into pictures of side x side.
func (w *weights) planes(t *quant.Tape, z quant.Value) []planes {
	v := w.basis.wide(t, "basis", t.Do("basis.pre", quant.Activate{Scale: w.basisPre, Lo: -16383, Hi: 16383}, z))
	const full, quarter = side * side, half * half
	y := t.Do("luma", quant.Lookup{Table: w.luma, From: 0, Elements: full}, v)
	cb := t.Do("chroma", quant.Lookup{Table: w.chroma, From: full, Elements: quarter}, v)
	cr := t.Do("chroma", quant.Lookup{Table: w.chroma, From: full + quarter, Elements: quarter}, v)
	y, cb, cr = t.Do("y", times16{}, y), t.Do("cb", double{}, cb), t.Do("cr", double{}, cr)
	for range passes {
		y, cb, cr = t.Do("y", smooth{w.flow}, y), t.Do("cb", smooth{w.flow}, cb), t.Do("cr", smooth{w.flow}, cr)
	}
	out := make([]planes, z.Vectors)
	for i := range out {
		out[i] = planes{side, y.Vector(i), cb.Vector(i), cr.Vector(i)}
	}
	return out
}

// enlarge returns the picture with factor times as many pixels each way; factor is a
// power of two.
func (p planes) enlarge(t *quant.Tape, factor int) planes {
	if factor == 1 {
		return p
	}
	o := enlarge{newSpline(factor)}
	return planes{p.n * factor, t.Do("y", o, p.y), t.Do("cb", o, p.cb), t.Do("cr", o, p.cr)}
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
			l, cb, cr := int64(p.y.Wide[from])<<14, int64(p.cb.Wide[from]), int64(p.cr.Wide[from])
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

// pixels has three inputs, the planes of one picture, and puts out its RGB values, row by
// row, mirrored left to right if flip is set.
type pixels struct{ flip bool }

// Kind is "pixels".
func (pixels) Kind() string { return "pixels" }

// Apply is described with the type.
func (o pixels) Apply(in []quant.Value, _ int) quant.Value {
	p := planes{root2(in[0].Elements()), in[0], in[1], in[2]}
	out := quant.Value{Vectors: 1}
	for _, v := range rgb(p.image(o.flip)) {
		out.Narrow = append(out.Narrow, int16(v))
	}
	return out
}
