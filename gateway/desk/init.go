package desk

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	_ "image/png" // what clients send is one of the two

	"github.com/essaim/essaim"
)

// maxInitSide bounds the picture that somebody begins with, before it is made smaller.
const maxInitSide = 4096

// SmallInit makes a picture to begin with as small as a task carries: not larger than the picture
// that is wanted, on white, as a JPEG file of as good a quality as fits.
//
// Errors: CodeBadInput if it is no PNG or JPEG file, or too large.
func SmallInit(file []byte, width, height uint32) ([]byte, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(file))
	switch {
	case err != nil:
		return nil, essaim.Errorf(essaim.CodeBadInput, "send a PNG or JPEG file", "the picture to begin with cannot be read")
	case c.Width > maxInitSide || c.Height > maxInitSide:
		return nil, essaim.Errorf(essaim.CodeBadInput, "make it smaller", "the picture to begin with has %dx%d pixels, at most %d a side", c.Width, c.Height, maxInitSide)
	}
	from, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "send a whole PNG or JPEG file", "the picture to begin with is damaged")
	}
	w, h := int(width), int(height)
	if w == 0 || w > c.Width || h > c.Height {
		w, h = c.Width, c.Height
	}
	for ; ; w, h = max(1, w*3/4), max(1, h*3/4) {
		m := scaled(from, w, h)
		for _, quality := range []int{92, 80, 65} {
			var out bytes.Buffer
			if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: quality}); err != nil {
				return nil, essaim.Errorf(essaim.CodeInternal, "", "write a JPEG file: %w", err)
			}
			if out.Len() <= essaim.MaxInit {
				return out.Bytes(), nil
			}
		}
	}
}

// scaled is a picture of another size, on white: each pixel is the mean of those that it covers.
func scaled(from image.Image, w, h int) *image.RGBA {
	out, b := image.NewRGBA(image.Rect(0, 0, w, h)), from.Bounds()
	for y := range h {
		y0 := b.Min.Y + y*b.Dy()/h
		y1 := max(y0+1, b.Min.Y+(y+1)*b.Dy()/h)
		for x := range w {
			x0 := b.Min.X + x*b.Dx()/w
			x1 := max(x0+1, b.Min.X+(x+1)*b.Dx()/w)
			var sum [3]uint64
			for v := y0; v < y1; v++ {
				for u := x0; u < x1; u++ {
					r, g, bl, a := from.At(u, v).RGBA()
					white := uint64(0xffff - a)
					sum[0], sum[1], sum[2] = sum[0]+uint64(r)+white, sum[1]+uint64(g)+white, sum[2]+uint64(bl)+white
				}
			}
			n := uint64((y1-y0)*(x1-x0)) * 257
			out.SetRGBA(x, y, color.RGBA{uint8(sum[0] / n), uint8(sum[1] / n), uint8(sum[2] / n), 255})
		}
	}
	return out
}
