package telegramtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg" // what photos may be
	_ "image/png"
	"io"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"time"
	"unicode/utf16"
)

// call is one call of a method.
type call struct {
	values map[string]json.RawMessage
	files  map[string][]byte
	names  map[string]string
}

// methods are those that there are, and the parameters that they take.
var methods = map[string][]string{
	"getMe":               {},
	"getUpdates":          {"offset", "timeout", "limit", "allowed_updates"},
	"setMyCommands":       {"commands", "language_code", "scope"},
	"sendMessage":         {"chat_id", "text", "reply_parameters", "reply_markup"},
	"sendPhoto":           {"chat_id", "photo", "caption", "reply_parameters", "reply_markup"},
	"sendDocument":        {"chat_id", "document", "caption", "reply_parameters", "reply_markup"},
	"editMessageText":     {"chat_id", "message_id", "text", "reply_markup"},
	"deleteMessage":       {"chat_id", "message_id"},
	"answerCallbackQuery": {"callback_query_id", "text", "show_alert"},
}

func (s *Server) run(method string, r *http.Request) (any, *refusal) {
	s.mu.Lock()
	s.calls[method]++
	var instead *reply
	if list := s.replies[method]; len(list) > 0 {
		instead, s.replies[method] = &list[0], list[1:]
	}
	s.mu.Unlock()
	if instead != nil && !instead.lost {
		return nil, &refusal{instead.status, "Too Many Requests or worse", instead.retry}
	}
	c, err := read(r)
	if err != nil {
		return nil, s.fault(bad("%v", err))
	}
	known, ok := methods[method]
	if !ok {
		return nil, s.fault(&refusal{http.StatusNotFound, "Not Found: " + method, 0})
	}
	for _, name := range append(slices.Collect(maps.Keys(c.values)), slices.Collect(maps.Keys(c.files))...) {
		if !slices.Contains(known, name) {
			return nil, s.fault(bad("%s has no parameter %q", method, name))
		}
	}
	out, refused := s.do(method, c, r)
	if refused == nil && instead != nil {
		return nil, &refusal{}
	}
	return out, refused
}

// fault notes what no bot should do.
func (s *Server) fault(r *refusal) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, r.text)
	return r
}

func (s *Server) do(method string, c call, r *http.Request) (any, *refusal) {
	switch method {
	case "getMe":
		return map[string]any{"id": 4711, "is_bot": true, "username": BotName}, nil
	case "getUpdates":
		return s.poll(c, r)
	case "setMyCommands":
		return s.commands(c)
	case "editMessageText":
		return s.edit(c)
	case "deleteMessage":
		return s.remove(c)
	case "answerCallbackQuery":
		return s.answer(c)
	}
	return s.send(method, c)
}

// read reads the parameters of a call, as JSON or as a form with files.
func read(r *http.Request) (call, error) {
	c := call{values: map[string]json.RawMessage{}, files: map[string][]byte{}, names: map[string]string{}}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil || r.Method != http.MethodPost:
		return c, fmt.Errorf("%s of %q", r.Method, kind)
	case kind == "application/json":
		b, err := io.ReadAll(r.Body)
		if err != nil || len(b) == 0 || string(b) == "null" {
			return c, err
		}
		return c, json.Unmarshal(b, &c.values)
	case kind != "multipart/form-data":
		return c, fmt.Errorf("body of %s", kind)
	}
	if err := r.ParseMultipartForm(20 << 20); err != nil {
		return c, err
	}
	for name, list := range r.MultipartForm.Value {
		v := json.RawMessage(list[0])
		if name == "text" || name == "caption" || !json.Valid(v) {
			v, _ = json.Marshal(list[0]) // a string always encodes
		}
		c.values[name] = v
	}
	for name, list := range r.MultipartForm.File {
		f, err := list[0].Open()
		if err != nil {
			return c, err
		}
		b, err := io.ReadAll(f)
		if err != nil {
			return c, err
		}
		c.files[name], c.names[name] = b, list[0].Filename
	}
	return c, nil
}

// get reads a parameter; a number may not be written as a text.
func get[T any](c call, name string) (v T, err *refusal) {
	raw, ok := c.values[name]
	if !ok {
		return v, bad("parameter %q is missing", name)
	}
	if e := json.Unmarshal(raw, &v); e != nil {
		return v, bad("parameter %q: %v", name, e)
	}
	return v, nil
}

// poll waits for updates. Those below the offset are confirmed.
func (s *Server) poll(c call, r *http.Request) (any, *refusal) {
	offset, err := get[int64](c, "offset")
	if err != nil {
		return nil, s.fault(err)
	}
	timeout, err := get[int](c, "timeout")
	if err != nil {
		return nil, s.fault(err)
	}
	s.mu.Lock()
	if s.polling {
		s.mu.Unlock()
		return nil, &refusal{http.StatusConflict, "Conflict: terminated by other getUpdates request", 0}
	}
	s.polling = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.polling = false
		s.mu.Unlock()
	}()
	limit := time.After(time.Duration(timeout) * time.Second)
	for {
		s.mu.Lock()
		out, changed, closed := s.waiting(offset), s.changed, s.closed
		s.mu.Unlock()
		if len(out) > 0 || closed {
			return out, nil
		}
		select {
		case <-changed:
		case <-limit:
			return out, nil
		case <-r.Context().Done():
			return out, nil
		}
	}
}

// waiting are the updates that were not confirmed, and those that come again. The lock is held.
func (s *Server) waiting(offset int64) []*update {
	out := []*update{}
	var rest []*update
	for _, u := range s.updates {
		if u.ID < 0 {
			u.ID = -u.ID
			out = append(out, u)
			continue
		}
		if rest = append(rest, u); u.ID >= offset && len(out) < 100 {
			out = append(out, u)
		}
	}
	s.updates = rest
	return out
}

var commandRule = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

func (s *Server) commands(c call) (any, *refusal) {
	list, err := get[[]struct{ Command, Description string }](c, "commands")
	if err != nil {
		return nil, s.fault(err)
	}
	for _, x := range list {
		if !commandRule.MatchString(x.Command) || len(x.Description) < 1 || units(x.Description) > 256 {
			return nil, s.fault(bad("BOT_COMMAND_INVALID %q", x.Command))
		}
	}
	return true, nil
}

// units is how long the platform thinks a text is.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

func (s *Server) send(method string, c call) (any, *refusal) {
	chat, err := get[int64](c, "chat_id")
	if err != nil {
		return nil, s.fault(err)
	}
	m := &Message{From: User{ID: 4711, Bot: true, Name: BotName}, Chat: Chat{ID: chat, Type: "private"}, Date: time.Now().Unix()}
	if chat < 0 {
		m.Chat.Type = "supergroup"
	}
	if err := s.fill(m, method, c); err != nil {
		return nil, s.fault(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.blocked[chat]:
		return nil, &refusal{http.StatusForbidden, "Forbidden: bot was blocked by the user", 0}
	case !s.known[chat]:
		return nil, bad("chat not found")
	}
	m.ID = int64(len(s.messages) + 1)
	s.messages = append(s.messages, m)
	s.poke()
	return *m, nil
}

// fill reads what is sent and holds it against the limits.
func (s *Server) fill(m *Message, method string, c call) (err *refusal) {
	if method == "sendMessage" {
		if m.Text, err = get[string](c, "text"); err != nil {
			return err
		}
		if n := units(m.Text); n == 0 || n > 4096 {
			return bad("message is empty or too long (%d)", n)
		}
	} else {
		if c.values["caption"] != nil {
			if m.Caption, err = get[string](c, "caption"); err != nil {
				return err
			}
		}
		if n := units(m.Caption); n > 1024 {
			return bad("message caption is too long (%d)", n)
		}
		m.Photo, m.Document, m.File = c.files["photo"], c.files["document"], c.names["photo"]+c.names["document"]
		if m.Photo == nil && m.Document == nil {
			return bad("there is no file")
		}
	}
	if m.Photo != nil {
		p, _, e := image.DecodeConfig(bytes.NewReader(m.Photo))
		if e != nil || p.Width+p.Height > 10_000 || len(m.Photo) > 10<<20 {
			return bad("PHOTO_INVALID_DIMENSIONS (%v)", e)
		}
	}
	return m.keyboard(c)
}

func (m *Message) keyboard(c call) *refusal {
	if c.values["reply_markup"] == nil {
		return nil
	}
	k, err := get[struct {
		Keyboard [][]map[string]string `json:"inline_keyboard"`
	}](c, "reply_markup")
	if err != nil {
		return err
	}
	for _, row := range k.Keyboard {
		for _, b := range row {
			if b["text"] == "" || len(b["callback_data"]) < 1 || len(b["callback_data"]) > 64 {
				return bad("BUTTON_DATA_INVALID %v", b)
			}
			m.Buttons = append(m.Buttons, b)
		}
	}
	return nil
}

// find finds a message of the bot. The lock is held.
func (s *Server) find(c call, gone string) (*Message, *refusal) {
	chat, err := get[int64](c, "chat_id")
	if err != nil {
		return nil, err
	}
	id, err := get[int64](c, "message_id")
	if err != nil {
		return nil, err
	}
	if id < 1 || id > int64(len(s.messages)) || s.messages[id-1].Chat.ID != chat || s.messages[id-1].Deleted || !s.messages[id-1].From.Bot {
		return nil, bad("%s", gone)
	}
	return s.messages[id-1], nil
}

func (s *Server) edit(c call) (any, *refusal) {
	text, err := get[string](c, "text")
	if err != nil {
		return nil, s.fault(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(c, "message to edit not found")
	switch {
	case err != nil:
		return nil, err
	case m.Text == text:
		return nil, bad("message is not modified")
	case m.Text == "" || units(text) == 0 || units(text) > 4096:
		s.faults = append(s.faults, "edit of a message that has no text, or to none")
		return nil, bad("there is no text in the message to edit")
	}
	m.Edits, m.Text = append(m.Edits, m.Text), text
	s.poke()
	return *m, nil
}

func (s *Server) remove(c call) (any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(c, "message to delete not found")
	if err != nil {
		return nil, err
	}
	m.Deleted = true
	s.poke()
	return true, nil
}

func (s *Server) answer(c call) (any, *refusal) {
	id, err := get[string](c, "callback_query_id")
	if err != nil {
		return nil, s.fault(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.presses[id] {
		return nil, bad("query is too old and response timeout expired or query ID is invalid")
	}
	delete(s.presses, id)
	return true, nil
}
