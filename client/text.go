package client

import (
	"fmt"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/seal"
)

// Chat is the request to continue a conversation with at most so many tokens; 0: as many as the
// model writes by default.
//
// Errors: CodeBadInput for a conversation that no model can have.
func Chat(m essaim.ModelInfo, c engine.Chat, most uint32) (Request, error) {
	r := Request{Kind: essaim.KindChat, Model: m.Digest, Prompt: c.Encode(), Steps: most}
	if _, err := engine.ParseChat(r.Prompt); err != nil {
		return r, essaim.Errorf(essaim.CodeBadInput, "mend the conversation", "%w", err)
	}
	if r.Steps == 0 {
		r.Steps = uint32(m.Steps)
	}
	r.Units = m.Meter.Most(len(r.Prompt), 0, 0, r.Steps)
	return r, nil
}

// Embed is the request to embed a text.
func Embed(m essaim.ModelInfo, text string) Request {
	return Request{Kind: essaim.KindEmbed, Model: m.Digest, Prompt: text, Units: m.Meter.Most(len(text), 0, 0, 0)}
}

// Answer reads what a chat has come to.
//
// Errors: CodeRefused if it was no chat.
func (p *Picture) Answer() (engine.Answer, error) {
	if p.MediaType != engine.MediaChat {
		return engine.Answer{}, lie("the result is %q, not an answer", printable(p.MediaType))
	}
	return engine.ParseAnswer(p.Data)
}

// Vector reads what an embedding has come to.
//
// Errors: CodeRefused if it was none.
func (p *Picture) Vector() ([]float32, error) {
	v, err := engine.ParseEmbedding(p.MediaType, p.Data)
	if err != nil {
		return nil, lie("%v", err)
	}
	return v, nil
}

// checkText is what can be told of a text without its model: that it is one, and that it costs
// what it says. How many tokens it has is the miner's word, within what the task allows.
func checkText(out essaim.Output, kind essaim.Kind, r essaim.Receipt) error {
	if kind == essaim.KindEmbed {
		if _, err := engine.ParseEmbedding(out.MediaType, out.Data); err != nil {
			return lie("%v", err)
		}
		return nil
	}
	if out.MediaType != engine.MediaChat {
		return lie("the result is %q, not an answer", printable(out.MediaType))
	}
	a, err := engine.ParseAnswer(out.Data)
	switch {
	case err != nil:
		return lie("%v", err)
	case a.Written != uint64(r.Steps):
		return lie("the answer says %d tokens, the receipt %d", a.Written, r.Steps)
	case r.Units > a.Units():
		return lie("the receipt counts %d units, the answer has %d", r.Units, a.Units())
	}
	return nil
}

// listener hears a text while it is being written. It belongs to one goroutine. A part that is
// missed makes it silent until the whole is there.
type listener struct {
	key  *seal.PrivateKey
	task *essaim.Task // signed before the first part comes
	say  func(string)

	attempt uint64
	reader  *seal.Reader // nil: nothing of this attempt opens any more
	text    string       // of this attempt
	said    string
}

func (l *listener) hear(p essaim.Progress) {
	if l == nil || len(p.Part) == 0 {
		return
	}
	if p.Attempt != l.attempt {
		l.attempt, l.text, l.reader = p.Attempt, "", l.key.Parts(l.task.PartsInfo(p.Attempt))
	}
	if l.reader == nil {
		return
	}
	part, err := l.reader.Open(p.Part)
	if err != nil {
		l.reader = nil
		return
	}
	l.text += part
	l.catchUp(l.text)
}

// catchUp says what text has beyond what was said.
func (l *listener) catchUp(text string) {
	if rest, ok := strings.CutPrefix(text, l.said); ok && rest != "" {
		l.said = text
		l.say(rest)
	}
}

// end says the rest of what the model has written.
//
// Errors: CodeUnavailable if something else was said: a miner was lost that had written it.
func (l *listener) end(p *Picture) error {
	if l == nil {
		return nil
	}
	a, err := p.Answer()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(a.Content, l.said) {
		return essaim.Errorf(essaim.CodeUnavailable, "ask again", "a miner was lost while it wrote, and another has written something else")
	}
	l.catchUp(a.Content)
	return nil
}

// Most is the most units that a picture can come to by its model's meter, with the model's defaults
// for what the request leaves open.
func Most(m essaim.ModelInfo, width, height, steps uint32) uint64 {
	if width == 0 && height == 0 && len(m.Sizes) > 0 {
		if _, err := fmt.Sscanf(m.Sizes[0], "%dx%d", &width, &height); err != nil {
			width, height = essaim.MaxSide, essaim.MaxSide // a stranger's text; the price shows
		}
	}
	if steps == 0 {
		steps = uint32(m.Steps)
	}
	return m.Meter.Most(0, width, height, steps)
}
