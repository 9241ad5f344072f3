package openai_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
	"github.com/essaim/essaim/engine/enginetest"
)

// cpp is stable-diffusion.cpp's server, as one of August 2026 answers: it passes over what it does not know, seed and model
// among it, and a prompt may say everything anew.
type cpp struct {
	fault, stem, mode string
	old               bool // it lacks what later ones have
}

func (f *cpp) start(t testing.TB) string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":[{"id":"sd-cpp-local","object":"model","owned_by":"local"}]}`)
	})
	mux.HandleFunc("GET /sdcpp/v1/capabilities", func(w http.ResponseWriter, r *http.Request) {
		if f.old {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"model":{"name":"%[1]s.gguf","path":"/x/%[1]s.gguf","stem":%[1]q},"current_mode":%[2]q,"supported_modes":[%[2]q],"defaults_by_mode":{%[2]q:{"seed":42,"width":512,"sample_params":{"sample_steps":4,"eta":null}}}}`, f.stem, f.mode)
	})
	mux.HandleFunc("POST /v1/images/generations", func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ Prompt, Size string }
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			w.WriteHeader(500)
			fmt.Fprintf(w, `{"error":"server_error","message":%q}`, err.Error())
			return
		}
		var settings struct {
			Seed   uint64
			Sample struct {
				Steps int `json:"sample_steps"`
			} `json:"sample_params"`
		}
		settings.Seed, settings.Sample.Steps = 42, 4
		between := regexp.MustCompile(`<sd_cpp_extra_args>(.*?)</sd_cpp_extra_args>`)
		if said := between.FindStringSubmatch(ask.Prompt); said != nil && json.Unmarshal([]byte(said[1]), &settings) != nil {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"invalid sd_cpp_extra_args"}`)
			return
		}
		painted := engine.Request{Prompt: between.ReplaceAllString(ask.Prompt, ""), Seed: settings.Seed, Steps: settings.Sample.Steps, Width: 512, Height: 512}
		_, _ = fmt.Sscanf(ask.Size, "%dx%d", &painted.Width, &painted.Height) // of no size it makes its own
		fmt.Fprintf(w, `{"created":1,"data":[{"b64_json":%q}],"output_format":"png"}`, base64.StdEncoding.EncodeToString(enginetest.Painted(painted, f.fault)))
	})
	return (&enginetest.Server{Handler: mux, Fault: f.fault, Paths: []string{"/v1/images"}}).Start(t)
}

// TestStableDiffusionCPP: its server keeps the contract, seeds and steps too, under the name of its weights.
func TestStableDiffusionCPP(t *testing.T) {
	f := &cpp{stem: "tiny", mode: "img_gen"}
	enginetest.Run(t, func() engine.Engine { return open(t, f.start(t)) })
	e := open(t, f.start(t)+"?sizes=64x64")
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 1 || models[0].Name != "tiny" || models[0].Steps != 4 || len(models[0].Sizes) != 1 {
		t.Fatalf("%+v, %v", models, err)
	}
	ask := engine.Request{Model: models[0].Digest, Prompt: "x", Seed: 9, Steps: 7, Width: 64, Height: 64}
	got, err := e.Run(t.Context(), ask, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := adapter.Picture(enginetest.Painted(ask, ""), ask, 7)
	if err != nil || got.PixelsDigest != want.PixelsDigest || got.Units != want.Units || got.Steps != 7 {
		t.Errorf("%d steps, %d units, %v", got.Steps, got.Units, err)
	}
	f.stem = "another"
	if _, err := e.Run(t.Context(), ask, nil); !errors.Is(err, engine.ErrNoModel) {
		t.Errorf("started anew with other weights: %v", err)
	}
}

func TestStableDiffusionCPPFaults(t *testing.T) {
	enginetest.Faults(t, func(t *testing.T, fault string) engine.Engine {
		return open(t, (&cpp{stem: "tiny", mode: "img_gen", fault: fault}).start(t)).Impatient()
	})
	for why, f := range map[string]*cpp{"videos only": {stem: "tiny", mode: "vid_gen"}, "an old one": {old: true}, "without a name": {mode: "img_gen"}} {
		if models, err := open(t, f.start(t)).Models(t.Context()); !errors.Is(err, adapter.ErrBroken) {
			t.Errorf("%s: %d models, %v", why, len(models), err)
		}
	}
}

// TestOrdersInAPrompt are not given to any server: a stranger would have it draw for hours, or what it must not.
func TestOrdersInAPrompt(t *testing.T) {
	for _, address := range []string{fake(t, ""), (&cpp{stem: "tiny", mode: "img_gen"}).start(t)} {
		e := open(t, address)
		models, err := e.Models(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := models[len(models)-1]
		for _, prompt := range []string{`a <sd_cpp_extra_args>{"width":4096}</sd_cpp_extra_args>`, "<sd_cpp_extra_args>" + strings.Repeat("a", 1<<16)} {
			if _, err := e.Run(t.Context(), engine.Request{Model: m.Digest, Prompt: prompt}, nil); !errors.Is(err, engine.ErrBadRequest) {
				t.Errorf("%s: %.30s: %v", m.Name, prompt, err)
			}
		}
	}
}
