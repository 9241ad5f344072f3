package openai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
)

// chatRequest is the body of POST /v1/chat/completions. Fields of OpenAI's that are not here change
// nothing, but for those that would change the answer: they are refused.
type chatRequest struct {
	Model         string         `json:"model"`
	Messages      []chatMessage  `json:"messages"`
	MaxTokens     *uint32        `json:"max_tokens"`
	MaxCompletion *uint32        `json:"max_completion_tokens"`
	Temperature   *float64       `json:"temperature"`
	TopP          *float64       `json:"top_p"`
	Stop          desk.OneOrMore `json:"stop"`
	Seed          *uint64        `json:"seed"`
	Stream        bool           `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Format *struct {
		Type string `json:"type"`
	} `json:"response_format"`

	N         *int              `json:"n"`
	Tools     []json.RawMessage `json:"tools"`
	Functions []json.RawMessage `json:"functions"`
	Logprobs  bool              `json:"logprobs"`
}

// chatMessage has text, alone or in parts.
type chatMessage struct {
	Role    string   `json:"role"`
	Content textBody `json:"content"`
}

// textBody is text, or an array of parts that are.
type textBody string

// UnmarshalJSON refuses parts that are no text.
func (t *textBody) UnmarshalJSON(b []byte) error {
	var one *string
	if json.Unmarshal(b, &one) == nil {
		if one != nil {
			*t = textBody(*one)
		}
		return nil
	}
	var parts []struct{ Type, Text string }
	if json.Unmarshal(b, &parts) != nil {
		return fmt.Errorf("content is neither text nor parts")
	}
	for _, p := range parts {
		if p.Type != "text" {
			return fmt.Errorf("a part of type %.20q, only text is understood", p.Type)
		}
		*t += textBody(p.Text)
	}
	return nil
}

type chatResponse struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"` // Unix seconds
	Model   string       `json:"model"`
	Choices []chatChoice `json:"choices"`
	Usage   *chatUsage   `json:"usage,omitempty"`
	Essaim  *desk.Origin `json:"essaim,omitempty"`
}

type chatChoice struct {
	Index    int        `json:"index"`
	Message  *chatSaid  `json:"message,omitempty"`
	Delta    *chatDelta `json:"delta,omitempty"`
	Logprobs *struct{}  `json:"logprobs"`
	Finish   *string    `json:"finish_reason"`
}

type chatSaid struct {
	Role    string  `json:"role"`
	Content string  `json:"content"`
	Refusal *string `json:"refusal"`
}

type chatDelta struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content,omitempty"`
}

type chatUsage struct {
	Prompt     uint64 `json:"prompt_tokens"`
	Completion uint64 `json:"completion_tokens"`
	Total      uint64 `json:"total_tokens"`
}

func usageOf(a engine.Answer) *chatUsage { return &chatUsage{a.Read, a.Written, a.Read + a.Written} }

// request checks what is asked and makes a chat of it.
//
// Errors: CodeBadInput.
func (q chatRequest) chat() (engine.Chat, error) {
	refuse := func(what string) (engine.Chat, error) {
		return engine.Chat{}, essaim.Errorf(essaim.CodeBadInput, "leave it out", "%s is not offered here", what)
	}
	c := engine.Chat{Temperature: q.Temperature, TopP: q.TopP, Stop: q.Stop}
	switch {
	case q.N != nil && *q.N != 1:
		return refuse("more than one answer (n)")
	case len(q.Tools)+len(q.Functions) > 0:
		return refuse("the use of tools")
	case q.Logprobs:
		return refuse("logprobs")
	case q.Format != nil && q.Format.Type == "json_object":
		c.JSON = true
	case q.Format != nil && q.Format.Type != "" && q.Format.Type != "text":
		return refuse("response_format " + strconv.QuoteToASCII(cut(q.Format.Type)))
	}
	for _, m := range q.Messages {
		if m.Role == "developer" {
			m.Role = "system"
		}
		c.Messages = append(c.Messages, engine.Message{Role: m.Role, Content: string(m.Content)})
	}
	return c, nil
}

func cut(s string) string { return s[:min(len(s), 20)] }

// completions continues a conversation for an API-key user.
func (api *API) completions(w http.ResponseWriter, r *http.Request) {
	key, err := api.desk.Admit(r)
	var q chatRequest
	if err == nil {
		err = desk.ReadJSON(w, r, desk.MaxTexts, &q)
	}
	var c engine.Chat
	if err == nil {
		c, err = q.chat()
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	var most uint32
	for _, n := range []*uint32{q.MaxTokens, q.MaxCompletion} {
		if n != nil {
			most = *n
		}
	}
	m, ask, err := api.desk.Chat(r.Context(), q.Model, c, most, q.Seed)
	if err != nil {
		api.fail(w, err)
		return
	}
	out := chatResponse{ID: "chatcmpl-" + w.Header().Get(desk.HeaderRequest), Created: time.Now().Unix(), Model: m.Name}
	if q.Stream {
		api.streamChat(w, r, key, ask, out, q.StreamOptions.IncludeUsage)
		return
	}
	list, err := api.desk.Perform(r.Context(), key, []client.Request{ask})
	if err != nil {
		api.fail(w, err)
		return
	}
	a, err := list[0].Answer()
	if err != nil {
		api.fail(w, err)
		return
	}
	desk.Tell(w, list)
	out.Object, out.Usage, out.Essaim = "chat.completion", usageOf(a), list[0].Origin()
	out.Choices = []chatChoice{{Message: &chatSaid{Role: "assistant", Content: a.Content}, Finish: &a.Finish}}
	desk.WriteJSON(w, http.StatusOK, out)
}

// streamChat answers with server-sent events. Until something was written an error is an ordinary
// answer; after that it is an event.
func (api *API) streamChat(w http.ResponseWriter, r *http.Request, key apikey.Key, ask client.Request, out chatResponse, usage bool) {
	var stream *desk.Stream
	out.Object = "chat.completion.chunk"
	chunk := func(d chatDelta, finish *string) error {
		out.Choices = []chatChoice{{Delta: &d, Finish: finish}}
		return stream.Data(out)
	}
	t, err := api.desk.Write(r.Context(), key, ask, func(s string) (err error) {
		if stream == nil {
			if stream, err = desk.OpenStream(w); err == nil {
				err = chunk(chatDelta{Role: "assistant"}, nil)
			}
		}
		switch {
		case err != nil:
			return err
		case s == "":
			return stream.Comment("keep-alive")
		}
		return chunk(chatDelta{Content: s}, nil)
	})
	var a engine.Answer
	if err == nil {
		a, err = t.Answer()
	}
	switch {
	case err != nil && stream == nil:
		api.fail(w, err)
		return
	case err != nil:
		api.desk.LogFault(w, err)
		_, info := desk.FaultOf(err)
		_ = stream.Data(errorBody{info}) // the client may have left
		return
	case stream == nil: // an answer without a word
		if stream, err = desk.OpenStream(w); err != nil {
			return
		}
	}
	out.Essaim = t.Origin()
	_ = chunk(chatDelta{}, &a.Finish)
	if usage {
		out.Choices, out.Usage = []chatChoice{}, usageOf(a)
		_ = stream.Data(out)
	}
	_ = stream.Write("data: [DONE]\n\n")
}
