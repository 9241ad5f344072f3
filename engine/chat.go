package engine

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/essaim/essaim"
)

// MediaChat is the media type of an Answer as JSON.
const MediaChat = "application/vnd.essaim.chat+json"

// MediaFloats is the media type of an embedding of 32-bit floating-point numbers, little-endian,
// in order.
const MediaFloats = "application/vnd.essaim.embedding.f32"

// Chat is a conversation that is to be continued.
type Chat struct {
	Messages []Message `json:"messages"`

	// How the next tokens are drawn; nil and empty: as the model's maker wants it.
	Temperature *float64 `json:"temperature,omitempty"` // 0 to 2
	TopP        *float64 `json:"top_p,omitempty"`       // above 0, at most 1
	Stop        []string `json:"stop,omitempty"`        // ends the answer where it would stand
	JSON        bool     `json:"json,omitempty"`        // the answer must be a JSON object
}

// Message is a part of a conversation.
type Message struct {
	Role    string `json:"role"` // "system", "user" or "assistant"
	Content string `json:"content"`
}

// maxStop bounds Chat.Stop.
const maxStop = 8

// Encode is the chat as Request.Prompt carries it.
func (c Chat) Encode() string { return encode(c) }

// encode writes values that always encode.
func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// ParseChat reads what Encode wrote, and refuses what no engine should see.
//
// Errors: wraps ErrBadRequest; none quotes the conversation.
func ParseChat(prompt string) (Chat, error) {
	var c Chat
	bad := func(why string, args ...any) (Chat, error) {
		return Chat{}, fmt.Errorf("%w: %s", ErrBadRequest, fmt.Sprintf(why, args...))
	}
	d := json.NewDecoder(bytes.NewReader([]byte(prompt)))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil || !utf8.ValidString(prompt) {
		return bad("the conversation is not the JSON that was agreed")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("something follows the conversation")
	}
	if len(c.Messages) == 0 || len(c.Stop) > maxStop || slices.Contains(c.Stop, "") {
		return bad("a conversation has messages, and at most %d texts that stop it", maxStop)
	}
	for _, m := range c.Messages {
		if !slices.Contains([]string{"system", "user", "assistant"}, m.Role) {
			return bad("a message is by neither system, user nor assistant")
		}
	}
	if t := c.Temperature; t != nil && !(*t >= 0 && *t <= 2) {
		return bad("the temperature is not from 0 to 2")
	}
	if p := c.TopP; p != nil && !(*p > 0 && *p <= 1) {
		return bad("top_p is not above 0 and at most 1")
	}
	return c, nil
}

// Why an answer ended.
const (
	FinishStop   = "stop"   // the model was finished, or a text of Chat.Stop came
	FinishLength = "length" // as many tokens were written as may be
)

// Answer is the message that continues a chat.
type Answer struct {
	Content string `json:"content"`
	Finish  string `json:"finish"`
	Read    uint64 `json:"read"`    // tokens of the conversation; 0: the engine does not tell
	Written uint64 `json:"written"` // tokens
}

// Units is what the answer costs by the meter.
func (a Answer) Units() uint64 { return essaim.TokenUnits(a.Read, a.Written) }

// Result is the answer as an engine gives it.
func (a Answer) Result() Result {
	return Result{MediaType: MediaChat, Data: []byte(encode(a)), Steps: int(a.Written), Units: a.Units()}
}

// ParseAnswer reads an answer, and believes nothing of it: a stranger's engine wrote it.
//
// Errors: says what is wrong, without quoting it.
func ParseAnswer(data []byte) (Answer, error) {
	var a Answer
	if err := json.Unmarshal(data, &a); err != nil {
		return a, errors.New("the answer is not the JSON that was agreed")
	}
	if a.Finish != FinishStop && a.Finish != FinishLength {
		return a, errors.New("the answer does not say why it ended")
	}
	if a.Written > essaim.MaxWritten || a.Read > math.MaxUint32 {
		return a, errors.New("the answer counts more tokens than there can be")
	}
	return a, nil
}

// Floats is an embedding as MediaFloats has it.
func Floats(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

// ParseEmbedding reads an embedding of either media type.
//
// Errors: says what is wrong.
func ParseEmbedding(mediaType string, data []byte) ([]float32, error) {
	var out []float32
	switch {
	case mediaType == MediaEmbedding:
		for _, b := range data {
			out = append(out, float32(int8(b)))
		}
	case mediaType == MediaFloats && len(data)%4 == 0:
		for ; len(data) > 0; data = data[4:] {
			x := math.Float32frombits(binary.LittleEndian.Uint32(data))
			if x != x || math.IsInf(float64(x), 0) {
				return nil, errors.New("the embedding has something that is no number")
			}
			out = append(out, x)
		}
	default:
		return nil, fmt.Errorf("an embedding of %d bytes has another media type", len(data))
	}
	if !slices.ContainsFunc(out, func(x float32) bool { return x != 0 }) {
		return nil, errors.New("the embedding points nowhere")
	}
	return out, nil
}
