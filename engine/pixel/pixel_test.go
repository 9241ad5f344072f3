package pixel_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/engine/pixel"
)

var update = flag.Bool("update", false, "write testdata/golden.tsv anew")

func open(t testing.TB, options ...pixel.Option) (*pixel.Engine, engine.Model) {
	t.Helper()
	e, err := pixel.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e, models[0]
}

func TestConforms(t *testing.T) {
	enginetest.Run(t, func() engine.Engine {
		e, _ := open(t)
		return e
	})
}

func TestManifestNamesTheModel(t *testing.T) {
	_, m := open(t)
	if m.Digest != essaim.DigestOf(pixel.Manifest()) {
		t.Error("the model's digest is not that of its manifest")
	}
	var manifest struct {
		Name, Licence string
		Data          []struct{ Licence, Attribution string }
		Limits        []string
	}
	if err := json.Unmarshal(pixel.Manifest(), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Name != m.Name || manifest.Licence != "Apache-2.0" || len(manifest.Data) != 4 || len(manifest.Limits) == 0 {
		t.Errorf("manifest %+v", manifest)
	}
}

// goldenRequests are whole requests, in both languages, whose pictures must never change
// as long as the model's digest does not.
var goldenRequests = []engine.Request{
	{Prompt: "red apple"},
	{Prompt: "red apple", Seed: 1},
	{Prompt: "red apple", Seed: 1, Width: 64, Height: 64},
	{Prompt: "red apple", Seed: 1, Width: 512, Height: 512},
	{Prompt: "un chat noir", Seed: 7},
	{Prompt: "cœur rouge et une fusée !", Seed: 8},
	{Prompt: "blue butterfly, noto", Seed: 10},
	{Prompt: "blue butterfly, twemoji", Seed: 10, Width: 64, Height: 64},
	{Prompt: "visage souriant", Seed: 1 << 63},
	{Prompt: "a cat and a red car", Seed: 11, Steps: 1},
	{Prompt: "four elefants", Seed: 12, Width: 64, Height: 64},
	{Prompt: "sun, tree and house", Seed: 13, Width: 512, Height: 512},
}

func golden(t *testing.T, e *pixel.Engine, m engine.Model) string {
	t.Helper()
	var b strings.Builder
	for _, r := range goldenRequests {
		r.Model = m.Digest
		got, err := e.Run(t.Context(), r, nil)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		fmt.Fprintf(&b, "%s\t%d\t%d\t%d\t%d\t%s\n", got.PixelsDigest, r.Seed, r.Steps, r.Width, r.Height, r.Prompt)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	const file = "testdata/golden.tsv"
	for _, workers := range []int{1, 3} {
		e, m := open(t, pixel.WithWorkers(workers))
		got := golden(t, e, m)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%d workers drew\n%s\nwant\n%s", workers, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	e, m := open(t)
	for prompt, want := range map[string]string{
		"red apple":                        "",
		"une pomme verte":                  "",
		"a cat, zorbify with zorbify":      "words never seen in training: zorbify",
		"Rde Aple":                         `read "rde" as "red"|read "aple" as "apple"`,
		strings.Repeat("apple ", 11):       "only the first 10 words of a thing, and 64 in all, are read",
		strings.Repeat("apple, ", 5):       "only the first 4 things are drawn",
		"apple " + strings.Repeat("q", 99): "words never seen in training: " + strings.Repeat("q", 32),
		"noto style dog":                   "",
		"a fluent emoji flat, dog":         "",
	} {
		got, err := e.Run(t.Context(), engine.Request{Model: m.Digest, Prompt: prompt, Width: 64, Height: 64}, nil)
		if err != nil || strings.Join(got.Warnings, "|") != want {
			t.Errorf("%q: warnings %q, error %v; want %q", prompt, got.Warnings, err, want)
		}
	}
}

func TestPromptsThatNameNothingAreRefused(t *testing.T) {
	e, m := open(t)
	for prompt, want := range map[string]string{
		"": "", "   ": "names nothing", "!?": "names nothing", "the": "names nothing", "猫": "names nothing", "noto": "names nothing", "\xff apple": "UTF-8",
		"zorbify qwrtp": "nothing called zorbify, qwrtp",
		"a blue qwrtp":  "nothing called qwrtp",
	} {
		_, err := e.Run(t.Context(), engine.Request{Model: m.Digest, Prompt: prompt}, nil)
		if !errors.Is(err, engine.ErrBadRequest) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v", prompt, err)
		}
	}
}

// TestCancelStopsBetweenThings counts the steps after a cancellation.
func TestCancelStopsBetweenThings(t *testing.T) {
	e, m := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	_, err := e.Run(ctx, engine.Request{Model: m.Digest, Prompt: "dog and cat", Previews: true}, func(p engine.Progress) {
		if p.Preview.Bounds().Dx() != 64 || p.Steps != 3 {
			t.Errorf("preview is %v, steps %d", p.Preview.Bounds(), p.Steps)
		}
		steps++
		cancel()
	})
	if !errors.Is(err, context.Canceled) || steps != 1 {
		t.Errorf("%d steps, error %v", steps, err)
	}
}

func benchmark(b *testing.B, width int) {
	e, m := open(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Run(b.Context(), engine.Request{Model: m.Digest, Prompt: "red apple", Width: width, Height: width}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRun64(b *testing.B)  { benchmark(b, 64) }
func BenchmarkRun256(b *testing.B) { benchmark(b, 256) }
func BenchmarkRun512(b *testing.B) { benchmark(b, 512) }
