package discordtest

import (
	"bytes"
	"image"
	_ "image/png" // what pictures are
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// written is a message as the bot writes it.
type written struct {
	Content     *string  `json:"content"`
	Flags       int      `json:"flags"`
	Mentions    *allowed `json:"allowed_mentions"`
	Attachments []struct {
		ID          int    `json:"id"`
		Filename    string `json:"filename"`
		Description string `json:"description"`
	} `json:"attachments"`
	Components []struct {
		Type       int `json:"type"`
		Components []struct {
			Type     int    `json:"type"`
			Style    int    `json:"style"`
			Label    string `json:"label"`
			CustomID string `json:"custom_id"`
		} `json:"components"`
	} `json:"components"`
}

type allowed struct {
	Parse []string `json:"parse"`
	Users []string `json:"users"`
}

const (
	noEmbeds  = 1 << 2
	ephemeral = 1 << 6
	loading   = 1 << 7

	maxFile = 10 << 20
)

// fill reads what is said into a message, and holds it against the limits.
func (m *Message) fill(b *body) *no {
	var v written
	if refused := b.into(&v); refused != nil {
		return refused
	}
	if v.Mentions == nil || v.Mentions.Parse == nil || len(v.Mentions.Parse) > 0 {
		return bad("a message that may mention whom a person has written")
	}
	if v.Flags&^(noEmbeds|ephemeral) != 0 {
		return bad("flags %b", v.Flags)
	}
	if refused := m.attach(&v, b); refused != nil {
		return refused
	}
	if v.Content != nil {
		m.Raw = *v.Content
	}
	if n := len(utf16.Encode([]rune(m.Raw))); n > 2000 || n == 0 && m.File == nil {
		return bad("content of %d", n)
	}
	for _, who := range mention.FindAllStringSubmatch(escaped.ReplaceAllString(m.Raw, ""), -1) {
		if !slices.Contains(v.Mentions.Users, who[1]) {
			return bad("an unannounced mention of %s", who[1])
		}
	}
	m.Text = escaped.ReplaceAllString(m.Raw, "$1")
	if len(v.Components) > 0 {
		m.Buttons = nil
	}
	for _, row := range v.Components {
		if row.Type != 1 || len(row.Components) < 1 || len(row.Components) > 5 || len(v.Components) > 5 {
			return bad("components %+v", row)
		}
		for _, x := range row.Components {
			if x.Type != 2 || x.Style < 1 || x.Style > 4 || len(x.Label) < 1 || len([]rune(x.Label)) > 80 || len(x.CustomID) < 1 || len(x.CustomID) > 100 {
				return bad("button %+v", x)
			}
			m.Buttons = append(m.Buttons, Button{x.Label, x.CustomID})
		}
	}
	return nil
}

var (
	escaped = regexp.MustCompile(`\\([^0-9A-Za-z\s])`)
	mention = regexp.MustCompile(`<@!?&?(\d+)>`)
)

// attach reads a file that goes along.
func (m *Message) attach(v *written, b *body) *no {
	if len(v.Attachments) != len(b.files) || len(b.files) > 1 {
		return bad("%d attachments of %d files", len(v.Attachments), len(b.files))
	}
	for _, a := range v.Attachments {
		h := b.files["files[0]"]
		if h == nil || a.ID != 0 || a.Filename != h.Filename || strings.ContainsAny(a.Filename, "/\\ ") || len([]rune(a.Description)) > 1024 {
			return bad("attachment %+v", a)
		}
		if h.Size > maxFile {
			return &no{http.StatusRequestEntityTooLarge, 40005, "Request entity too large"}
		}
		f, err := h.Open()
		if err != nil {
			return bad("%v", err)
		}
		defer f.Close()
		if m.File, err = io.ReadAll(f); err != nil {
			return bad("%v", err)
		}
		m.Name, m.Alt = a.Filename, a.Description
		if _, _, err := image.DecodeConfig(bytes.NewReader(m.File)); strings.HasSuffix(m.Name, ".png") && err != nil {
			return bad("%s is no picture: %v", m.Name, err)
		}
	}
	return nil
}

func (m *Message) object() map[string]any {
	flags := 0
	if m.OnlyFor != "" {
		flags |= ephemeral
	}
	if m.AtWork {
		flags |= loading
	}
	return map[string]any{"id": m.ID, "channel_id": m.Channel, "content": m.Raw, "flags": flags, "type": 0}
}

// callback is the first answer to an interaction.
func (s *Server) callback(q *http.Request, b *body) (any, *no) {
	var v struct {
		Type int `json:"type"`
		Data *struct {
			Flags int `json:"flags"`
		} `json:"data"`
	}
	if refused := b.into(&v); refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.interactions[q.PathValue("id")]
	switch {
	case i == nil || i.token != q.PathValue("token") || !i.answered && s.now().Sub(i.at) > 3*time.Second:
		return nil, unknownInteraction
	case i.answered:
		return nil, answered
	case v.Type != 5 && (v.Type != 6 || i.kind != 3) || v.Data != nil && v.Data.Flags != ephemeral:
		return nil, bad("first answer %+v", v)
	}
	i.answered, i.silent = true, v.Type == 6
	if !i.silent {
		i.first = &Message{ID: s.next(), Channel: i.in.ID, AtWork: true, way: i}
		if v.Data != nil {
			i.first.OnlyFor = i.by.ID
		}
		s.messages = append(s.messages, i.first)
	}
	s.poke()
	return nil, nil
}

// opened finds what an interaction has opened. The lock is held.
func (s *Server) opened(q *http.Request) (*interaction, *no) {
	for _, i := range s.interactions {
		if i.token != q.PathValue("token") {
			continue
		}
		switch {
		case s.now().Sub(i.at) > 15*time.Minute:
			return nil, invalidWebhook
		case !i.answered:
			s.faults = append(s.faults, "a message before the first answer")
			return nil, unknownWebhook
		}
		return i, nil
	}
	return nil, unknownWebhook
}

func (s *Server) followUp(q *http.Request, b *body) (any, *no) {
	var v written
	m := &Message{}
	if refused := m.fill(b); refused != nil {
		return nil, refused
	}
	_ = b.into(&v) // fill has read it
	s.mu.Lock()
	defer s.mu.Unlock()
	i, refused := s.opened(q)
	switch {
	case refused != nil:
		return nil, refused
	case !i.silent && i.first.AtWork && !i.first.Deleted:
		s.faults = append(s.faults, "a second message while the first says that the bot is at work")
	}
	m.ID, m.Channel, m.way = s.next(), i.in.ID, i
	if v.Flags&ephemeral != 0 {
		m.OnlyFor = i.by.ID
	}
	s.messages = append(s.messages, m)
	s.poke()
	return m.object(), nil
}

// find finds a message of the bot. The lock is held.
func (s *Server) find(q *http.Request) (*Message, *no) {
	id, channel := q.PathValue("id"), q.PathValue("channel")
	var i *interaction
	if channel == "" {
		var refused *no
		if i, refused = s.opened(q); refused != nil {
			return nil, refused
		}
		if id == "@original" {
			if i.silent {
				s.faults = append(s.faults, "the message with the button, for the answer")
			}
			if i.first == nil || i.first.Deleted {
				return nil, unknownMessage
			}
			return i.first, nil
		}
	} else if s.shut[channel] {
		return nil, missingAccess
	}
	for _, m := range s.messages {
		if m.ID == id && !m.Deleted && (m.way == i && i != nil || m.Channel == channel && m.OnlyFor == "") {
			return m, nil
		}
	}
	return nil, unknownMessage
}

func (s *Server) look(q *http.Request, _ *body) (any, *no) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, refused := s.find(q)
	if refused != nil {
		return nil, refused
	}
	return m.object(), nil
}

func (s *Server) change(q *http.Request, b *body) (any, *no) {
	now := &Message{}
	if refused := now.fill(b); refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, refused := s.find(q)
	if refused != nil {
		return nil, refused
	}
	if !m.AtWork {
		m.Edits = append(m.Edits, m.Text)
	}
	m.AtWork, m.Text, m.Raw = false, now.Text, now.Raw
	if now.File != nil {
		m.File, m.Name, m.Alt = now.File, now.Name, now.Alt
	}
	if now.Buttons != nil {
		m.Buttons = now.Buttons
	}
	s.poke()
	return m.object(), nil
}

func (s *Server) remove(q *http.Request, _ *body) (any, *no) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, refused := s.find(q)
	if refused != nil {
		return nil, refused
	}
	m.Deleted = true
	s.poke()
	return nil, nil
}

// write is a message that answers no interaction.
func (s *Server) write(q *http.Request, b *body) (any, *no) {
	m := &Message{}
	if refused := m.fill(b); refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	channel := q.PathValue("channel")
	if s.shut[channel] {
		return nil, missingAccess
	}
	m.ID, m.Channel = s.next(), channel
	s.messages = append(s.messages, m)
	s.poke()
	return m.object(), nil
}
