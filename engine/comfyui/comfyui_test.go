package comfyui_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/comfyui"
	"github.com/essaim/essaim/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a server with the documented fields, which follows the graph from its end.
type fake struct {
	fault string
	combo bool        // it lists its checkpoints as nodes of the third schema do
	gone  bool        // its checkpoints were removed
	mute  func()      // it takes a graph, calls this and never says so
	old   bool        // it gives requests numbers of its own, and interrupts whatever runs
	stuck bool        // nothing is ever finished
	takes func()      // called when a picture is queued, before that is answered, if set
	looks func()      // called when somebody asks whether a picture is finished, if set
	deaf  bool        // there is no websocket
	held  atomic.Bool // nothing is finished yet

	mu          sync.Mutex
	asked       engine.Request
	files       map[string][]byte
	sockets     map[string]*websocket.Conn // by client ID
	uploads     map[string][]byte          // by name
	running     string                     // the number of the first request
	interrupted bool
	others      bool // whoever's request ran was to be interrupted
	deleted     []string
	forgotten   []string
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
	init := ""
	if encode := g.input(sampler, "latent_image", "VAEEncode"); encode != "" && g.input(encode, "vae", "CheckpointLoaderSimple") != "" {
		size = g.input(encode, "pixels", "ImageScale")
		name, _ := g[g.input(size, "image", "LoadImage")].Inputs["image"].(string)
		if init, _ = strings.CutSuffix(name, " [temp]"); init == name {
			return engine.Request{}, false
		}
	}
	strength, _ := g[sampler].Inputs["denoise"].(float64)
	if g["save"].Class != "PreviewImage" || size == "" || text == "" || g.input(sampler, "model", "CheckpointLoaderSimple") == "" {
		return engine.Request{}, false
	}
	number := func(node, name string) int { n, _ := g[node].Inputs[name].(float64); return int(n) }
	prompt, _ := g[text].Inputs["text"].(string)
	return engine.Request{Prompt: prompt, Seed: uint64(number(sampler, "seed")), Steps: number(sampler, "steps"), Width: number(size, "width"), Height: number(size, "height"), Init: init, Strength: int(1000*strength + .5)}, true
}

func (f *fake) start(t testing.TB) string {
	f.files, f.sockets, f.uploads = map[string][]byte{}, map[string]*websocket.Conn{}, map[string][]byte{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /system_stats", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"system":{"comfyui_version":"0.3.7"},"devices":[]}`)
	})
	mux.HandleFunc("GET /object_info/CheckpointLoaderSimple", f.list)
	mux.HandleFunc("POST /prompt", f.take)
	mux.HandleFunc("GET /history/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.looks != nil {
			f.looks()
		}
		id := r.PathValue("id")
		if f.files[id] == nil || f.stuck || f.held.Load() {
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
		f.mu.Lock()
		defer f.mu.Unlock()
		fmt.Fprintf(w, `{"queue_running":[[1,%q,{},{},[]]],"queue_pending":[]}`, f.running)
	})
	mux.HandleFunc("POST /history", func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ Delete []string }
		if enginetest.ReadStrict(w, r, &ask) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.forgotten = append(f.forgotten, ask.Delete...)
		}
	})
	f.begin(t, mux)
	mux.HandleFunc("POST /queue", func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ Delete []string }
		if enginetest.ReadStrict(w, r, &ask) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.deleted = append(f.deleted, ask.Delete...)
		}
	})
	mux.HandleFunc("POST /interrupt", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			ID string `json:"prompt_id"` // "": whatever runs
		}
		if enginetest.ReadStrict(w, r, &ask) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.interrupted = f.interrupted || f.old || ask.ID == f.running
			f.others = f.others || ask.ID == ""
		}
	})
	return (&enginetest.Server{Handler: mux, Fault: f.fault, Paths: []string{"/prompt", "/history", "/view"}}).Start(t)
}

func (f *fake) list(w http.ResponseWriter, _ *http.Request) {
	if f.gone {
		fmt.Fprint(w, `{"CheckpointLoaderSimple":{"input":{"required":{"ckpt_name":[[],{"tooltip":"x"}]}},"output":["MODEL","CLIP","VAE"]}}`)
		return
	}
	if f.combo {
		fmt.Fprint(w, `{"CheckpointLoaderSimple":{"input":{"required":{"ckpt_name":["COMBO",{"tooltip":"x","options":["tiny.safetensors","other.ckpt"]}]}},"output":["MODEL","CLIP","VAE"]}}`)
		return
	}
	fmt.Fprint(w, `{"CheckpointLoaderSimple":{"input":{"required":{"ckpt_name":[["tiny.safetensors","other.ckpt"],{"tooltip":"x"}]}},"output":["MODEL","CLIP","VAE"]}}`)
}

// take queues a graph.
func (f *fake) take(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Prompt graph
		Client string `json:"client_id"`
		ID     string `json:"prompt_id"`
	}
	if !enginetest.ReadStrict(w, r, &ask) {
		return
	}
	request, ok := ask.Prompt.request()
	if !ok {
		w.WriteHeader(400)
		fmt.Fprint(w, `{"error":{"type":"prompt_no_outputs","message":"no"},"node_errors":{}}`)
		return
	}
	if f.gone {
		w.WriteHeader(400)
		fmt.Fprint(w, `{"error":{"type":"prompt_outputs_failed_validation","message":"Prompt outputs failed validation","details":"","extra_info":{}},"node_errors":{"load":{"errors":[{"type":"value_not_in_list","message":"Value not in list"}],"dependent_outputs":["save"],"class_type":"CheckpointLoaderSimple"}}}`)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id := ask.ID
	if f.old {
		id = fmt.Sprintf("id-%d", len(f.files))
	}
	if f.running == "" {
		f.running = id
	}
	if request.Init != "" && f.uploads[request.Init] == nil {
		w.WriteHeader(400)
		return
	}
	f.asked = request
	f.files[id] = enginetest.Painted(request, f.fault)
	f.show(ask.Client, request)
	if f.takes != nil {
		f.takes()
	}
	if f.mute != nil {
		f.mu.Unlock()
		f.mute()
		<-r.Context().Done()
		f.mu.Lock()
		return
	}
	fmt.Fprintf(w, `{"prompt_id":%q,"number":1,"node_errors":{}}`, id)
}

// begin is where pictures to begin with are left, and where clients listen.
func (f *fake) begin(t testing.TB, mux *http.ServeMux) {
	mux.HandleFunc("POST /upload/image", func(w http.ResponseWriter, r *http.Request) {
		file, head, err := r.FormFile("image")
		if err != nil || r.FormValue("type") != "temp" || r.FormValue("overwrite") != "true" {
			w.WriteHeader(400)
			return
		}
		b, err := io.ReadAll(file)
		if err != nil {
			t.Error(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.uploads["kept/"+head.Filename] = b
		fmt.Fprintf(w, `{"name":%q,"subfolder":"kept","type":"temp"}`, head.Filename)
	})
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		if f.deaf {
			w.WriteHeader(404)
			return
		}
		f.mu.Lock()
		conn, err := websocket.Accept(w, r, nil)
		if err == nil {
			f.sockets[r.URL.Query().Get("clientId")] = conn
		}
		f.mu.Unlock()
		if err == nil {
			<-conn.CloseRead(context.Background()).Done() // until the client is gone
		}
	})
}

// show tells a client of each step, and shows it behind, in turn in the older way and in the newer one; and of other nodes.
// The lock is held.
func (f *fake) show(client string, r engine.Request) {
	conn := f.sockets[client]
	if conn == nil {
		return
	}
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewRGBA(image.Rect(0, 0, 8, 8))); err != nil {
		panic(err)
	}
	say := func(kind websocket.MessageType, message []byte) { _ = conn.Write(context.Background(), kind, message) }
	say(websocket.MessageText, []byte(`{"type":"status","data":{"status":{"exec_info":{"queue_remaining":1}},"sid":"x"}}`))
	say(websocket.MessageText, []byte(`{"type":"progress","data":{"value":3,"max":3,"prompt_id":"id","node":"decode"}}`))
	for step := 1; step <= r.Steps; step++ {
		say(websocket.MessageText, fmt.Appendf(nil, `{"type":"progress","data":{"value":%d,"max":%d,"prompt_id":"id","node":"sample"}}`, step, r.Steps))
		if step%2 == 0 {
			say(websocket.MessageBinary, append([]byte{0, 0, 0, 1, 0, 0, 0, 2}, file.Bytes()...))
		} else {
			say(websocket.MessageBinary, append([]byte{0, 0, 0, 4, 0, 0, 0, 2, '{', '}'}, file.Bytes()...))
		}
	}
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
	for i, want := range []bool{true, false, false} { // the first one runs
		ctx, cancel := context.WithCancel(t.Context())
		f.mu.Lock()
		f.interrupted = false
		if f.looks = cancel; i == 2 { // the server has it, and nobody was told
			f.takes, f.looks = cancel, nil
		}
		f.mu.Unlock()
		_, err := e.Run(ctx, engine.Request{Model: models[0].Digest, Prompt: "x"}, nil)
		cancel()
		f.mu.Lock()
		if !errors.Is(err, context.Canceled) || f.interrupted != want || f.others || len(f.deleted) != i+1 {
			t.Errorf("picture %d: %v, interrupted %v, deleted %v", i, err, f.interrupted, f.deleted)
		}
		f.mu.Unlock()
	}
	if _, err := open(t, f.start(t)).Impatient().Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x"}, nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a server that never finishes: %v", err)
	}
}

// TestWithdrawalOfWhatMayHaveCome: a request that was called off, and that the server never says to have, is taken back, too.
func TestWithdrawalOfWhatMayHaveCome(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{mute: cancel}
	e := open(t, f.start(t)).Hasty()
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(ctx, engine.Request{Model: models[0].Digest, Prompt: "x"}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == "" || len(f.deleted) != 1 || f.deleted[0] != f.running || !f.interrupted {
		t.Errorf("it runs %q, deleted %v, interrupted %v", f.running, f.deleted, f.interrupted)
	}
}

// TestOlderServer: one that numbers requests itself and lists its checkpoints in the other way does as well.
func TestOlderServer(t *testing.T) {
	f := &fake{old: true, combo: true}
	e := open(t, f.start(t)).Quick()
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 2 {
		t.Fatalf("%d models: %v", len(models), err)
	}
	if _, err := e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x"}, nil); err != nil {
		t.Fatal(err)
	}
	if f.mu.Lock(); len(f.forgotten) != 1 || f.forgotten[0] != "id-0" {
		t.Errorf("the server keeps the prompt: it was asked to forget %v", f.forgotten)
	}
	f.mu.Unlock()
}

// TestRemovedCheckpoint: the server refuses it like any bad graph, but another miner may have it.
func TestRemovedCheckpoint(t *testing.T) {
	f := &fake{}
	e := open(t, f.start(t)).Quick()
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.gone = true
	if _, err := e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x"}, nil); !errors.Is(err, engine.ErrNoModel) || errors.Is(err, engine.ErrBadRequest) {
		t.Error(err)
	}
}

// TestInit: a picture to begin with is given to the server first, and the graph begins with it.
func TestInit(t *testing.T) {
	f := &fake{}
	e := open(t, f.start(t)).Quick()
	models, err := e.Models(t.Context())
	if err != nil || !models[0].Inits {
		t.Fatalf("%v, %v", models, err)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewRGBA(image.Rect(0, 0, 16, 8))); err != nil {
		t.Fatal(err)
	}
	r := engine.Request{Model: models[0].Digest, Prompt: "x", Init: file.String(), Strength: 400}
	for range 2 { // the same picture is kept once
		if _, err := e.Run(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.uploads) != 1 || !bytes.Equal(f.uploads[f.asked.Init], file.Bytes()) || f.asked.Strength != 400 || f.asked.Width == 16 {
		t.Errorf("%d uploads, asked for %+v", len(f.uploads), f.asked)
	}
	r.Strength = 0
	if _, err := e.Run(t.Context(), r, nil); !errors.Is(err, engine.ErrBadRequest) {
		t.Errorf("no strength: %v", err)
	}
}

// TestWatched: each step is told once, with the picture of the one before, if pictures are wanted; a server
// without a websocket draws all the same.
func TestWatched(t *testing.T) {
	f := &fake{}
	e := open(t, f.start(t)).Quick()
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, previews := range []bool{true, false} {
		var steps, shown int
		f.held.Store(true) // until every step was told
		_, err := e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x", Steps: 5, Previews: previews}, func(p engine.Progress) {
			if steps++; p.Step != steps || p.Steps != 5 {
				t.Errorf("step %d of %d is told as number %d", p.Step, p.Steps, steps)
			}
			if p.Preview != nil {
				shown++
			}
			f.held.Store(p.Step < p.Steps)
		})
		if want := map[bool]int{true: steps - 1}[previews]; err != nil || steps == 0 || shown != want {
			t.Errorf("%d steps, %d shown, want %d: %v", steps, shown, want, err)
		}
	}
	silent := &fake{deaf: true}
	if _, err := open(t, silent.start(t)).Quick().Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x"}, func(engine.Progress) { t.Error("progress from nowhere") }); err != nil {
		t.Errorf("without a websocket: %v", err)
	}
}
