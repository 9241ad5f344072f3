package miner

import (
	"bytes"
	"image"
	"image/color"
	"image/png"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/seal"
)

// preview is what is shown of a picture at a step, sealed; nil: nothing. Those that were asked for
// are spread over the steps, and the last step shows none: the picture itself comes next.
// Each is sealed for itself, for a slow reader misses some.
func (t *text) preview(a *attempt, p engine.Progress) []byte {
	n := a.input.Previews
	if p.Preview == nil || t.previews >= n || p.Steps > 0 && (p.Step >= p.Steps || uint64(p.Step)*uint64(n+1) < uint64(t.previews+1)*uint64(p.Steps)) {
		return nil
	}
	file := small(p.Preview)
	parts, err := seal.NewParts(a.task.PreviewInfo(a.offer.Attempt, uint32(p.Step)), a.input.ReplyKey)
	if err != nil || file == nil {
		return nil
	}
	sealed, err := parts.Seal(string(file))
	if err != nil {
		return nil
	}
	t.previews++
	return sealed
}

// small is a picture as a PNG file that one part can carry, in half its size as often as needed.
func small(m *image.RGBA) []byte {
	for {
		var file bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&file, m); err != nil {
			return nil // an empty picture
		}
		if file.Len() <= seal.MaxPart {
			return file.Bytes()
		}
		m = half(m)
	}
}

// half is a picture of which each pixel is the mean of four.
func half(m *image.RGBA) *image.RGBA {
	b := m.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, max(1, b.Dx()/2), max(1, b.Dy()/2)))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			var sum [3]int
			for _, at := range [4]image.Point{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
				c := m.RGBAAt(min(b.Min.X+2*x+at.X, b.Max.X-1), min(b.Min.Y+2*y+at.Y, b.Max.Y-1))
				sum[0], sum[1], sum[2] = sum[0]+int(c.R), sum[1]+int(c.G), sum[2]+int(c.B)
			}
			out.SetRGBA(x, y, color.RGBA{uint8(sum[0] / 4), uint8(sum[1] / 4), uint8(sum[2] / 4), 255})
		}
	}
	return out
}
