package adapter

import (
	"bytes"
	"image"
	"image/draw"
	_ "image/jpeg" // previews are either
	_ "image/png"

	"github.com/essaim/essaim"
)

// Preview reads a picture that an engine shows before it is finished; nil: it is none that can be
// read, or too large.
func Preview(file []byte) *image.RGBA {
	c, _, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil || c.Width < 1 || c.Height < 1 || c.Width > essaim.MaxSide || c.Height > essaim.MaxSide {
		return nil
	}
	m, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return nil
	}
	out := image.NewRGBA(image.Rect(0, 0, c.Width, c.Height))
	draw.Draw(out, out.Rect, m, m.Bounds().Min, draw.Src)
	return out
}
