package pixel_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
)

// copyModel lays the model's files into a folder and returns its manifest's name.
func copyModel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"manifest.json", "weights.bin", "vocabulary.tsv", "joined.txt", "variants.tsv", "tintable.txt"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "manifest.json")
}

func TestOpenDrawsLikeNew(t *testing.T) {
	e, err := pixel.Open(copyModel(t))
	if err != nil {
		t.Fatal(err)
	}
	embedded, m := open(t)
	r := engine.Request{Model: m.Digest, Prompt: "red apple", Seed: 3}
	want, err := embedded.Run(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Run(t.Context(), r, nil); err != nil || got.PixelsDigest != want.PixelsDigest {
		t.Errorf("pixels %s, error %v; want %s", got.PixelsDigest, err, want.PixelsDigest)
	}
}

func TestOpenRefusesWhatWasAltered(t *testing.T) {
	for why, change := range map[string]func(b []byte) []byte{
		"one bit":       func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut short":     func(b []byte) []byte { return b[:len(b)-1] },
		"one more byte": func(b []byte) []byte { return append(b, 0) },
		"empty":         func([]byte) []byte { return nil },
	} {
		manifest := copyModel(t)
		name := filepath.Join(filepath.Dir(manifest), "weights.bin")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, change(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pixel.Open(manifest); !errors.Is(err, engine.ErrModelFiles) || !strings.Contains(err.Error(), "weights.bin has") {
			t.Errorf("%s: error %v", why, err)
		}
	}
	manifest := copyModel(t)
	if err := os.Remove(filepath.Join(filepath.Dir(manifest), "joined.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := pixel.Open(manifest); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: error %v", err)
	}
}
