package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

const goodManifest = `{"name": "m-1", "kind": "text.embed", "engine": "toy", "exact": true, "units": {"each": 2}, "licence": "MIT",
	"files": [{"name": "w", "size": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]}`

func TestManifest(t *testing.T) {
	m, err := engine.ParseManifest([]byte(goodManifest), "toy")
	if err != nil {
		t.Fatal(err)
	}
	got := m.Model()
	if got.Name != "m-1" || got.Kind != essaim.KindEmbed || !got.Exact || got.Digest != essaim.DigestOf([]byte(goodManifest)) || got.Sizes != nil || m.Units.Each != 2 {
		t.Errorf("model %+v", got)
	}
	for why, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"good":    {map[string][]byte{"w": []byte("abc")}, "<nil>"},
		"altered": {map[string][]byte{"w": []byte("abd")}, "w has 3 bytes"},
		"longer":  {map[string][]byte{"w": []byte("abcd")}, "w has 4 bytes"},
		"missing": {nil, "w is missing"},
		"another": {map[string][]byte{"w": []byte("abc"), "x": nil}, "lists 1 files"},
	} {
		if err := m.Check(c.files); !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: error %v, want %q", why, err, c.want)
		}
	}
}

func TestManifestsWithFaultsAreRefused(t *testing.T) {
	for _, c := range [][2]string{
		{`"toy"`, `"other"`}, {`"m-1"`, `""`}, {`"text.embed"`, `""`}, {`{"each": 2}`, `{}`}, {`"name": "w"`, `"name": "../w"`}, {`"name": "w"`, `"name": ""`},
		{`"exact": true`, `"exact": true, "steps": {"min": 2, "max": 1}`}, {"}]}", "}]} {}"}, {"}]}", "}]"},
		{`"files": [`, `"files": [{"name": "w", "size": 0, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}, `},
	} {
		bad := strings.Replace(goodManifest, c[0], c[1], 1)
		if _, err := engine.ParseManifest([]byte(bad), "toy"); bad == goodManifest || !errors.Is(err, engine.ErrModelFiles) {
			t.Errorf("%s instead of %s: error %v", c[1], c[0], err)
		}
	}
}

// TestFitIsForEveryKind: a kind that draws nothing has no size and no steps to choose.
func TestFitIsForEveryKind(t *testing.T) {
	m := engine.Model{Name: "m", Kind: essaim.KindEmbed}
	if _, err := m.Fit(engine.Request{Prompt: "a phrase", Seed: 7}); err != nil {
		t.Error(err)
	}
	for _, r := range []engine.Request{{}, {Prompt: "x", Steps: 1}, {Prompt: "x", Width: 64, Height: 64}} {
		if _, err := m.Fit(r); !errors.Is(err, engine.ErrBadRequest) {
			t.Errorf("%+v: error %v", r, err)
		}
	}
}
