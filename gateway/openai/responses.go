package openai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
)

// responsesRequest is the body of POST /v1/responses. Nothing is stored between requests, so a
// conversation comes whole with each.
type responsesRequest struct {
	Model        string            `json:"model"`
	Input        responsesInput    `json:"input"`
	Instructions string            `json:"instructions"`
	Most         uint32            `json:"max_output_tokens"`
	Temperature  *float64          `json:"temperature"`
	TopP         *float64          `json:"top_p"`
	Stream       bool              `json:"stream"`
	Previous     *string           `json:"previous_response_id"`
	Tools        []json.RawMessage `json:"tools"`
	Background   bool              `json:"background"`
	Text         struct {
		Format struct {
			Type string `json:"type"`
		} `json:"format"`
	} `json:"text"`
}

// responsesInput is a text, or messages.
type responsesInput []chatMessage

// UnmarshalJSON refuses items that are no messages of text.
func (in *responsesInput) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*in = responsesInput{{Role: "user", Content: textBody(one)}}
		return nil
	}
	var items []struct {
		Type, Role string
		Content    json.RawMessage
	}
	if json.Unmarshal(b, &items) != nil {
		return fmt.Errorf("input is neither text nor messages")
	}
	for _, i := range items {
		if i.Type != "" && i.Type != "message" {
			return fmt.Errorf("an item of type %.20q, only messages are understood", i.Type)
		}
		m := chatMessage{Role: i.Role}
		var parts []struct{ Type, Text string }
		switch {
		case json.Unmarshal(i.Content, (*string)(&m.Content)) == nil:
		case json.Unmarshal(i.Content, &parts) != nil:
			return fmt.Errorf("content is neither text nor parts")
		}
		for _, p := range parts {
			if !slices.Contains([]string{"input_text", "output_text", "text"}, p.Type) {
				return fmt.Errorf("a part of type %.20q, only text is understood", p.Type)
			}
			m.Content += textBody(p.Text)
		}
		*in = append(*in, m)
	}
	return nil
}

func (q responsesRequest) chat() (engine.Chat, error) {
	refuse := func(what string) (engine.Chat, error) {
		return engine.Chat{}, essaim.Errorf(essaim.CodeBadInput, "leave it out", "%s is not offered here", what)
	}
	switch {
	case q.Previous != nil:
		return refuse("an earlier response (previous_response_id)")
	case q.Background:
		return refuse("background")
	}
	c := chatRequest{Temperature: q.Temperature, TopP: q.TopP, Tools: q.Tools}
	if q.Text.Format.Type != "" {
		c.Format = &struct {
			Type string `json:"type"`
		}{q.Text.Format.Type}
	}
	if q.Instructions != "" {
		c.Messages = append(c.Messages, chatMessage{Role: "system", Content: textBody(q.Instructions)})
	}
	c.Messages = append(c.Messages, q.Input...)
	return c.chat()
}

type response struct {
	ID           string            `json:"id"`
	Object       string            `json:"object"`
	Created      int64             `json:"created_at"` // Unix seconds
	Status       string            `json:"status"`
	Error        *desk.Fault       `json:"error"`
	Incomplete   *incomplete       `json:"incomplete_details"`
	Instructions *string           `json:"instructions"`
	Most         *uint32           `json:"max_output_tokens"`
	Model        string            `json:"model"`
	Output       []responseItem    `json:"output"`
	Parallel     bool              `json:"parallel_tool_calls"`
	Previous     *string           `json:"previous_response_id"`
	Store        bool              `json:"store"`
	Temperature  *float64          `json:"temperature"`
	ToolChoice   string            `json:"tool_choice"`
	Tools        []json.RawMessage `json:"tools"`
	TopP         *float64          `json:"top_p"`
	Usage        *responseUsage    `json:"usage"`
	Metadata     struct{}          `json:"metadata"`
	Essaim       *desk.Origin      `json:"essaim,omitempty"`
}

type incomplete struct {
	Reason string `json:"reason"`
}

type responseItem struct {
	Type    string         `json:"type"`
	ID      string         `json:"id"`
	Status  string         `json:"status"`
	Role    string         `json:"role"`
	Content []responsePart `json:"content"`
}

type responsePart struct {
	Type        string   `json:"type"`
	Text        string   `json:"text"`
	Annotations []string `json:"annotations"`
}

type responseUsage struct {
	Input        uint64          `json:"input_tokens"`
	InputDetail  map[string]uint `json:"input_tokens_details"`
	Output       uint64          `json:"output_tokens"`
	OutputDetail map[string]uint `json:"output_tokens_details"`
	Total        uint64          `json:"total_tokens"`
}

func part(text string) responsePart { return responsePart{"output_text", text, []string{}} }

// finish makes of a response that has begun one that has ended.
func (r response) finish(t desk.Text, a engine.Answer) response {
	r.Status, r.Essaim = "completed", t.Origin()
	if a.Finish == engine.FinishLength {
		r.Status, r.Incomplete = "incomplete", &incomplete{"max_output_tokens"}
	}
	r.Output = []responseItem{r.item(r.Status, part(a.Content))}
	r.Usage = &responseUsage{a.Read, map[string]uint{"cached_tokens": 0}, a.Written, map[string]uint{"reasoning_tokens": 0}, a.Read + a.Written}
	return r
}

func (r response) item(status string, parts ...responsePart) responseItem {
	return responseItem{"message", "msg_" + r.ID[len("resp_"):], status, "assistant", append([]responsePart{}, parts...)}
}

// responses continues a conversation for an API-key user, in the newer of OpenAI's two ways.
func (api *API) responses(w http.ResponseWriter, r *http.Request) {
	key, err := api.desk.Admit(r)
	var q responsesRequest
	if err == nil {
		err = desk.ReadJSON(w, r, desk.MaxTexts, &q)
	}
	var c engine.Chat
	if err == nil {
		c, err = q.chat()
	}
	var m essaim.ModelInfo
	var ask client.Request
	if err == nil {
		m, ask, err = api.desk.Chat(r.Context(), q.Model, c, q.Most, nil)
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	out := response{
		ID: "resp_" + w.Header().Get(desk.HeaderRequest), Object: "response", Created: time.Now().Unix(), Status: "in_progress", Model: m.Name,
		Output: []responseItem{}, ToolChoice: "none", Tools: []json.RawMessage{}, Temperature: q.Temperature, TopP: q.TopP,
	}
	if q.Most != 0 {
		out.Most = &q.Most
	}
	if q.Instructions != "" {
		out.Instructions = &q.Instructions
	}
	if q.Stream {
		api.streamResponse(w, r, key, ask, out)
		return
	}
	list, err := api.desk.Perform(r.Context(), key, []client.Request{ask})
	var a engine.Answer
	if err == nil {
		a, err = list[0].Answer()
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	desk.Tell(w, list)
	desk.WriteJSON(w, http.StatusOK, out.finish(list[0], a))
}

// responseStream writes the events of a response.
type responseStream struct {
	*desk.Stream
	out response
	seq int
}

// event writes one; with are its fields besides type and number.
func (s *responseStream) event(name string, with map[string]any) error {
	with["type"], with["sequence_number"] = name, s.seq
	s.seq++
	b, err := json.Marshal(with)
	if err != nil {
		panic(err) // our own types always encode
	}
	return s.Write("event: %s\ndata: %s\n\n", name, b)
}

// at are the fields that say where in the output something is.
func (s *responseStream) at(with map[string]any) map[string]any {
	with["item_id"], with["output_index"], with["content_index"] = s.out.item("").ID, 0, 0
	return with
}

func (s *responseStream) begin(w http.ResponseWriter) (err error) {
	if s.Stream, err = desk.OpenStream(w); err != nil {
		return err
	}
	for _, name := range []string{"response.created", "response.in_progress"} {
		if err := s.event(name, map[string]any{"response": s.out}); err != nil {
			return err
		}
	}
	if err := s.event("response.output_item.added", map[string]any{"output_index": 0, "item": s.out.item("in_progress")}); err != nil {
		return err
	}
	return s.event("response.content_part.added", s.at(map[string]any{"part": part("")}))
}

func (s *responseStream) end(t desk.Text, a engine.Answer) {
	done := s.out.finish(t, a)
	_ = s.event("response.output_text.done", s.at(map[string]any{"text": a.Content, "logprobs": []string{}})) // the client may have left
	_ = s.event("response.content_part.done", s.at(map[string]any{"part": part(a.Content)}))
	_ = s.event("response.output_item.done", map[string]any{"output_index": 0, "item": done.Output[0]})
	_ = s.event("response."+done.Status, map[string]any{"response": done})
}

// streamResponse is streamChat for this way.
func (api *API) streamResponse(w http.ResponseWriter, r *http.Request, key apikey.Key, ask client.Request, out response) {
	s := &responseStream{out: out}
	t, err := api.desk.Write(r.Context(), key, ask, func(text string) (err error) {
		if s.Stream == nil {
			err = s.begin(w)
		}
		switch {
		case err != nil:
			return err
		case text == "":
			return s.Comment("keep-alive")
		}
		return s.event("response.output_text.delta", s.at(map[string]any{"delta": text, "logprobs": []string{}}))
	})
	var a engine.Answer
	if err == nil {
		a, err = t.Answer()
	}
	switch {
	case err != nil && s.Stream == nil:
		api.fail(w, err)
		return
	case err != nil:
		api.desk.LogFault(w, err)
		_, info := desk.FaultOf(err)
		s.out.Status, s.out.Error = "failed", &info
		_ = s.event("response.failed", map[string]any{"response": s.out}) // the client may have left
		return
	case s.Stream == nil: // an answer without a word
		if s.begin(w) != nil {
			return
		}
	}
	s.end(t, a)
}
