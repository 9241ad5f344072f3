package gateway_test

import (
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

// TestResponses with OpenAI's Go client, whole and streamed.
func TestResponses(t *testing.T) {
	r := newRig(t)
	c := openai.NewClient(option.WithBaseURL(r.url+"/v1"), option.WithAPIKey(r.secret), option.WithMaxRetries(0))
	ask := responses.ResponseNewParams{Model: "talker-1", Instructions: openai.String("be kind"), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello there")}}
	got, err := c.Responses.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if got.OutputText() != "You said: hello there" || got.Status != "completed" || got.Usage.InputTokens != 4 || got.Usage.OutputTokens != 4 || !strings.HasPrefix(got.ID, "resp_") {
		t.Errorf("%+v", got)
	}
	ask.MaxOutputTokens = openai.Int(3)
	s := c.Responses.NewStreaming(t.Context(), ask)
	var names []string
	text, last := "", int64(-1)
	var end responses.Response
	for s.Next() {
		e := s.Current()
		if e.SequenceNumber != last+1 {
			t.Errorf("event %d follows %d", e.SequenceNumber, last)
		}
		last = e.SequenceNumber
		if e.Type == "response.output_text.delta" {
			text += e.Delta
			continue
		}
		names = append(names, strings.TrimPrefix(e.Type, "response."))
		end = e.Response
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, " "); got != "created in_progress output_item.added content_part.added output_text.done content_part.done output_item.done incomplete" {
		t.Errorf("events %s", got)
	}
	if text != "You said: hello " || end.OutputText() != text || end.IncompleteDetails.Reason != "max_output_tokens" {
		t.Errorf("%q, then %+v", text, end)
	}
	r.books(t)
}

func TestResponsesRefuse(t *testing.T) {
	r := newRig(t)
	for body, want := range map[string]int{
		`{}`: 400, `{"input":7}`: 400, `{"input":"x","tools":[{}]}`: 400, `{"input":"x","previous_response_id":"resp_1"}`: 400, `{"input":"x","background":true}`: 400,
		`{"input":[{"type":"function_call_output"}]}`: 400, `{"input":[{"role":"user","content":[{"type":"input_image"}]}]}`: 400,
		`{"input":"x","text":{"format":{"type":"json_schema"}}}`: 400, `{"input":"x","model":"gpt-9","stream":true}`: 404,
	} {
		resp, b := r.ask(t, "/v1/responses", body)
		if got := decode[failure](t, b).Error; resp.StatusCode != want || got.Message == "" {
			t.Errorf("%s: %d %s", body, resp.StatusCode, b)
		}
	}
	_, b := r.ask(t, "/v1/responses", `{"input":[{"role":"user","content":[{"type":"input_text","text":"a b"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"c"}]},{"role":"user","content":"d"}]}`)
	if !strings.Contains(string(b), "You said: d") {
		t.Errorf("%s", b)
	}
	data := engine.Answer{Content: "Something else", Finish: engine.FinishStop, Read: 1, Written: 3}.Result().Data
	r.OnOutput = func(o *essaim.Output) { o.Data = data }
	r.OnReceipt = func(rc *essaim.Receipt) { rc.Output, rc.Size = essaim.DigestOf(data), uint64(len(data)) }
	if _, b := r.ask(t, "/v1/responses", `{"input":"x","stream":true}`); !strings.Contains(string(b), "event: response.failed") {
		t.Errorf("%s", b)
	}
}
