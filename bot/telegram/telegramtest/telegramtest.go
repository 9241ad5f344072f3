// Package telegramtest is Telegram for tests and for the story of `make demo-bot`: a server of the
// Bot API with people in it, which is stricter than the real one. A call that the real server
// would refuse is refused, with its words; one that it would bear with grudgingly, such as a
// parameter that does not exist, is noted (Faults).
//
// It can be away, too busy, or deliver what it has delivered before. It knows no limits of time:
// a call asks for a pause when it was told to (Fail). It is safe for concurrent use.
package telegramtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Token is the token of the only bot.
const Token = "4711:test-token"

// BotName is what the bot is called.
const BotName = "EssaimBot"

// Server is the platform. Make it with New and close it.
type Server struct {
	URL string

	http *httptest.Server

	mu       sync.Mutex
	changed  chan struct{}
	closed   bool
	polling  bool
	next     int64 // update
	updates  []*update
	messages []*Message
	presses  map[string]bool // open
	known    map[int64]bool  // chats that the bot may write to
	blocked  map[int64]bool
	replies  map[string][]reply // by method: what to answer instead
	calls    map[string]int
	faults   []string
}

// User is a person.
type User struct {
	ID   int64  `json:"id"`
	Bot  bool   `json:"is_bot"`
	Name string `json:"username,omitempty"`
	Lang string `json:"language_code,omitempty"`
}

// Chat is where people talk.
type Chat struct {
	ID   int64  `json:"id"`
	Type string `json:"type"` // "private" or "supergroup"
}

// Private is a person's chat with the bot.
func Private(u User) Chat { return Chat{u.ID, "private"} }

// Message is what stands in a chat.
type Message struct {
	ID      int64    `json:"message_id"`
	From    User     `json:"from"`
	Chat    Chat     `json:"chat"`
	Date    int64    `json:"date"`
	Text    string   `json:"text,omitempty"`
	Caption string   `json:"caption,omitempty"`
	Reply   *Message `json:"reply_to_message,omitempty"`

	Photo    []byte              `json:"-"`
	Document []byte              `json:"-"`
	File     string              `json:"-"` // its name
	Buttons  []map[string]string `json:"-"`
	Edits    []string            `json:"-"` // earlier texts
	Deleted  bool                `json:"-"`
}

type update struct {
	ID       int64     `json:"update_id"`
	Message  *Message  `json:"message,omitempty"`
	Callback *callback `json:"callback_query,omitempty"`
}

type callback struct {
	ID      string   `json:"id"`
	From    User     `json:"from"`
	Message *Message `json:"message"`
	Data    string   `json:"data"`
}

// reply is what a method answers instead of doing what it should.
type reply struct {
	status, retry int
	lost          bool // it is done, and the answer is lost
}

// New starts the platform.
func New() *Server {
	s := &Server{
		changed: make(chan struct{}), next: 1000, presses: map[string]bool{}, known: map[int64]bool{}, blocked: map[int64]bool{},
		replies: map[string][]reply{}, calls: map[string]int{},
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	return s
}

// Close ends the platform.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.poke()
	s.mu.Unlock()
	s.http.Close()
}

// poke wakes who waits for something. The lock is held.
func (s *Server) poke() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Say lets a person say something; answered may be nil. The answer is the update's number.
func (s *Server) Say(by User, in Chat, text string, answered *Message) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[in.ID] = true
	m := &Message{ID: int64(len(s.messages) + 1), From: by, Chat: in, Date: time.Now().Unix(), Text: text, Reply: answered}
	s.messages = append(s.messages, m)
	return s.tell(&update{Message: m})
}

// Press lets a person press the n-th button below a message.
func (s *Server) Press(by User, below *Message, n int) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("press-%d", s.next)
	s.presses[id] = true
	shown := *below
	return s.tell(&update{Callback: &callback{ID: id, From: by, Message: &shown, Data: below.Buttons[n]["callback_data"]}})
}

// tell adds an update. The lock is held.
func (s *Server) tell(u *update) int64 {
	u.ID = s.next
	s.next++
	s.updates = append(s.updates, u)
	s.poke()
	return u.ID
}

// Again delivers an update again that was confirmed.
func (s *Server) Again(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.updates {
		if u.ID == id {
			again := *u
			again.ID = -id // it comes first, with its own number
			s.updates = append(s.updates, &again)
		}
	}
	s.poke()
}

// Fail lets the next n calls of a method fail with a status, which 429 does with a pause in seconds.
func (s *Server) Fail(method string, n, status, retry int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.replies[method] = append(s.replies[method], reply{status: status, retry: retry})
	}
}

// Lose lets the next call of a method succeed, and its answer get lost.
func (s *Server) Lose(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[method] = append(s.replies[method], reply{lost: true})
}

// Block lets a person block the bot.
func (s *Server) Block(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked[u.ID] = true
}

// Messages are those of a chat, in their order, as they are now.
func (s *Server) Messages(in Chat) (out []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.Chat.ID == in.ID {
			out = append(out, *m)
		}
	}
	return out
}

// Calls is how often a method was called.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Faults are what the bot has done wrong, in its reading of the API.
func (s *Server) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.faults...)
}

// Wait returns the first message of the bot in a chat, after a number of messages, that is as one
// wants it; ok is false if none comes before the limit.
func (s *Server) Wait(in Chat, after int, limit time.Duration, wanted func(Message) bool) (Message, bool) {
	end := time.After(limit)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		for i, m := range s.Messages(in) {
			if i >= after && m.From.Bot && !m.Deleted && wanted(m) {
				return m, true
			}
		}
		select {
		case <-changed:
		case <-end:
			return Message{}, false
		}
	}
}

// Stands returns what stands in the place of a message: itself, for Say's answered.
func (s *Server) Stands(m Message) *Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages[m.ID-1]
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	method, ours := strings.CutPrefix(r.URL.Path, "/bot"+Token+"/")
	var result any
	err := &refusal{http.StatusUnauthorized, "Unauthorized", 0}
	if ours {
		result, err = s.run(method, r)
	}
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"ok": err == nil, "result": result}
	if err != nil {
		if err.status == 0 { // the answer is lost
			panic(http.ErrAbortHandler)
		}
		body = map[string]any{"ok": false, "error_code": err.status, "description": err.text}
		if err.retry > 0 {
			body["parameters"] = map[string]int{"retry_after": err.retry}
		}
		w.WriteHeader(err.status)
	}
	_ = json.NewEncoder(w).Encode(body) // a bot that has left needs no answer
}

// refusal is an answer that says no.
type refusal struct {
	status int
	text   string
	retry  int
}

func bad(format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, "Bad Request: " + fmt.Sprintf(format, args...), 0}
}
