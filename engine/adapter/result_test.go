package adapter_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// drawn is a PNG of one colour but for its last pixel.
func drawn(t *testing.T, width, height int, all, last color.Color) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, all)
		}
	}
	m.Set(width-1, height-1, last)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestOneColourIsNoPicture: engines draw all black what they could not compute, and call it a success.
func TestOneColourIsNoPicture(t *testing.T) {
	r := engine.Request{Width: 64, Height: 32}
	black, almost := color.NRGBA{A: 255}, color.NRGBA{B: 1, A: 255}
	if _, err := adapter.Picture(drawn(t, 64, 32, black, black), r, 1); !errors.Is(err, adapter.ErrBroken) {
		t.Errorf("all black: %v", err)
	}
	if _, err := adapter.Picture(drawn(t, 64, 32, color.NRGBA{R: 9}, color.NRGBA{}), r, 1); !errors.Is(err, adapter.ErrBroken) {
		t.Errorf("all transparent: %v", err)
	}
	if _, err := adapter.Picture(drawn(t, 64, 32, black, almost), r, 1); err != nil {
		t.Errorf("all black but a pixel: %v", err)
	}
}

// TestSizesAt: whoever runs an engine may say which sizes it draws.
func TestSizesAt(t *testing.T) {
	for address, want := range map[string]int{"http://x": len(adapter.Sizes()), "http://x?sizes=64x64": 1, "http://x?a=b&sizes=512x512,768x512": 2} {
		got, err := adapter.SizesAt(address)
		if err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
	for _, bad := range []string{"64", "64x", "64x64x64", "64x65", "72x64", "0x0", "-8x8", "8192x8", "64x64,64x64", "64x64,"} {
		if got, err := adapter.SizesAt("http://x?sizes=" + bad); err == nil {
			t.Errorf("%s: %v", bad, got)
		}
	}
	if got, err := adapter.SizesAt("http://x?sizes=64x128"); err != nil || got[0] != (engine.Size{Width: 64, Height: 128}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestBeginningsAreRead: what no engine could read is the request's fault, whatever the engine would say.
func TestBeginningsAreRead(t *testing.T) {
	m := adapter.Describe("x", "m", essaim.KindImage, essaim.MeterPixelStep, "")
	m.Sizes, m.Inits = adapter.Sizes(), true
	c := adapter.Catalog{List: func(context.Context) ([]engine.Model, error) { return []engine.Model{m}, nil }}
	file := drawn(t, 16, 8, color.NRGBA{A: 255}, color.NRGBA{R: 1, A: 255})
	for init, want := range map[string]error{string(file): nil, string(file[:len(file)/2]): engine.ErrBadRequest, "GIF89a": engine.ErrBadRequest} {
		if _, _, err := c.Fit(t.Context(), engine.Request{Model: m.Digest, Prompt: "x", Init: init, Strength: 500}); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", len(init), err, want)
		}
	}
}
