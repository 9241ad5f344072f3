package openai_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/engine/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a server with the documented fields: a chat, an embedding and a picture model.
func fake(t testing.TB, fault string, change ...func(*http.ServeMux)) string {
	mux := http.NewServeMux()
	for _, c := range change {
		c(mux)
	}
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"llama-tiny","object":"model","created":1,"owned_by":"x","max_model_len":64},{"id":"all-minilm-l6"},{"id":"sd-tiny"}]}`)
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Model         string
			Messages      []engine.Message
			MaxTokens     int `json:"max_tokens"`
			Seed          uint32
			Temperature   *float64
			TopP          *float64 `json:"top_p"`
			Stop          []string
			Stream        bool
			StreamOptions struct {
				IncludeUsage bool `json:"include_usage"`
			} `json:"stream_options"`
			ResponseFormat *struct{ Type string } `json:"response_format"`
		}
		if !enginetest.ReadStrict(w, r, &ask) {
			return
		}
		if ask.Model != "llama-tiny" || !ask.Stream || !ask.StreamOptions.IncludeUsage || ask.MaxTokens < 1 {
			http.Error(w, `{"error":{"message":"no","type":"invalid_request_error"}}`, 400)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		event := func(format string, args ...any) {
			fmt.Fprintf(w, "data: "+format+"\n\n", args...)
			_ = http.NewResponseController(w).Flush()
		}
		pieces, answer := enginetest.Spoken(ask.Messages, ask.MaxTokens)
		event(`{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}`)
		for _, p := range pieces {
			time.Sleep(time.Millisecond)
			text, _ := json.Marshal(p)
			event(`{"choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}],"usage":null}`, text)
		}
		fmt.Fprint(w, ": ping\n\n")
		event(`{"choices":[{"index":0,"delta":{},"finish_reason":%q}]}`, answer.Finish)
		event(`{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":0}}`, answer.Read, answer.Written)
		event("[DONE]")
	})
	mux.HandleFunc("POST /v1/embeddings", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Model, Input string
			Format       string `json:"encoding_format"`
		}
		if enginetest.ReadStrict(w, r, &ask) {
			v, _ := json.Marshal(enginetest.Vector(ask.Input))
			fmt.Fprintf(w, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":%s}],"model":%q,"usage":{"prompt_tokens":2,"total_tokens":2}}`, v, ask.Model)
		}
	})
	mux.HandleFunc("POST /v1/images/generations", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Model, Prompt, Size string
			Format              string `json:"response_format"`
			N                   int
			Seed                uint64
		}
		if !enginetest.ReadStrict(w, r, &ask) {
			return
		}
		var size engine.Request
		if _, err := fmt.Sscanf(ask.Size, "%dx%d", &size.Width, &size.Height); err != nil || ask.Format != "b64_json" || ask.N != 1 {
			http.Error(w, "no", 400)
			return
		}
		size.Prompt, size.Seed = ask.Prompt, ask.Seed
		fmt.Fprintf(w, `{"created":1,"data":[{"b64_json":%q}]}`, base64.StdEncoding.EncodeToString(enginetest.Painted(size, fault)))
	})
	return (&enginetest.Server{Handler: mux, Fault: fault, Paths: []string{"/v1/chat", "/v1/embed", "/v1/images"}}).Start(t)
}

func open(t testing.TB, address string) *openai.Engine {
	e, err := openai.New(address)
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

func TestKindsAreGuessedAndCanBeSaid(t *testing.T) {
	address := fake(t, "")
	want := []essaim.Kind{essaim.KindChat, essaim.KindEmbed, essaim.KindImage}
	for _, more := range []string{"", "?embed=llama*&draw=all-*"} {
		models, err := open(t, address+more).Models(t.Context())
		if err != nil || len(models) != 3 {
			t.Fatalf("%d models: %v", len(models), err)
		}
		for i, m := range models {
			if m.Kind != want[i] {
				t.Errorf("%s: %s is of kind %s, want %s", more, m.Name, m.Kind, want[i])
			}
		}
		if more == "" && models[0].MaxSteps != 64 {
			t.Errorf("the model takes 64 tokens, it says %d", models[0].MaxSteps)
		}
		want = []essaim.Kind{essaim.KindEmbed, essaim.KindImage, essaim.KindImage}
	}
	for _, bad := range []string{"", "127.0.0.1:80", "ftp://x", "http://x?draw=["} {
		if _, err := openai.New(bad); err == nil {
			t.Errorf("%q is an address", bad)
		}
	}
}

// TestStreams that do not end as they should are not taken for answers, whatever they held.
func TestStreams(t *testing.T) {
	const text = `data: {"choices":[{"delta":{"content":"hello"},"finish_reason":null}]}` + "\n\n"
	for name, stream := range map[string]string{
		"no end":        text,
		"no reason":     text + "data: [DONE]\n\n",
		"error":         text + `data: {"error":{"message":"out of memory"}}` + "\n\n",
		"a long line":   "data: " + strings.Repeat("x", 2<<20) + "\n\n",
		"without limit": strings.Repeat(`data: {"choices":[{"delta":{"content":"`+strings.Repeat("y", 1<<16)+`"}}]}`+"\n\n", 32),
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[{"id":"m"}]}`) })
		mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, stream) })
		e := open(t, (&enginetest.Server{Handler: mux}).Start(t))
		models, err := e.Models(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		prompt := engine.Chat{Messages: []engine.Message{{Role: "user", Content: "x"}}}.Encode()
		if got, err := e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: prompt}, nil); err == nil {
			t.Errorf("%s: %d bytes", name, len(got.Data))
		}
	}
}

// TestUncounted: of a server that counts nothing the pieces are the tokens, and more than were
// asked for cost nothing.
func TestUncounted(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[{"id":"m"}]}`) })
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer k" {
			w.WriteHeader(401)
			return
		}
		for range 5 {
			fmt.Fprint(w, `data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`+"\n\n")
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	})
	address := (&enginetest.Server{Handler: mux}).Start(t)
	e := open(t, strings.Replace(address, "http://", "http://:k@", 1))
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	prompt := engine.Chat{Messages: []engine.Message{{Role: "user", Content: "x"}}}.Encode()
	for most, want := range map[int]int{10: 5, 3: 3} {
		got, err := e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: prompt, Steps: most}, nil)
		if err != nil || got.Steps != want || got.Units != uint64(want) {
			t.Errorf("%d tokens and %d units of at most %d: %v", got.Steps, got.Units, most, err)
		}
	}
}
