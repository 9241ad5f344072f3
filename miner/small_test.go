package miner

import (
	"bytes"
	"image"
	"image/png"
	"math/rand/v2"
	"testing"

	"github.com/essaim/essaim/seal"
)

// TestSmall: a picture of noise, which no file format makes smaller, fits into a part, and one
// colour stays what it is.
func TestSmall(t *testing.T) {
	noise := image.NewRGBA(image.Rect(0, 0, 513, 257))
	for i := range noise.Pix {
		noise.Pix[i] = byte(rand.Uint32())
	}
	m, err := png.Decode(bytes.NewReader(small(noise)))
	if err != nil || len(small(noise)) > seal.MaxPart || m.Bounds().Dx() < 64 {
		t.Errorf("%v, %v", m.Bounds(), err)
	}
	flat := image.NewRGBA(image.Rect(0, 0, 5, 3))
	for i := range flat.Pix {
		flat.Pix[i] = [4]byte{10, 200, 30, 255}[i%4]
	}
	if h := half(flat); h.Bounds().Dx() != 2 || h.Bounds().Dy() != 1 || h.RGBAAt(1, 0) != flat.RGBAAt(0, 0) {
		t.Errorf("half is %v of %v", h.RGBAAt(1, 0), h.Bounds())
	}
	if small(image.NewRGBA(image.Rect(0, 0, 0, 0))) != nil {
		t.Error("nothing has a preview")
	}
}
