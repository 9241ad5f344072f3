package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify"
)

// smooth draws a picture of a few waves.
func smooth(w, h int, seed uint64) *image.RGBA {
	r := rand.New(rand.NewPCG(seed, 1))
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	var waves [12][3]float64
	for i := range waves {
		waves[i] = [3]float64{r.Float64() * 40, r.Float64() * 40, r.Float64() * 6}
	}
	for y := range h {
		for x := range w {
			sum := 0.0
			for _, v := range waves {
				sum += math.Sin(v[0]*float64(x)/float64(w) + v[1]*float64(y)/float64(h) + v[2])
			}
			level := uint8(max(0, min(255, 128+15*sum)))
			m.SetRGBA(x, y, color.RGBA{level, level / 2, 255 - level, 255})
		}
	}
	return m
}

func noisy(m *image.RGBA, by int, seed uint64) *image.RGBA {
	r := rand.New(rand.NewPCG(seed, 2))
	out := image.NewRGBA(m.Rect)
	for i, v := range m.Pix {
		out.Pix[i] = uint8(max(0, min(255, int(v)+r.IntN(2*by+1)-by)))
		if i%4 == 3 {
			out.Pix[i] = 255
		}
	}
	return out
}

// TestHashBands: noise stays within the accepted band, other pictures outside of the
// rejected one, whatever the size.
func TestHashBands(t *testing.T) {
	worst, nearest := 0, 64
	for seed := range uint64(24) {
		m := smooth(256+int(seed)%50, 192+int(seed)%31, seed)
		worst = max(worst, verify.HashOf(m).Distance(verify.HashOf(noisy(m, 8, seed))))
		nearest = min(nearest, verify.HashOf(m).Distance(verify.HashOf(smooth(64, 64, seed+1000))))
	}
	t.Logf("noise of 8 levels changes at most %d bits, another picture at least %d", worst, nearest)
	if worst > verify.HashAccept || nearest < verify.HashReject {
		t.Error("the bands do not separate noise from other pictures")
	}
}

// TestHashPinned: the hash is the same on every machine and with every version.
func TestHashPinned(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 50, 33))
	for i := range m.Pix {
		m.Pix[i] = uint8(i * i >> 7)
	}
	if got, want := fmt.Sprintf("%016x", uint64(verify.HashOf(m))), pinned; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	if verify.HashOf(image.NewRGBA(image.Rectangle{})) != 0 {
		t.Error("the hash of nothing is not 0")
	}
}

func TestHashIgnoresSize(t *testing.T) {
	small, large := smooth(40, 40, 5), image.NewRGBA(image.Rect(0, 0, 120, 120))
	for y := range 120 {
		for x := range 120 {
			large.SetRGBA(x, y, small.RGBAAt(x/3, y/3))
		}
	}
	if d := verify.HashOf(small).Distance(verify.HashOf(large)); d > 1 {
		t.Errorf("enlarging changes %d bits", d)
	}
}

func TestPixelDistance(t *testing.T) {
	a := smooth(20, 10, 1)
	if d, ok := verify.PixelDistance(a, smooth(20, 10, 1)); d != 0 || !ok {
		t.Errorf("the same picture: %d, %v", d, ok)
	}
	b := noisy(a, 0, 1)
	b.Pix[0] ^= 1
	if d, ok := verify.PixelDistance(a, b); d != 2 || !ok { // 1 of 600, rounded up
		t.Errorf("one level of one channel: %d, %v", d, ok)
	}
	if verify.PixelsDigest(a) == verify.PixelsDigest(b) {
		t.Error("one level of one channel has the same digest")
	}
	if _, ok := verify.PixelDistance(a, smooth(10, 20, 1)); ok {
		t.Error("pictures of two sizes have a distance")
	}
}

type fake struct {
	finding verify.Finding
	err     error
}

func (f fake) About() verify.About { return verify.About{Name: f.finding.Method} }
func (f fake) Check(context.Context, verify.Case) (verify.Finding, error) {
	return f.finding, f.err
}

// TestPixelsDigestLeavesAlphaOut: it is of the bytes that a file holds, in whatever way the picture is in memory.
func TestPixelsDigestLeavesAlphaOut(t *testing.T) {
	stored := []byte{200, 100, 50, 7, 8, 9, 1, 2, 3, 255, 254, 253}
	want := essaim.DigestOf(stored)
	for name, alpha := range map[string]byte{"opaque": 255, "translucent": 100} {
		m := image.NewNRGBA(image.Rect(-1, 4, 1, 6))
		for i := range 4 {
			m.SetNRGBA(i%2-1, i/2+4, color.NRGBA{R: stored[3*i], G: stored[3*i+1], B: stored[3*i+2], A: alpha})
		}
		var file bytes.Buffer
		if err := png.Encode(&file, m); err != nil {
			t.Fatal(err)
		}
		read, err := png.Decode(&file)
		if err != nil {
			t.Fatal(err)
		}
		wide := image.NewNRGBA(image.Rect(-5, 0, 5, 9))
		draw.Draw(wide, m.Rect, m, m.Rect.Min, draw.Src)
		for how, p := range map[string]image.Image{"drawn": m, "read": read, "part of a larger one": wide.SubImage(m.Rect)} {
			if got := verify.PixelsDigest(p); got != want {
				t.Errorf("%s, %s (%T): %s, want %s", name, how, p, got, want)
			}
		}
	}
}

func TestFollow(t *testing.T) {
	methods := map[string]verify.Method{
		"a":    fake{finding: verify.Finding{Method: "a", Result: essaim.VerdictUnclear, Next: "b"}},
		"b":    fake{finding: verify.Finding{Method: "b", Result: essaim.VerdictInvalid, Next: "a"}},
		"loop": fake{finding: verify.Finding{Method: "loop", Result: essaim.VerdictUnclear, Next: "loop"}},
		"gone": fake{finding: verify.Finding{Method: "gone", Result: essaim.VerdictUnclear, Next: "nobody"}},
		"mute": fake{err: verify.ErrCannot},
	}
	find := func(name string) (verify.Method, bool) { m, ok := methods[name]; return m, ok }
	for first, want := range map[string]struct {
		findings int
		cannot   bool
	}{"a": {2, false}, "b": {1, false}, "loop": {1, false}, "gone": {1, true}, "mute": {0, true}} {
		got, err := verify.Follow(t.Context(), find, first, verify.Case{})
		if len(got) != want.findings || errors.Is(err, verify.ErrCannot) != want.cannot {
			t.Errorf("from %s: %d findings, error %v", first, len(got), err)
		}
	}
}

const pinned = "b515192c3d14353f"
