package gateway_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
)

type completion struct {
	ID, Object, Model string
	Choices           []struct {
		Message, Delta struct{ Role, Content string }
		FinishReason   string `json:"finish_reason"`
	}
	Usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
	Essaim struct {
		Receipt      string
		Units, Price uint64
	}
}

func (r *rig) ask(t testing.TB, path, body string) (*http.Response, []byte) {
	t.Helper()
	return r.send(t, "POST", path, body, "Authorization", "Bearer "+r.secret)
}

func TestChat(t *testing.T) {
	r := newRig(t)
	resp, b := r.ask(t, "/v1/chat/completions", `{"model":"talker-1","messages":[{"role":"developer","content":"be kind"},{"role":"user","content":[{"type":"text","text":"hello "},{"type":"text","text":"there"}]}],"max_tokens":50,"later":1}`)
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	got := decode[completion](t, b)
	if got.Object != "chat.completion" || got.Model != "talker-1" || len(got.Choices) != 1 || got.Choices[0].Message.Content != "You said: hello there" || got.Choices[0].FinishReason != "stop" {
		t.Errorf("%s", b)
	}
	if got.Usage.Prompt != 4 || got.Usage.Completion != 4 || got.Essaim.Units != 5 || got.Essaim.Price != 15 || resp.Header.Get("X-Essaim-Cost") != "15" {
		t.Errorf("%+v costs %s", got, resp.Header.Get("X-Essaim-Cost"))
	}
	_, file := r.send(t, "GET", "/ipfs/"+got.Essaim.Receipt, "")
	if receipt, task, _, err := essaim.ReadReceiptFile(file); err != nil || receipt.Price != 15 || task.Kind != essaim.KindChat {
		t.Errorf("receipt %+v: %v", receipt, err)
	} else if resp, _ := r.send(t, "GET", "/ipfs/"+receipt.CID(), ""); resp.StatusCode != 404 {
		t.Errorf("the answer is public: %d", resp.StatusCode)
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != 15 {
		t.Errorf("%+v: %v", k, err)
	}
	r.books(t)
}

func TestChatRefuses(t *testing.T) {
	r := newRig(t)
	for body, want := range map[string]int{
		`{}`: 400, `{"messages":[]}`: 400, `{"messages":[{"role":"tool","content":"x"}]}`: 400,
		`{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`:                        400,
		`{"messages":[{"role":"user","content":"x"}],"n":2}`:                                     400,
		`{"messages":[{"role":"user","content":"x"}],"tools":[{}]}`:                              400,
		`{"messages":[{"role":"user","content":"x"}],"temperature":9}`:                           400,
		`{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema"}}`:  400,
		`{"messages":[{"role":"user","content":"x"}],"max_tokens":100000}`:                       400,
		`{"messages":[{"role":"user","content":"` + strings.Repeat("x", essaim.MaxChat) + `"}]}`: 400,
		`{"messages":[{"role":"user","content":"x"}],"model":"pixel-test"}`:                      404,
		`{"messages":[{"role":"user","content":"x"}],"model":"gpt-9","stream":true}`:             404,
	} {
		resp, b := r.ask(t, "/v1/chat/completions", body)
		if got := decode[failure](t, b).Error; resp.StatusCode != want || got.Message == "" {
			t.Errorf("%.80s: %d %s, want %d", body, resp.StatusCode, b, want)
		}
	}
	if resp, _ := r.send(t, "POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}]}`); resp.StatusCode != 401 {
		t.Errorf("without a key: %d", resp.StatusCode)
	}
	poor, _, err := r.keys.Create(t.Context(), "poor", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"true", "false"} {
		resp, b := r.send(t, "POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"stream":`+stream+`}`, "Authorization", "Bearer "+poor)
		if got := decode[failure](t, b).Error; resp.StatusCode != 402 || got.Code != "insufficient_quota" {
			t.Errorf("an empty balance: %d %s", resp.StatusCode, b)
		}
	}
	if n := r.Submits(); n != 0 {
		t.Errorf("%d tasks were submitted", n)
	}
}

// TestChatStream with OpenAI's Go client.
func TestChatStream(t *testing.T) {
	r := newRig(t)
	c := openai.NewClient(option.WithBaseURL(r.url+"/v1"), option.WithAPIKey(r.secret), option.WithMaxRetries(0))
	s := c.Chat.Completions.NewStreaming(t.Context(), openai.ChatCompletionNewParams{
		Model: "talker-1", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("one two")},
		MaxTokens:     openai.Int(3),
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	})
	var acc openai.ChatCompletionAccumulator
	chunks := 0
	for s.Next() {
		acc.AddChunk(s.Current())
		chunks++
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if got := acc.Choices[0]; got.Message.Content != "You said: one " || got.FinishReason != "length" || acc.Usage.CompletionTokens != 3 || acc.Usage.PromptTokens != 2 || chunks < 4 {
		t.Errorf("%+v in %d chunks", acc.ChatCompletion, chunks)
	}
}

// TestStreamsBreakInTheOpen: what was heard and then came differently is an error, not an answer.
func TestStreamsBreakInTheOpen(t *testing.T) {
	r := newRig(t)
	data := engine.Answer{Content: "Something else", Finish: engine.FinishStop, Read: 1, Written: 3}.Result().Data
	r.OnOutput = func(o *essaim.Output) { o.Data = data }
	r.OnReceipt = func(rc *essaim.Receipt) { rc.Output, rc.Size = essaim.DigestOf(data), uint64(len(data)) }
	_, b := r.ask(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"stream":true}`)
	events := strings.Split(strings.TrimSpace(string(b)), "\n\n")
	last, ok := strings.CutPrefix(events[len(events)-1], "data: ")
	if got := decode[failure](t, []byte(last)).Error; !ok || got.Type != "server_error" {
		t.Errorf("%s", b)
	}
}

func TestEmbeddings(t *testing.T) {
	r := newRig(t)
	type answer struct {
		Data []struct {
			Index     int
			Embedding any
		}
		Usage struct {
			Prompt int `json:"prompt_tokens"`
		}
	}
	resp, b := r.ask(t, "/v1/embeddings", `{"model":"talker-embed-1","input":["red apple","a house"],"encoding_format":"base64"}`)
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	got := decode[answer](t, b)
	for i, text := range []string{"red apple", "a house"} {
		b, err := base64.StdEncoding.DecodeString(got.Data[i].Embedding.(string))
		if v, _ := engine.ParseEmbedding(engine.MediaFloats, b); err != nil || !slices.Equal(v, enginetest.Vector(text)) {
			t.Errorf("%s: %v", text, got.Data[i])
		}
	}
	if got.Usage.Prompt == 0 || resp.Header.Get("X-Essaim-Cost") != "6" {
		t.Errorf("%+v for %s", got.Usage, resp.Header.Get("X-Essaim-Cost"))
	}
	c := openai.NewClient(option.WithBaseURL(r.url+"/v1"), option.WithAPIKey(r.secret), option.WithMaxRetries(0))
	one, err := c.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "talker-embed-1", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("red apple")}})
	if err != nil || len(one.Data) != 1 || len(one.Data[0].Embedding) != 8 || float32(one.Data[0].Embedding[0]) != enginetest.Vector("red apple")[0] {
		t.Errorf("%+v: %v", one, err)
	}
	for body, want := range map[string]int{
		`{"input":[]}`: 400, `{"input":""}`: 400, `{"input":[1,2]}`: 400, `{"input":"x","encoding_format":"hex"}`: 400, `{"input":"x","dimensions":3}`: 400, `{"input":"x","model":"talker-1"}`: 404,
	} {
		if resp, b := r.ask(t, "/v1/embeddings", body); resp.StatusCode != want || decode[failure](t, b).Error.Message == "" {
			t.Errorf("%s: %d %s", body, resp.StatusCode, b)
		}
	}
	r.books(t)
}

// TestChatOfALostClient is done and paid for.
func TestChatOfALostClient(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.OnPart = func(*essaim.Progress) bool { cancel(); return false }
	req, err := http.NewRequestWithContext(ctx, "POST", r.url+"/v1/chat/completions", strings.NewReader(`{"messages":[{"role":"user","content":"x"}],"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.secret)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	for range 1000 {
		if k, err := r.keys.Key(t.Context(), r.keyID); err == nil && k.Spent > 0 {
			return
		}
		r.send(t, "GET", "/healthz", "")
	}
	t.Errorf("nothing was charged, a picture would be %d", clienttest.Price)
}
