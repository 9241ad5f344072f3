package comfyui_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/comfyui"
	"github.com/essaim/essaim/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a server with the documented fields, which follows the graph from its end.
type fake struct {
	fault string
	stuck bool // nothing is ever finished

	mu          sync.Mutex
	files       map[string][]byte
	interrupted bool
	deleted     []string
}

type graph map[string]struct {
	Class  string `json:"class_type"`
	Inputs map[string]any
}

// input follows a link of the graph.
func (g graph) input(node, name, class string) string {
	link, ok := g[node].Inputs[name].([]any)
	if !ok || len(link) != 2 || g[link[0].(string)].Class != class {
		return ""
	}
	return link[0].(string)
}

func (g graph) request() (engine.Request, bool) {
	sampler := g.input(g.input("save", "images", "VAEDecode"), "samples", "KSampler")
	size, text := g.input(sampler, "latent_image", "EmptyLatentImage"), g.input(sampler, "positive", "CLIPTextEncode")
	if g["save"].Class != "PreviewImage" || size == "" || text == "" || g.input(sampler, "model", "CheckpointLoaderSimple") == "" {
		return engine.Request{}, false
	}
	number := func(node, name string) int { n, _ := g[node].Inputs[name].(float64); return int(n) }
	prompt, _ := g[text].Inputs["text"].(string)
	return engine.Request{Prompt: prompt, Seed: uint64(number(sampler, "seed")), Steps: number(sampler, "steps"), Width: number(size, "width"), Height: number(size, "height")}, true
}

func (f *fake) start(t testing.TB) string {
	f.files = map[string][]byte{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /system_stats", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"system":{"comfyui_version":"0.3.7"},"devices":[]}`)
	})
	mux.HandleFunc("GET /object_info/CheckpointLoaderSimple", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"CheckpointLoaderSimple":{"input":{"required":{"ckpt_name":[["tiny.safetensors","other.ckpt"],{"tooltip":"x"}]}},"output":["MODEL","CLIP","VAE"]}}`)
	})
	mux.HandleFunc("POST /prompt", func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ Prompt graph }
		if !enginetest.ReadStrict(w, r, &ask) {
			return
		}
		request, ok := ask.Prompt.request()
		if !ok {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":{"type":"prompt_no_outputs","message":"no"},"node_errors":{}}`)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		id := fmt.Sprintf("id-%d", len(f.files))
		f.files[id] = enginetest.Painted(request, f.fault)
		fmt.Fprintf(w, `{"prompt_id":%q,"number":1,"node_errors":{}}`, id)
	})
	mux.HandleFunc("GET /history/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		id := r.PathValue("id")
		if f.files[id] == nil || f.stuck {
			fmt.Fprint(w, `{}`)
			return
		}
		fmt.Fprintf(w, `{%q:{"prompt":[],"outputs":{"save":{"images":[{"filename":%q,"subfolder":"","type":"temp"}]}},"status":{"status_str":"success","completed":true}}}`, id, id)
	})
	mux.HandleFunc("GET /view", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		_, _ = w.Write(f.files[r.URL.Query().Get("filename")])
	})
	mux.HandleFunc("GET /queue", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"queue_running":[[1,"id-0",{},{},[]]],"queue_pending":[]}`)
	})
	mux.HandleFunc("POST /queue", func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ Delete []string }
		if enginetest.ReadStrict(w, r, &ask) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.deleted = append(f.deleted, ask.Delete...)
		}
	})
	mux.HandleFunc("POST /interrupt", func(http.ResponseWriter, *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.interrupted = true
	})
	return (&enginetest.Server{Handler: mux, Fault: f.fault, Paths: []string{"/prompt", "/history", "/view"}}).Start(t)
}

func open(t testing.TB, address string) *comfyui.Engine {
	e, err := comfyui.New(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestConforms(t *testing.T) {
	enginetest.Run(t, func() engine.Engine { return open(t, (&fake{}).start(t)).Quick() })
}

func TestFaults(t *testing.T) {
	enginetest.Faults(t, func(t *testing.T, fault string) engine.Engine {
		return open(t, (&fake{fault: fault}).start(t)).Impatient()
	})
}

// TestWithdrawal: a picture that is not wanted any more leaves the queue, or is interrupted if it is
// the one that runs.
func TestWithdrawal(t *testing.T) {
	f := &fake{stuck: true}
	e := open(t, f.start(t)).Quick()
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 2 {
		t.Fatalf("%d models: %v", len(models), err)
	}
	if v, err := e.Version(t.Context()); err != nil || v != "0.3.7" {
		t.Errorf("version %s: %v", v, err)
	}
	for i, want := range []bool{true, false} { // the second one waits
		f.mu.Lock()
		f.interrupted = false
		f.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := e.Run(ctx, engine.Request{Model: models[0].Digest, Prompt: "x"}, nil)
		cancel()
		f.mu.Lock()
		if !errors.Is(err, context.DeadlineExceeded) || f.interrupted != want || len(f.deleted) != i+1 {
			t.Errorf("picture %d: %v, interrupted %v, deleted %v", i, err, f.interrupted, f.deleted)
		}
		f.mu.Unlock()
	}
	if _, err := open(t, f.start(t)).Impatient().Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x"}, nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a server that never finishes: %v", err)
	}
}
