package picture

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"os"
	"strings"
	"testing"
)

// TestShow: each protocol begins as its terminals want it, and iTerm's carries the file itself.
func TestShow(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 {
		img.Set(i, i, color.RGBA{uint8(4 * i), 0, 255, 255})
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		t.Fatal(err)
	}
	for name, begins := range map[string]string{"kitty": "\x1b_G", "iterm": "\x1b]1337;File=inline=1;", "sixel": "\x1bP", "blocks": "\x1b[38;2;", "none": ""} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			mode := Detect(os.Stdout, func(key string) string { return map[string]string{"ESSAIM_PICTURES": name}[key] })
			if err := Show(&out, mode, file.Bytes()); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(out.String(), begins) || (out.Len() == 0) != (name == "none") {
				t.Errorf("begins with %.20q, %d bytes", out.String(), out.Len())
			}
			if name == "iterm" && !strings.Contains(out.String(), base64.StdEncoding.EncodeToString(file.Bytes())) {
				t.Error("the file is not in it")
			}
		})
	}
}

// TestDetectNothing: what is no terminal gets no picture.
func TestDetectNothing(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := Detect(f, func(string) string { return "" }); got != none {
		t.Errorf("Detect(file) = %d, want none", got)
	}
}
