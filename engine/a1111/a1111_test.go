package a1111_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
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
	cpp         bool // it is stable-diffusion.cpp's, as one of August 2026 answers
	lost        bool // it cannot find the checkpoint, and draws with another one
	idle        bool // between two pictures it tells of the one before
	late        bool // it has computed the other one's digest meanwhile
	looks       atomic.Int64
	preview     string // a fault of previews
	interrupted chan struct{}
	at, of      atomic.Int64
}

func (f *fake) start(t testing.TB) string {
	f.interrupted = make(chan struct{}, 100)
	mux := http.NewServeMux()
	if f.cpp {
		mux.HandleFunc("GET /sdapi/v1/sd-models", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `[{"config":null,"filename":"tiny.safetensors","hash":"8888888888","model_name":"tiny","sha256":"8888888888888888888888888888888888888888888888888888888888888888","title":"tiny"}]`)
		})
		mux.HandleFunc("GET /sdapi/v1/progress", func(w http.ResponseWriter, _ *http.Request) {
			f.looks.Add(1)
			w.WriteHeader(404)
		})
		mux.HandleFunc("POST /sdapi/v1/txt2img", f.drawCPP)
		mux.HandleFunc("POST /sdapi/v1/img2img", f.drawCPP)
		return (&enginetest.Server{Handler: mux, Fault: f.fault, Paths: []string{"/sdapi/v1/txt2img", "/sdapi/v1/img2img"}}).Start(t)
	}
	mux.HandleFunc("GET /sdapi/v1/sd-models", func(w http.ResponseWriter, _ *http.Request) {
		if f.late {
			fmt.Fprint(w, `[{"title":"other.ckpt [31e35c80fc]","model_name":"other","hash":"31e35c80fc","sha256":"31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b","filename":"/x/other.ckpt"}]`)
			return
		}
		fmt.Fprint(w, `[{"title":"tiny.safetensors [31e35c80fc]","model_name":"tiny","hash":"31e35c80fc","sha256":"31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b","filename":"/x/tiny.safetensors"},
			{"title":"other.ckpt","model_name":"other","hash":null,"sha256":null,"filename":"/x/other.ckpt"}]`)
	})
	mux.HandleFunc("GET /sdapi/v1/progress", func(w http.ResponseWriter, r *http.Request) {
		at, of, jobs := f.at.Load(), f.of.Load(), 1
		if f.idle {
			at, of, jobs = 20, 20, 0
		}
		fmt.Fprintf(w, `{"progress":0.5,"eta_relative":1.5,"state":{"skipped":false,"interrupted":false,"job":"","job_count":%d,"job_no":0,"sampling_step":%d,"sampling_steps":%d},"current_image":%s,"textinfo":null}`, jobs, at, of, f.shown(r))
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
	if c := ask.Override["sd_model_checkpoint"]; !ask.Restore || !ask.SendImages || ask.SaveImages || c != "tiny.safetensors [31e35c80fc]" && c != "other.ckpt" && !(f.late && c == "other.ckpt [31e35c80fc]") {
		w.WriteHeader(422)
		return
	}
	if begins := r.URL.Path == "/sdapi/v1/img2img"; begins != (len(ask.Inits) == 1) || begins != (ask.Strength > 0) {
		w.WriteHeader(422)
		return
	}
	of := ask.Steps
	if len(ask.Inits) > 0 {
		of = int(min(ask.Strength, .999)*float64(ask.Steps)) + 1 // what is left to do
	}
	if f.of.Swap(int64(of)) != 0 {
		w.WriteHeader(500) // two at a time
		return
	}
	defer f.of.Store(0)
	for i := range of {
		f.at.Store(int64(i))
		time.Sleep(f.step)
	}
	for _, init := range ask.Inits {
		ask.Prompt += fmt.Sprintf(" over %q at %g", init, ask.Strength)
	}
	file := enginetest.Painted(engine.Request{Prompt: ask.Prompt, Seed: uint64(ask.Seed), Width: ask.Width, Height: ask.Height, Steps: ask.Steps}, f.fault)
	info := fmt.Sprintf(`{"seed": %d}`, ask.Seed)
	if hash := ask.Override["sd_model_checkpoint"] == "tiny.safetensors [31e35c80fc]"; f.lost {
		info = `{"sd_model_name": "last", "sd_model_hash": "6ce0161689"}`
	} else if hash {
		info = `{"sd_model_name": "tiny", "sd_model_hash": "31e35c80fc"}`
	}
	fmt.Fprintf(w, `{"images":[%q],"parameters":{},"info":%q}`, base64.StdEncoding.EncodeToString(file), info)
}

// drawCPP is how stable-diffusion.cpp draws: whatever it does not know it passes over, and a prompt may say everything anew.
func (f *fake) drawCPP(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Prompt               string
		Seed                 int64
		Steps, Width, Height int
		Inits                [][]byte `json:"init_images"`
	}
	ask.Seed = -1
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		w.WriteHeader(500)
		fmt.Fprintf(w, `{"error":"server_error","message":%q}`, err.Error())
		return
	}
	if ask.Prompt == "" || ask.Width <= 0 || ask.Height <= 0 {
		w.WriteHeader(400)
		fmt.Fprint(w, `{"error":"prompt required"}`)
		return
	}
	if said := regexp.MustCompile(`<sd_cpp_extra_args>(.*?)</sd_cpp_extra_args>`).FindStringSubmatch(ask.Prompt); said != nil && json.Unmarshal([]byte(said[1]), &ask) != nil {
		w.WriteHeader(400)
		fmt.Fprint(w, `{"error":"invalid sd_cpp_extra_args"}`)
		return
	}
	for range ask.Steps {
		time.Sleep(f.step) // whether anybody waits or not
	}
	file := enginetest.Painted(engine.Request{Prompt: ask.Prompt, Seed: uint64(ask.Seed), Width: ask.Width, Height: ask.Height, Steps: ask.Steps}, f.fault)
	fmt.Fprintf(w, `{"images":[%q],"info":"{\"sd_model_name\":\"tiny.safetensors\",\"version\":\"stable-diffusion.cpp\"}","parameters":{}}`, base64.StdEncoding.EncodeToString(file))
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

// TestStableDiffusionCPP: its server keeps the contract too, though what it says of its weights is no digest, and though a
// prompt may hold orders to it.
func TestStableDiffusionCPP(t *testing.T) {
	enginetest.Run(t, func() engine.Engine { return open(t, (&fake{cpp: true}).start(t)) })
	f := &fake{cpp: true, step: 30 * time.Millisecond}
	e := open(t, f.start(t))
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 1 || bytes.Contains(models[0].Manifest, []byte("8888")) {
		t.Fatalf("%d models: %v", len(models), err)
	}
	for prompt, want := range map[string]error{
		"x": nil,
		"a <sd_cpp_extra_args>{\"width\":4096,\"steps\":100000}</sd_cpp_extra_args>": engine.ErrBadRequest,
		"<sd_cpp_extra_args>" + strings.Repeat("a", 1<<16):                           engine.ErrBadRequest,
	} {
		if _, err := e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: prompt, Steps: 30}, func(engine.Progress) {}); !errors.Is(err, want) {
			t.Errorf("%.30s: %v", prompt, err)
		}
	}
	if n := f.looks.Load(); n != 1 {
		t.Errorf("it was asked %d times for progress that it does not tell", n)
	}
}

// TestAnotherCheckpoint: a picture that was drawn with another one is not what was asked for, nor is one that has its digest
// only now.
func TestAnotherCheckpoint(t *testing.T) {
	f := &fake{}
	e := open(t, f.start(t))
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.lost = true
	if _, err := e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x"}, nil); !errors.Is(err, adapter.ErrBroken) {
		t.Errorf("drawn with another checkpoint: %v", err)
	}
	f.lost, f.late = false, true
	if _, err := e.Run(t.Context(), engine.Request{Model: models[1].Digest, Prompt: "x"}, nil); err != nil {
		t.Errorf("with its digest: %v", err)
	}
	if _, err := e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x"}, nil); !errors.Is(err, engine.ErrNoModel) {
		t.Errorf("removed: %v", err)
	}
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

// TestProgressOfWhatIsLeft: with a picture to begin with the server takes fewer steps, and tells so; and what it tells of the
// picture before is not told.
func TestProgressOfWhatIsLeft(t *testing.T) {
	for _, idle := range []bool{false, true} {
		f := &fake{step: 50 * time.Millisecond, idle: idle}
		e := open(t, f.start(t))
		models, err := e.Models(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		if _, err := e.Run(t.Context(), begin(models[0], 500), func(p engine.Progress) {
			if told++; p.Steps != 11 {
				t.Errorf("step %d of %d", p.Step, p.Steps)
			}
		}); err != nil || told > 0 == idle {
			t.Errorf("idle %v: told %d times, %v", idle, told, err)
		}
	}
}

// begin is a request with a picture to begin with.
func begin(m engine.Model, strength int) engine.Request {
	init := enginetest.Painted(engine.Request{Prompt: "init", Width: 16, Height: 8}, "")
	return engine.Request{Model: m.Digest, Prompt: "x", Steps: 20, Init: string(init), Strength: strength}
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
	ask := begin(models[0], 250)
	ask.Steps = 2
	got, err := e.Run(t.Context(), ask, nil)
	if err != nil {
		t.Fatal(err)
	}
	size := models[0].Sizes[0]
	file := enginetest.Painted(engine.Request{Prompt: fmt.Sprintf("x over %q at 0.25", ask.Init), Width: size.Width, Height: size.Height, Steps: 2}, "")
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
