package client_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/verify"
)

// TestPlainPNGIsWhatADecoderSees: of any picture in any PNG file, and of any damaged one, it says what image/png says, or
// nothing.
func TestPlainPNGIsWhatADecoderSees(t *testing.T) {
	plain := 0
	rapid.Check(t, func(r *rapid.T) {
		file := drawPNG(r)
		for range rapid.IntRange(0, 2).Draw(r, "faults") {
			switch at := rapid.IntRange(0, len(file)-1).Draw(r, "at"); rapid.IntRange(0, 2).Draw(r, "fault") {
			case 0:
				file[at] ^= byte(rapid.IntRange(1, 255).Draw(r, "bits"))
			case 1:
				file = file[:at+1]
			case 2:
				file = append(file, file[at:]...)
			}
		}
		got, ok := client.PlainPNG(file)
		m, err := png.Decode(bytes.NewReader(file))
		switch {
		case ok && err != nil:
			r.Fatalf("a file that has no picture: %v", err)
		case ok && got != verify.PixelsDigest(m):
			r.Fatalf("other pixels")
		}
		if ok {
			plain++
		}
	})
	if plain == 0 {
		t.Error("no file was in the usual shape")
	}
}

// drawPNG draws a picture of any kind, with noise and surfaces, so that encoders use all filters.
func drawPNG(r *rapid.T) []byte {
	b := image.Rect(0, 0, rapid.IntRange(1, 40).Draw(r, "width"), rapid.IntRange(1, 40).Draw(r, "height"))
	m := rapid.SampledFrom([]interface {
		image.Image
		Set(x, y int, c color.Color)
	}{image.NewNRGBA(b), image.NewRGBA(b), image.NewGray(b), image.NewNRGBA64(b), image.NewPaletted(b, color.Palette{color.Black, color.White})}).Draw(r, "picture")
	noise := rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(r, "noise")
	alpha := rapid.Bool().Draw(r, "alpha")
	steep := rapid.IntRange(0, 9).Draw(r, "steep")
	for y := range b.Dy() {
		for x := range b.Dx() {
			c := color.NRGBA{R: byte(x * steep), G: byte(y*steep + x), B: noise[(x*y)%len(noise)], A: 255}
			if alpha {
				c.A = noise[(x+y)%len(noise)]
			}
			m.Set(x, y, c)
		}
	}
	var file bytes.Buffer
	level := rapid.SampledFrom([]png.CompressionLevel{png.DefaultCompression, png.NoCompression, png.BestSpeed, png.BestCompression}).Draw(r, "level")
	if err := (&png.Encoder{CompressionLevel: level}).Encode(&file, m); err != nil {
		r.Fatal(err)
	}
	return file.Bytes()
}

// BenchmarkCheckPixels is the check of a picture of 512 x 512 that somebody has drawn.
func BenchmarkCheckPixels(b *testing.B) {
	m := image.NewRGBA(image.Rect(0, 0, 512, 512))
	for i := range m.Pix {
		m.Pix[i] = byte(i*i>>9) | 255*byte(i%4/3)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, m); err != nil {
		b.Fatal(err)
	}
	r := essaim.Receipt{MediaType: "image/png", Width: 512, Height: 512, Pixels: verify.PixelsDigest(m)}
	b.ReportAllocs()
	for b.Loop() {
		if err := client.CheckPixels(file.Bytes(), r); err != nil {
			b.Fatal(err)
		}
	}
}
