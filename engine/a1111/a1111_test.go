package a1111_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/a1111"
	"github.com/essaim/essaim/engine/adapter"
	"github.com/essaim/essaim/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a server with the documented fields, in which a step takes its time.
type fake struct {
	step        time.Duration
	fault       string
	preview     string // a fault of previews
	interrupted chan struct{}
	at, of      atomic.Int64
}

func (f *fake) start(t testing.TB) string {
	f.interrupted = make(chan struct{}, 100)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sdapi/v1/sd-models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"title":"tiny.safetensors [31e35c80fc]","model_name":"tiny","hash":"31e35c80fc","sha256":"31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b","filename":"/x/tiny.safetensors"},
			{"title":"other.ckpt","model_name":"other","hash":null,"sha256":null,"filename":"/x/other.ckpt"}]`)
	})
	mux.HandleFunc("GET /sdapi/v1/progress", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"progress":0.5,"eta_relative":1.5,"state":{"skipped":false,"job":"","sampling_step":%d,"sampling_steps":%d},"current_image":%s,"textinfo":null}`, f.at.Load(), f.of.Load(), f.shown(r))
	})
	mux.HandleFunc("POST /sdapi/v1/interrupt", func(w http.ResponseWriter, _ *http.Request) {
		f.interrupted <- struct{}{}
		fmt.Fprint(w, `{}`)
	})
	mux.HandleFunc("POST /sdapi/v1/txt2img", f.draw)
	mux.HandleFunc("POST /sdapi/v1/img2img", f.draw)
	return (&enginetest.Server{Handler: mux, Fault: f.fault, Paths: []string{"/sdapi/v1/txt2img", "/sdapi/v1/img2img"}}).Start(t)
}

// shown is the picture that the server shows while it draws.
func (f *fake) shown(r *http.Request) string {
	if r.URL.Query().Get("skip_current_image") == "true" {
		return "null"
	}
	return fmt.Sprintf("%q", base64.StdEncoding.EncodeToString(enginetest.Painted(engine.Request{Prompt: "preview", Width: 16, Height: 8}, f.preview)))
}

func (f *fake) draw(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Prompt, NegativePrompt string
		Seed                   int64
		SamplerName            string `json:"sampler_name"`
		BatchSize              int    `json:"batch_size"`
		NIter                  int    `json:"n_iter"`
		Steps, Width, Height   int
		Override               map[string]string `json:"override_settings"`
		Restore                bool              `json:"override_settings_restore_afterwards"`
		NoSamples              bool              `json:"do_not_save_samples"`
		NoGrid                 bool              `json:"do_not_save_grid"`
		SendImages             bool              `json:"send_images"`
		SaveImages             bool              `json:"save_images"`
		Inits                  [][]byte          `json:"init_images"`
		Strength               float64           `json:"denoising_strength"`
	}
	if !enginetest.ReadStrict(w, r, &ask) {
		return
	}
	if c := ask.Override["sd_model_checkpoint"]; !ask.Restore || !ask.SendImages || ask.SaveImages || c != "tiny.safetensors [31e35c80fc]" && c != "other.ckpt" {
		w.WriteHeader(422)
		return
	}
	if begins := r.URL.Path == "/sdapi/v1/img2img"; begins != (len(ask.Inits) == 1) || begins != (ask.Strength > 0) {
		w.WriteHeader(422)
		return
	}
	if f.of.Swap(int64(ask.Steps)) != 0 {
		w.WriteHeader(500) // two at a time
		return
	}
	defer f.of.Store(0)
	for i := range ask.Steps {
		f.at.Store(int64(i))
		time.Sleep(f.step)
	}
	for _, init := range ask.Inits {
		ask.Prompt += fmt.Sprintf(" over %q at %g", init, ask.Strength)
	}
	file := enginetest.Painted(engine.Request{Prompt: ask.Prompt, Seed: uint64(ask.Seed), Width: ask.Width, Height: ask.Height, Steps: ask.Steps}, f.fault)
	fmt.Fprintf(w, `{"images":[%q],"parameters":{},"info":"{\"seed\": %d}"}`, base64.StdEncoding.EncodeToString(file), ask.Seed)
}

func open(t testing.TB, address string) *a1111.Engine {
	e, err := a1111.New(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestConforms(t *testing.T) {
	enginetest.Run(t, func() engine.Engine { return open(t, (&fake{}).start(t)) })
}

func TestFaults(t *testing.T) {
	enginetest.Faults(t, func(t *testing.T, fault string) engine.Engine {
		return open(t, (&fake{fault: fault}).start(t)).Impatient()
	})
}

// TestProgressAndInterruption: steps are told while they are made, and a picture that is not
// wanted any more is interrupted at the server.
func TestProgressAndInterruption(t *testing.T) {
	f := &fake{step: 50 * time.Millisecond}
	e := open(t, f.start(t))
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	_, err = e.Run(ctx, engine.Request{Model: models[0].Digest, Prompt: "x", Steps: 40}, func(p engine.Progress) {
		if steps++; p.Steps != 40 || p.Step < 1 {
			t.Errorf("step %d of %d", p.Step, p.Steps)
		}
		if steps == 2 {
			cancel()
		}
	})
	if cancel(); !errors.Is(err, context.Canceled) || steps < 2 {
		t.Fatalf("after %d steps: %v", steps, err)
	}
	select {
	case <-f.interrupted:
	case <-time.After(10 * time.Second):
		t.Error("the server was not told")
	}
}

// TestPreviews are fetched for who wants them, and one that is broken is none.
func TestPreviews(t *testing.T) {
	for fault, want := range map[string]bool{"": true, enginetest.HalfPicture: false, enginetest.NoPicture: false} {
		f := &fake{step: 50 * time.Millisecond, preview: fault}
		e := open(t, f.start(t))
		models, err := e.Models(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, ask := range []bool{true, false} {
			shown := 0
			if _, err = e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x", Steps: 20, Previews: ask}, func(p engine.Progress) {
				if p.Preview != nil {
					shown++
					if s := p.Preview.Bounds().Size(); s.X != 16 || s.Y != 8 {
						t.Errorf("a preview of %v", s)
					}
				}
			}); err != nil || shown > 0 != (want && ask) {
				t.Errorf("fault %q, asked %v: %d previews, %v", fault, ask, shown, err)
			}
		}
	}
}

// TestBeginsWithAPicture: it goes to the server with its strength.
func TestBeginsWithAPicture(t *testing.T) {
	e := open(t, (&fake{}).start(t))
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := engine.Request{Model: models[0].Digest, Prompt: "x", Steps: 2, Init: "file", Strength: 250}
	got, err := e.Run(t.Context(), ask, nil)
	if err != nil {
		t.Fatal(err)
	}
	size := models[0].Sizes[0]
	file := enginetest.Painted(engine.Request{Prompt: `x over "file" at 0.25`, Width: size.Width, Height: size.Height, Steps: 2}, "")
	want, err := adapter.Picture(file, engine.Request{Width: size.Width, Height: size.Height}, 2)
	if err != nil || got.PixelsDigest != want.PixelsDigest {
		t.Errorf("another picture, %v", err)
	}
	for _, strength := range []int{0, 1001} {
		ask.Strength = strength
		if _, err := e.Run(t.Context(), ask, nil); !errors.Is(err, engine.ErrBadRequest) {
			t.Errorf("strength %d: %v", strength, err)
		}
	}
}
