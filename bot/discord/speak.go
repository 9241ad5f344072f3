package discord

import (
	"context"
	"net/http"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
)

// The platform's limits.
const (
	maxText  = 2000
	maxAlt   = 1024 // of what describes a picture
	maxLabel = 80

	noEmbeds  = 1 << 2 // flags of messages: links show nothing
	ephemeral = 1 << 6 // only who asked sees it
	loading   = 1 << 7 // it says that the bot is at work
)

// way is where an interaction wants its answers.
type way struct {
	kind                     byte
	interaction, user, token string
}

// The kinds of ways.
const (
	public  = 'p' // a command whose answer all may see, or one in private
	quiet   = 'q' // a command whose answer is for who asked
	pressed = 'b' // a button: there is no "at work" to be replaced
)

func (w way) String() string {
	return strings.Join([]string{string(w.kind), w.interaction, w.user, w.token}, ":")
}

func parseWay(s string) (w way, ok bool) {
	parts := strings.SplitN(s, ":", 4)
	if len(parts) != 4 || len(parts[0]) != 1 {
		return w, false
	}
	return way{parts[0][0], parts[1], parts[2], parts[3]}, true
}

// state is what is known of an interaction's first message; none: it is of before a restart.
type state byte

const (
	empty state = iota + 1 // it says that the bot is at work
	full                   // it is an answer
)

// note keeps what is known of a first message. Those whose time is over are forgotten.
func (a *Adapter) note(w way, s state) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.ways) >= mostKept {
		for id := range a.ways {
			if a.now().Sub(born(id)) > kept {
				delete(a.ways, id)
			}
		}
	}
	if a.ways[w.interaction] = s; s == 0 {
		delete(a.ways, w.interaction)
	}
}

// waits tells whether an interaction still shows that the bot is at work.
func (a *Adapter) waits(ctx context.Context, w way) (bool, error) {
	if w.kind == pressed {
		return false, nil
	}
	a.mu.Lock()
	s := a.ways[w.interaction]
	a.mu.Unlock()
	if s != 0 {
		return s == empty, nil
	}
	var m message
	err := a.api.do(ctx, hook(http.MethodGet, a.application, w, "/messages/@original", nil), &m)
	if is(err, unknownMessage) { // it was an answer, and is gone
		return false, nil
	}
	return m.Flags&loading != 0, err
}

// message is what was said.
type message struct {
	ID      string `json:"id"`
	Channel string `json:"channel_id"`
	Flags   int    `json:"flags"`
}

// ref is what the bot calls a message: its channel, its number and the way that it came.
func ref(m message, way string) string { return m.Channel + "/" + m.ID + "/" + way }

// over tells that an interaction takes no more answers.
func over(err error) bool { return is(err, invalidWebhook, unknownWebhook, unknownInteraction) }

// Say is bot.Platform's.
func (a *Adapter) Say(ctx context.Context, n bot.Note) (string, error) {
	w, ok := parseWay(n.Way)
	if !ok {
		m, err := a.post(ctx, n.Chat, body(n, false), n)
		return ref(m, ""), err
	}
	m, err := a.follow(ctx, w, n)
	if !over(err) {
		return ref(m, n.Way), err
	}
	if w.kind != quiet {
		b := body(n, false)
		b["content"] = cut("<@"+w.user+"> "+escape(n.Text), maxText)
		b["allowed_mentions"] = map[string]any{"parse": []string{}, "users": []string{w.user}}
		if m, err = a.post(ctx, n.Chat, b, n); err == nil || essaim.CodeOf(err) != essaim.CodeRefused {
			return ref(m, ""), err
		}
	}
	var private struct {
		ID string `json:"id"`
	}
	if err := a.api.do(ctx, mine(http.MethodPost, "/users/@me/channels", map[string]any{"recipient_id": w.user}), &private); err != nil {
		return "", err
	}
	m, err = a.post(ctx, private.ID, body(n, false), n)
	return ref(m, ""), err
}

// follow answers an interaction: in place of "at work", or after what was answered before.
func (a *Adapter) follow(ctx context.Context, w way, n bot.Note) (m message, err error) {
	first, err := a.waits(ctx, w)
	if err != nil {
		return m, err
	}
	c := hook(http.MethodPost, a.application, w, "", body(n, w.kind == quiet))
	if first {
		c = hook(http.MethodPatch, a.application, w, "/messages/@original", body(n, false))
	}
	c.file = file(n)
	err = a.api.do(ctx, c, &m)
	switch {
	case first && err == nil:
		a.note(w, full)
	case first:
		a.note(w, 0) // it may have been said: the next look tells
	}
	return m, err
}

func (a *Adapter) post(ctx context.Context, channel string, b map[string]any, n bot.Note) (m message, err error) {
	c := inChannel(http.MethodPost, channel, "", b)
	c.file = file(n)
	err = a.api.do(ctx, c, &m)
	return m, err
}

// body is what a note is to the platform.
func body(n bot.Note, alone bool) map[string]any {
	flags := noEmbeds
	if alone {
		flags |= ephemeral
	}
	b := map[string]any{"content": cut(escape(n.Text), maxText), "allowed_mentions": nobody(), "flags": flags}
	if f := file(n); f != nil {
		about := map[string]any{"id": 0, "filename": f.name}
		if n.Picture != nil {
			about["description"] = cut(n.Text, maxAlt)
		}
		b["attachments"] = []any{about}
	}
	if len(n.Buttons) > 0 {
		var row []any
		for _, x := range n.Buttons {
			row = append(row, map[string]any{"type": 2, "style": 2, "label": cut(x.Text, maxLabel), "custom_id": x.Data})
		}
		b["components"] = []any{map[string]any{"type": 1, "components": row}}
	}
	return b
}

func file(n bot.Note) *upload {
	switch {
	case n.Picture != nil:
		return &upload{n.Name, n.Picture}
	case n.File != nil:
		return &upload{n.Name, n.File}
	}
	return nil
}

// nobody is whom a message mentions.
func nobody() map[string]any { return map[string]any{"parse": []string{}} }

// Edit is bot.Platform's.
func (a *Adapter) Edit(ctx context.Context, chat, message, text string) error {
	return a.change(ctx, http.MethodPatch, chat, message, map[string]any{"content": cut(escape(text), maxText), "allowed_mentions": nobody()})
}

// Delete is bot.Platform's. A message that is gone is no error.
func (a *Adapter) Delete(ctx context.Context, chat, message string) error {
	err := a.change(ctx, http.MethodDelete, chat, message, nil)
	if is(err, unknownMessage) {
		return nil
	}
	return err
}

// change changes a message the way that it came, or in its channel.
func (a *Adapter) change(ctx context.Context, method, chat, message string, body any) error {
	parts := strings.SplitN(message, "/", 3)
	if len(parts) != 3 {
		return essaim.Errorf(essaim.CodeRefused, "", "discord: %q is no message", message)
	}
	if w, ok := parseWay(parts[2]); ok {
		err := a.api.do(ctx, hook(method, a.application, w, "/messages/"+parts[1], body), nil)
		if !over(err) {
			return err
		}
	}
	if parts[0] != "" {
		chat = parts[0]
	}
	return a.api.do(ctx, inChannel(method, chat, "/"+parts[1], body), nil)
}

// Press is bot.Platform's: the button itself was answered when it was pressed. One that was
// pressed long ago takes no word.
func (a *Adapter) Press(ctx context.Context, press, text string) error {
	w, ok := parseWay(press)
	if !ok || text == "" {
		return nil
	}
	err := a.api.do(ctx, hook(http.MethodPost, a.application, w, "", body(bot.Note{Text: text}, true)), nil)
	if over(err) {
		return nil
	}
	return err
}

// escape lets a text mean nothing but itself: no markup, no mention, no link.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\*_~`|>#-[]()<:@", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cut cuts a text to a number of UTF-16 units, at which nobody counts more.
func cut(s string, most int) string {
	n, end := 0, 0 // end: where the mark of a cut has room
	for i, r := range s {
		w := 1
		if r > 0xffff {
			w = 2
		}
		if n += w; n <= most-1 {
			end = i + len(string(r))
		}
		if n > most {
			return strings.TrimRight(s[:end], "\\") + "…" // half an escape would take the mark's meaning
		}
	}
	return s
}
