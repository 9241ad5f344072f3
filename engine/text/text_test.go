package text_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/engine/text"
)

func open(t testing.TB) (*text.Engine, engine.Model) {
	t.Helper()
	e, err := text.New()
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

func TestIntegersOnly(t *testing.T) { enginetest.IntegersOnly(t, ".") }

func TestManifestNamesTheModel(t *testing.T) {
	_, m := open(t)
	if m.Digest != essaim.DigestOf(text.Manifest()) || m.Kind != essaim.KindEmbed || !m.Exact {
		t.Errorf("model %+v", m)
	}
	var manifest struct {
		Licence string
		Data    []struct{ Licence, Attribution string }
		Limits  []string
	}
	if err := json.Unmarshal(text.Manifest(), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Licence != "Apache-2.0" || len(manifest.Data) == 0 || manifest.Data[0].Attribution == "" || len(manifest.Limits) == 0 {
		t.Errorf("manifest %+v", manifest)
	}
}

// TestNearestInManyLanguages: one thing, asked for in each of several languages.
func TestNearestInManyLanguages(t *testing.T) {
	e, _ := open(t)
	for want, phrases := range map[string][]string{
		"rainbow":   {"rainbow", "arc-en-ciel", "Regenbogen", "arcoíris", "arcobaleno", "радуга", "regnbue", "tęcza"},
		"octopus":   {"octopus", "poulpe", "Oktopus", "pulpo", "polpo", "polvo", "осьминог", "восьминіг"},
		"snowflake": {"snowflake", "flocon", "Schneeflocke", "copo de nieve", "fiocco di neve", "снежинка", "bông tuyết"},
	} {
		for _, phrase := range phrases {
			got, err := e.Nearest(phrase, 3)
			if err != nil || !slices.ContainsFunc(got, func(n text.Near) bool { return n.Name == want }) {
				t.Errorf("%q: %v, error %v, want %s among them", phrase, got, err, want)
			}
		}
	}
}

func TestNearestIsSorted(t *testing.T) {
	e, _ := open(t)
	got, err := e.Nearest("a happy cat", 1<<20)
	if err != nil || len(got) < 1000 {
		t.Fatalf("%d concepts, error %v", len(got), err)
	}
	if !slices.IsSortedFunc(got, func(a, b text.Near) int { return b.Cosine - a.Cosine }) || got[0].Cosine > 1000 || got[0].Cosine < 300 {
		t.Errorf("not sorted, or odd cosines: %v", got[:5])
	}
	if none, err := e.Nearest("cat", -1); err != nil || len(none) != 0 {
		t.Errorf("-1 concepts: %v, %v", none, err)
	}
}

func TestWordsThatAreNotRead(t *testing.T) {
	e, m := open(t)
	for _, s := range []string{"", "   ", "!?", "猫", "\xff apple"} {
		if _, err := e.Run(t.Context(), engine.Request{Model: m.Digest, Prompt: s}, nil); !errors.Is(err, engine.ErrBadRequest) {
			t.Errorf("%q: error %v", s, err)
		}
	}
	got, err := e.Run(t.Context(), engine.Request{Model: m.Digest, Prompt: strings.Repeat("apple ", 17)}, nil)
	if err != nil || len(got.Warnings) != 1 {
		t.Errorf("17 words: warnings %q, error %v", got.Warnings, err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"manifest.json", "weights.bin", "concepts.txt"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	manifest := filepath.Join(dir, "manifest.json")
	if _, err := text.Open(manifest); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "concepts.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := text.Open(manifest); !errors.Is(err, engine.ErrModelFiles) {
		t.Errorf("an altered file: error %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	e, m := open(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Run(b.Context(), engine.Request{Model: m.Digest, Prompt: "a red apple on a table"}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNearest(b *testing.B) {
	e, _ := open(b)
	for b.Loop() {
		if _, err := e.Nearest("a red apple on a table", 5); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		open(b)
	}
}
