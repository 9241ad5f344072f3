package ollama_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/engine/ollama"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type options struct {
	Predict     int `json:"num_predict"`
	Seed        uint32
	Temperature *float64
	TopP        *float64 `json:"top_p"`
	Stop        []string
}

// fake is a server with the documented fields.
func fake(t testing.TB, fault string) string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"version":"0.17.4"}`) })
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"models":[{"name":"tiny:latest","model":"tiny:latest","size":1,"digest":"aa11","details":{"family":"llama"}},
			{"name":"embedder:latest","digest":"bb22"},{"name":"painter:latest","digest":"cc33"},{"name":"other:latest","digest":"dd44"}]}`)
	})
	mux.HandleFunc("POST /api/show", func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ Model string }
		if enginetest.ReadStrict(w, r, &ask) {
			can := map[string]string{"tiny:latest": `["completion","tools"]`, "embedder:latest": `["embedding"]`, "painter:latest": `["image"]`, "other:latest": `["audio"]`}
			fmt.Fprintf(w, `{"modelfile":"FROM x","capabilities":%s}`, can[ask.Model])
		}
	})
	mux.HandleFunc("POST /api/chat", chat)
	mux.HandleFunc("POST /api/embed", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Model, Input string
			Truncate     *bool
		}
		if enginetest.ReadStrict(w, r, &ask) {
			v, _ := json.Marshal(enginetest.Vector(ask.Input))
			fmt.Fprintf(w, `{"model":%q,"embeddings":[%s],"total_duration":1,"load_duration":1,"prompt_eval_count":2}`, ask.Model, v)
		}
	})
	mux.HandleFunc("POST /api/generate", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Model, Prompt        string
			Width, Height, Steps int
			Stream               bool
			Options              options
		}
		if !enginetest.ReadStrict(w, r, &ask) {
			return
		}
		for i := range ask.Steps {
			time.Sleep(time.Millisecond)
			fmt.Fprintf(w, `{"model":%q,"created_at":"2026-01-01T00:00:00Z","completed":%d,"total":%d,"done":false}`+"\n", ask.Model, i+1, ask.Steps)
			_ = http.NewResponseController(w).Flush()
		}
		file := enginetest.Painted(engine.Request{Prompt: ask.Prompt, Seed: uint64(ask.Options.Seed), Width: ask.Width, Height: ask.Height, Steps: ask.Steps}, fault)
		fmt.Fprintf(w, `{"model":%q,"image":%q,"done":true,"done_reason":"stop"}`+"\n", ask.Model, base64.StdEncoding.EncodeToString(file))
	})
	return (&enginetest.Server{Handler: mux, Fault: fault, Paths: []string{"/api/chat", "/api/embed", "/api/generate"}}).Start(t)
}

func chat(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Model         string
		Messages      []engine.Message
		Stream, Think bool
		Format        string
		Options       options
	}
	if !enginetest.ReadStrict(w, r, &ask) {
		return
	}
	pieces, answer := enginetest.Spoken(ask.Messages, ask.Options.Predict)
	for _, p := range pieces {
		time.Sleep(time.Millisecond)
		text, _ := json.Marshal(p)
		fmt.Fprintf(w, `{"model":%q,"created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":%s},"done":false}`+"\n", ask.Model, text)
		_ = http.NewResponseController(w).Flush()
	}
	fmt.Fprintf(w, `{"model":%q,"message":{"role":"assistant","content":""},"done":true,"done_reason":%q,"prompt_eval_count":%d,"eval_count":%d}`+"\n",
		ask.Model, answer.Finish, answer.Read, answer.Written)
}

func open(t testing.TB, address string) *ollama.Engine {
	e, err := ollama.New(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestConforms(t *testing.T) {
	enginetest.Run(t, func() engine.Engine { return open(t, fake(t, "")) })
}

func TestFaults(t *testing.T) {
	enginetest.Faults(t, func(t *testing.T, fault string) engine.Engine { return open(t, fake(t, fault)).Impatient() })
}

func TestModelsAreWhatTheyCanDo(t *testing.T) {
	e := open(t, fake(t, ""))
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 3 {
		t.Fatalf("%d models: %v", len(models), err)
	}
	for i, want := range []essaim.Kind{essaim.KindChat, essaim.KindEmbed, essaim.KindImage} {
		if models[i].Kind != want {
			t.Errorf("%s is of kind %s, want %s", models[i].Name, models[i].Kind, want)
		}
	}
	if v, err := e.Version(t.Context()); err != nil || v != "0.17.4" {
		t.Errorf("version %s: %v", v, err)
	}
	again, err := open(t, fake(t, "")).Models(t.Context())
	if err != nil || again[0].Digest != models[0].Digest {
		t.Errorf("the same model has another digest elsewhere: %v", err)
	}
	if _, err := ollama.New("localhost"); err == nil {
		t.Error("that is an address")
	}
}
