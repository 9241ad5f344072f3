package main

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/internal/tracing"
	"github.com/essaim/essaim/internal/tracing/otlp"
	"github.com/essaim/essaim/node"
)

// spans is a collector of OpenTelemetry that keeps what it was told.
type spans struct {
	mu   sync.Mutex
	raw  []byte                         // every request, one after the other
	seen map[string]map[string][]string // by trace: by service: spans' names
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.Reader(r.Body), error(nil)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, err = gzip.NewReader(r.Body)
	}
	var b []byte
	var q collector.ExportTraceServiceRequest
	if err == nil {
		b, err = io.ReadAll(body)
	}
	if err == nil {
		err = proto.Unmarshal(b, &q)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = append(s.raw, b...)
	for _, of := range q.ResourceSpans {
		service := of.Resource.Attributes[0].Value.GetStringValue()
		for _, span := range of.ScopeSpans[0].Spans {
			id := hex.EncodeToString(span.TraceId)
			if s.seen[id] == nil {
				s.seen[id] = map[string][]string{}
			}
			s.seen[id][service] = append(s.seen[id][service], span.Name)
		}
	}
}

// of is what a trace went through.
func (s *spans) of(trace string) map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]string{}
	for service, names := range s.seen[trace] {
		out[service] = slices.Sorted(slices.Values(names))
	}
	return out
}

// chatter is an engine that speaks OpenAI's interface and says a word, in the trace that it is told.
func chatter(t *testing.T, to string) string {
	exporter, err := otlp.New(otlp.Config{URL: to, Service: "chatter", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tracer := tracing.New(exporter.Export, 0)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"llama-tiny","object":"model","created":1,"owned_by":"x","max_model_len":64}]}`)
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, span := tracer.Continue(r.Context(), r.Header.Get(tracing.Header), "generate", tracing.Server)
		defer span.End(nil)
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range []string{
			`{"choices":[{"index":0,"delta":{"content":"indeed"},"finish_reason":null}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`,
			`{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`, "[DONE]",
		} {
			fmt.Fprintf(w, "data: %s\n\n", e)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		exporter.Close()
	})
	return server.URL
}

// edit changes a role's node.toml, by way of the file.
func edit(t *testing.T, home, role string, change func(*node.Config)) {
	t.Helper()
	cfg, err := node.Load(filepath.Join(home, role))
	if err != nil {
		t.Fatal(err)
	}
	change(&cfg)
	if err := cfg.Save(); err != nil {
		t.Fatal(err)
	}
}

// TestWhatNodeTomlSays: each role is a process, and does what its node.toml says: the coordinator refuses prompts with a word
// of its list, serves guests at a key's cost, and traces; a miner leaves prompts to the others that its own list is
// against. One trace goes through gateway, coordinator, miner and engine, and no prompt is in it. What the dashboard shows
// is what the gateway measures.
func TestWhatNodeTomlSays(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	told := &spans{seen: map[string]map[string][]string{}}
	to := httptest.NewServer(told)
	defer to.Close()
	home := t.TempDir()
	words := func(name, phrase string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(phrase+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first := startProcess(ctx, t, home, "--engine", "openai="+chatter(t, to.URL)) // makes the home and registers everybody
	secret := strings.TrimSpace(string(said(t, home, "apikey", "create", "test")))
	var guests struct{ Key struct{ ID string } }
	if err := json.Unmarshal(said(t, home, "--json", "apikey", "create", "guests"), &guests); err != nil || guests.Key.ID == "" {
		t.Fatalf("%+v, %v", guests, err)
	}
	first.kill()
	tell := &node.Telemetry{OTLP: to.URL}
	edit(t, home, "coordinator", func(c *node.Config) {
		c.Telemetry, c.Coordinator.Filter, c.Coordinator.Guests = tell, words("filter.txt", "rotten quince"), &node.Guests{Key: guests.Key.ID, PerHour: 100}
	})
	edit(t, home, "miner-1", func(c *node.Config) { c.Telemetry, c.Miner.Censor = tell, words("censor.txt", "blue house") })
	edit(t, home, "miner-2", func(c *node.Config) { c.Telemetry = tell })
	p, _ := startApart(ctx, t, home)
	i, err := devnet.ReadInfo(home)
	if err != nil {
		t.Fatal(err)
	}
	api := openai.NewClient(option.WithBaseURL(i.Gateway+"/v1"), option.WithAPIKey(secret), option.WithMaxRetries(0))
	draw := func(prompt string, o ...option.RequestOption) (desc, error) { return drawWith(ctx, api, prompt, o...) }

	_, err = draw("a Rotten, quince")
	var refused *openai.Error
	if !errors.As(err, &refused) || refused.Code != "content_policy_violation" {
		t.Errorf("a word of the filter's list: %v", err)
	}
	shy, err := node.Load(filepath.Join(home, "miner-1"))
	if err != nil {
		t.Fatal(err)
	}
	declines, err := node.New(shy, node.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if d, err := draw("a Blue house"); err != nil || d.Miner.String() == declines.ID() {
			t.Errorf("a word of the censor's list: by %s, %v", d.Miner.Short(), err)
		}
	}
	if _, err := draw("a quince", option.WithHeaderDel("Authorization")); err != nil {
		t.Errorf("a guest: %v", err)
	}

	oneTrace(ctx, t, told, api, p, secret)
	savedTrace(ctx, t, told, home)
	dashboard(ctx, t, i.Gateway)
	t.Run("prometheus", func(t *testing.T) {
		prometheus(ctx, t, i.Gateway, func() {
			if _, err := draw("a quince"); err != nil {
				t.Errorf("draw: %v", err)
			}
			_, _ = draw("a rotten quince") // is refused
		})
	})
	batch(ctx, t, api)
}

// oneTrace has a chat done in a trace that its client has begun, and looks at what the collector was told.
func oneTrace(ctx context.Context, t *testing.T, told *spans, api openai.Client, p *process, secret string) {
	t.Helper()
	const trace, marker = "0af7651916cd43dd8448eb211c80319c", "zanzibar-marker"
	var answered *http.Response
	chat, err := api.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: "llama-tiny", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("say " + marker)}},
		option.WithHeader("Traceparent", "00-"+trace+"-b7ad6b7169203331-01"), option.WithResponseInto(&answered))
	if err != nil || chat.Choices[0].Message.Content != "indeed" {
		t.Fatalf("%+v, %v", chat, err)
	}
	if h := answered.Header.Get("Traceparent"); !strings.HasPrefix(h, "00-"+trace+"-") {
		t.Errorf("the answer is in trace %q", h)
	}
	var origin struct {
		Task  essaim.Digest
		Trace string
	}
	if err := json.Unmarshal([]byte(chat.JSON.ExtraFields["essaim"].Raw()), &origin); err != nil {
		t.Fatal(err)
	}
	rec, err := p.api.Task(ctx, origin.Task)
	if err != nil || rec.Trace != trace || origin.Trace != trace {
		t.Errorf("the task's record names trace %q, the answer %q: %v", rec.Trace, origin.Trace, err)
	}
	want := map[string][]string{
		"essaim-coordinator": {"coordinator attempt", "coordinator task", "gateway POST"}, "essaim-miner": {"engine openai", "miner attempt"}, "chatter": {"generate"},
	}
	if err := term.Until(ctx, func() (bool, error) { return fmt.Sprint(told.of(trace)) == fmt.Sprint(want), nil }); err != nil {
		t.Errorf("the trace went through %v, want %v", told.of(trace), want)
	}
	told.mu.Lock()
	for _, w := range []string{marker, "ouse", "quince", "indeed", secret} {
		if strings.Contains(string(told.raw), w) {
			t.Errorf("%q is in a span", w)
		}
	}
	told.mu.Unlock()
}

// savedTrace draws a picture: what is saved beside its receipt names the trace that the collector has of the miner's span, and the receipt
// holds without it.
func savedTrace(ctx context.Context, t *testing.T, told *spans, home string) {
	t.Helper()
	picture := filepath.Join(home, "apple.png")
	var printed, shown, saved struct{ Trace string }
	file, err := []byte(nil), json.Unmarshal(said(t, home, "imagine", "a red apple", "--size", "64x64", "--out", picture, "--json"), &printed)
	if err == nil {
		file, err = os.ReadFile(picture + ".trace")
	}
	if err == nil {
		err = errors.Join(json.Unmarshal(file, &saved), json.Unmarshal(said(t, home, "receipt", "show", picture+".receipt", "--json"), &shown))
	}
	if err != nil || len(saved.Trace) != 32 || printed != saved || shown != saved {
		t.Fatalf("saved %+v, printed %+v, shown %+v: %v", saved, printed, shown, err)
	}
	if err := term.Until(ctx, func() (bool, error) {
		return slices.Contains(told.of(saved.Trace)["essaim-miner"], "miner attempt"), nil
	}); err != nil {
		t.Errorf("trace %s went through %v", saved.Trace, told.of(saved.Trace))
	}
	if out := said(t, home, "receipt", "show", picture+".receipt"); !strings.Contains(string(out), "\ntrace        "+saved.Trace) {
		t.Errorf("%s", out)
	}
	said(t, home, "receipt", "verify", picture+".receipt", "--picture", picture)
}

// desc is who has drawn a picture.
type desc struct{ Miner essaim.NodeKey }

func drawWith(ctx context.Context, api openai.Client, prompt string, o ...option.RequestOption) (d desc, err error) {
	images, err := api.Images.Generate(ctx, openai.ImageGenerateParams{Prompt: prompt}, o...)
	if err == nil {
		err = json.Unmarshal([]byte(images.Data[0].JSON.ExtraFields["essaim"].Raw()), &d)
	}
	return d, err
}

// said is what a command on a home says.
func said(t *testing.T, home string, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "essaim", append([]string{"--home", home}, args...)...).Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

// dashboard checks that every number that the ready dashboard shows is one that the gateway serves.
func dashboard(ctx context.Context, t *testing.T, gateway string) {
	served := string(get(ctx, t, gateway+"/metrics"))
	shown := 0
	for _, panel := range panels(t) {
		for _, target := range panel.Targets {
			names := regexp.MustCompile(`essaim_[a-z_]+`).FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("panel %q shows nothing of ours: %s", panel.Title, target.Expr)
			}
			for _, name := range names {
				shown++
				if !regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(served) {
					t.Errorf("panel %q shows %s, which is not served", panel.Title, name)
				}
			}
		}
	}
	if shown < 10 {
		t.Errorf("the dashboard shows %d numbers", shown)
	}
}

// batch has a batch done on the real network, with the official client.
func batch(ctx context.Context, t *testing.T, api openai.Client) {
	var lines strings.Builder
	for n := range 3 {
		fmt.Fprintf(&lines, `{"custom_id":"c%d","method":"POST","url":"/v1/images/generations","body":{"prompt":"a red apple","seed":%d}}`+"\n", n, n)
	}
	file, err := api.Files.New(ctx, openai.FileNewParams{File: strings.NewReader(lines.String()), Purpose: openai.FilePurposeBatch})
	if err != nil {
		t.Fatal(err)
	}
	b, err := api.Batches.New(ctx, openai.BatchNewParams{InputFileID: file.ID, Endpoint: openai.BatchNewParamsEndpointV1ImagesGenerations, CompletionWindow: openai.BatchNewParamsCompletionWindow24h})
	if err != nil {
		t.Fatal(err)
	}
	err = term.Until(ctx, func() (bool, error) {
		b, err = api.Batches.Get(ctx, b.ID)
		return err != nil || b.Status == openai.BatchStatusCompleted, err
	})
	if err != nil || b.RequestCounts.Completed != 3 || b.RequestCounts.Failed != 0 {
		t.Fatalf("%v: %+v", err, b)
	}
	answers, err := api.Files.Content(ctx, b.OutputFileID)
	if err != nil {
		t.Fatal(err)
	}
	defer answers.Body.Close()
	all, err := io.ReadAll(answers.Body)
	if n := strings.Count(string(all), `"status_code":200`); err != nil || n != 3 {
		t.Errorf("%d lines were done, %v: %s", n, err, all)
	}
}
