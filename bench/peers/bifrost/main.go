// Command bifrost is Bifrost's core behind net/http, with one provider: what bench/peers puts the gateway beside.
//
//	bifrost -listen 127.0.0.1:8082 -to http://127.0.0.1:8080
//
// A module of its own, since nothing else needs what it depends on.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"

	bifrost "github.com/maximhq/bifrost/core"
	"github.com/maximhq/bifrost/core/schemas"
)

// account has one provider, with one key.
type account struct{ to string }

func (account) GetConfiguredProviders() ([]schemas.ModelProvider, error) {
	return []schemas.ModelProvider{schemas.OpenAI}, nil
}

func (account) GetKeysForProvider(context.Context, schemas.ModelProvider) ([]schemas.Key, error) {
	return []schemas.Key{{ID: "one", Name: "one", Value: *schemas.NewSecretVar("sk-none"), Models: schemas.WhiteList{"*"}, Weight: 1}}, nil
}

func (a account) GetConfigForProvider(schemas.ModelProvider) (*schemas.ProviderConfig, error) {
	return &schemas.ProviderConfig{
		NetworkConfig:            schemas.NetworkConfig{BaseURL: a.to, DefaultRequestTimeoutInSeconds: 60, AllowPrivateNetwork: true},
		ConcurrencyAndBufferSize: schemas.ConcurrencyAndBufferSize{Concurrency: 512, BufferSize: 4096},
	}, nil
}

// request is what a client asks.
type request struct {
	Model     string                `json:"model"`
	Messages  []schemas.ChatMessage `json:"messages"`
	MaxTokens *int                  `json:"max_tokens"`
	Stream    bool                  `json:"stream"`
}

func main() {
	addr, to := flag.String("listen", "127.0.0.1:0", "address"), flag.String("to", "", "URL")
	flag.Parse()
	b, err := bifrost.Init(context.Background(), schemas.BifrostConfig{Account: account{*to}, InitialPoolSize: 1024, Logger: bifrost.NewDefaultLogger(schemas.LogLevelError)})
	if err != nil {
		fail(err)
	}
	http.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { chat(b, w, r) })
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		fail(err)
	}
	fmt.Println("ready")
	fail(http.Serve(l, nil))
}

func chat(b *bifrost.Bifrost, w http.ResponseWriter, r *http.Request) {
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx := schemas.NewBifrostContext(r.Context(), schemas.NoDeadline)
	defer ctx.Cancel()
	ask := &schemas.BifrostChatRequest{Provider: schemas.OpenAI, Model: q.Model, Input: q.Messages, Params: &schemas.ChatParameters{MaxCompletionTokens: q.MaxTokens}}
	if !q.Stream {
		got, failed := b.ChatCompletionRequest(ctx, ask)
		if failed != nil {
			refuse(w, failed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(got)
		return
	}
	chunks, failed := b.ChatCompletionStreamRequest(ctx, ask)
	if failed != nil {
		refuse(w, failed)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	for c := range chunks {
		line, err := json.Marshal(c)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		_, _ = fmt.Fprintf(w, "data: %s\n\n", line)
		_ = out.Flush()
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

func refuse(w http.ResponseWriter, fail *schemas.BifrostError) {
	why, _ := json.Marshal(fail)
	http.Error(w, string(why), http.StatusBadGateway)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bifrost:", err)
	os.Exit(1)
}
