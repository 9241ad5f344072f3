// Package discordtest is Discord for tests and for the story of `make demo-bot`: its HTTP interface
// and its gateway with people in it, stricter than the real ones. What the real ones would refuse is
// refused, with their codes; what they would bear with grudgingly, such as a field that does not
// exist or a full bucket that was not heeded, is noted (Faults).
//
// It can be away, too busy, cut the connection, forget the session, or tell what it has told before.
// Its clock goes with the machine's, and further when told to (Pass), so that no test waits for a
// quarter of an hour. It is safe for concurrent use.
package discordtest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Token is the token of the only bot; Application is its number, and BotName what it is called.
const (
	Token       = "MTA.test-token"
	Application = "900100200300400500"
	BotName     = "essaim"
)

// Guild is the only group of channels.
const Guild = "700100200300400500"

// User is a person.
type User struct {
	ID     string
	Name   string
	Locale string
	Bot    bool
}

// Channel is where people talk.
type Channel struct {
	ID      string
	Private string // who talks to the bot there alone; "": a channel of the guild
}

// Message is something that the bot has said.
type Message struct {
	ID      string
	Channel string
	Text    string // as people see it
	Raw     string // as it was written
	OnlyFor string // who alone sees it; "": everybody
	File    []byte
	Name    string // of the file
	Alt     string // what describes a picture
	Buttons []Button
	Edits   []string // earlier texts
	Deleted bool
	AtWork  bool // it says that the bot is at work
	way     *interaction
}

// Button is below a message.
type Button struct{ Label, ID string }

// interaction is something that a person did.
type interaction struct {
	id, token string
	by        User
	in        Channel
	kind      int
	at        time.Time
	answered  bool
	silent    bool // answered with nothing to see
	first     *Message
}

// Server is the platform. Make it with New and close it.
type Server struct {
	URL string

	http *httptest.Server

	mu           sync.Mutex
	changed      chan struct{}
	closed       bool
	ahead        time.Duration // of the machine's clock
	ago          time.Duration // when the next interaction was
	number       uint64
	messages     []*Message
	interactions map[string]*interaction
	payloads     map[string]map[string]any // of interactions, to tell them again
	private      map[string]Channel        // by person
	shut         map[string]bool           // channels that the bot may not write to
	forms        map[string]form           // by name
	replies      map[string][]reply        // by route
	calls        map[string]int
	spent        map[string][]time.Time // by bucket: when it was used
	faults       []string
	gate         gate
}

// reply is what a route answers instead of doing what it should.
type reply struct {
	status int
	after  float64
	lost   bool // it is done, and the answer is lost
}

// New starts the platform.
func New() *Server {
	s := &Server{
		changed: make(chan struct{}), interactions: map[string]*interaction{}, payloads: map[string]map[string]any{}, private: map[string]Channel{}, shut: map[string]bool{},
		forms: map[string]form{}, replies: map[string][]reply{}, calls: map[string]int{}, spent: map[string][]time.Time{}, gate: gate{every: 41_250, left: 1000},
	}
	s.http = httptest.NewServer(s.handler())
	s.URL = s.http.URL + "/api/v10"
	return s
}

// Close ends the platform.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.poke()
	s.mu.Unlock()
	s.Cut()
	s.http.Close()
}

// poke wakes who waits for something. The lock is held.
func (s *Server) poke() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Now is the platform's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

func (s *Server) now() time.Time { return time.Now().Add(s.ahead) }

// Pass lets time pass.
func (s *Server) Pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

// Ago lets the next interaction be one of before, which is told late.
func (s *Server) Ago(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ago = d
}

// Wait lets time pass for somebody who waits.
func (s *Server) Wait(ctx context.Context, d time.Duration) error {
	s.Pass(d)
	return ctx.Err()
}

// epoch is when the platform's numbers begin, in Unix milliseconds.
const epoch = 1420070400000

// NumberAt is a number of something that was made at a moment.
func NumberAt(t time.Time, n uint64) string {
	return strconv.FormatUint(uint64(t.UnixMilli()-epoch)<<22|n&(1<<22-1), 10)
}

// next is a new number. The lock is held.
func (s *Server) next() string {
	s.number++
	return NumberAt(s.now(), s.number)
}

// Private is a person's channel with the bot.
func (s *Server) Private(u User) Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alone(u.ID)
}

func (s *Server) alone(user string) Channel {
	c, ok := s.private[user]
	if !ok {
		c = Channel{s.next(), user}
		s.private[user] = c
	}
	return c
}

// Shut takes from the bot the right to write into a channel, but where it answers.
func (s *Server) Shut(c Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut[c.ID] = true
}

// Use lets a person fill in a command; whom may be nil. The answer is the interaction's number.
func (s *Server) Use(by User, in Channel, command string, values map[string]string, whom *User) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.forms[command]
	if !ok {
		s.faults = append(s.faults, "there is no command "+command)
	}
	data := map[string]any{"id": "1", "name": command, "type": 1}
	var options []any
	for _, o := range f.Options {
		v, given := values[o.Name]
		if o.Type == optionUser && whom != nil {
			v, given = whom.ID, true
			data["resolved"] = map[string]any{"users": map[string]any{whom.ID: whom.object()}}
		}
		switch {
		case given:
			options = append(options, map[string]any{"name": o.Name, "type": o.Type, "value": v})
		case o.Required:
			s.faults = append(s.faults, fmt.Sprintf("nobody can send %s without %s", command, o.Name))
		}
	}
	if options != nil {
		data["options"] = options
	}
	return s.interact(by, in, 2, data)
}

// Press lets a person press the n-th button below a message.
func (s *Server) Press(by User, below Message, n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := Channel{ID: below.Channel}
	for _, c := range s.private {
		if c.ID == in.ID {
			in = c
		}
	}
	return s.interact(by, in, 3, map[string]any{"custom_id": below.Buttons[n].ID, "component_type": 2})
}

// interact tells the bot that somebody has done something. The lock is held.
func (s *Server) interact(by User, in Channel, kind int, data map[string]any) string {
	i := &interaction{id: s.next(), by: by, in: in, kind: kind, at: s.now().Add(-s.ago)}
	s.ago = 0
	i.token = "aW50" + i.id + "-_" + fmt.Sprint(len(s.interactions))
	s.interactions[i.id] = i
	p := map[string]any{
		"id": i.id, "application_id": Application, "type": kind, "token": i.token, "version": 1, "data": data, "channel_id": in.ID, "locale": by.Locale,
		"entitlements": []any{}, "app_permissions": "0", "channel": map[string]any{"id": in.ID, "type": 0},
	}
	if in.Private == "" {
		p["guild_id"], p["context"], p["member"], p["guild_locale"] = Guild, 0, map[string]any{"user": by.object(), "permissions": "0", "roles": []any{}}, "en-US"
	} else {
		p["context"], p["user"], p["channel"] = 1, by.object(), map[string]any{"id": in.ID, "type": 1}
	}
	s.payloads[i.id] = p
	s.dispatch("INTERACTION_CREATE", p)
	return i.id
}

func (u User) object() map[string]any {
	return map[string]any{"id": u.ID, "username": u.Name, "discriminator": "0", "global_name": u.Name, "avatar": nil, "bot": u.Bot}
}

// Again tells of an interaction again.
func (s *Server) Again(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch("INTERACTION_CREATE", s.payloads[id])
}

// Answered tells whether the bot has answered an interaction.
func (s *Server) Answered(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.interactions[id].answered
}

// Fail lets the next n calls of a route, such as "POST /channels/messages", fail with a status,
// which 429 does with a pause in seconds.
func (s *Server) Fail(route string, n, status int, after float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.replies[route] = append(s.replies[route], reply{status: status, after: after})
	}
}

// Lose lets the next call of a route succeed, and its answer get lost.
func (s *Server) Lose(route string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[route] = append(s.replies[route], reply{lost: true})
}

// Calls is how often a route was called.
func (s *Server) Calls(route string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[route]
}

// Faults are what the bot has done wrong, in its reading of the interface.
func (s *Server) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// Messages are those of a channel that a person sees, in their order, as they are now.
func (s *Server) Messages(in Channel, by User) (out []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.Channel == in.ID && (m.OnlyFor == "" || m.OnlyFor == by.ID) {
			out = append(out, *m)
		}
	}
	return out
}

// Until returns the first message that a person sees in a channel, after a number of messages,
// that is as one wants it; ok is false if none comes before the limit.
func (s *Server) Until(in Channel, by User, after int, limit time.Duration, wanted func(Message) bool) (Message, bool) {
	end := time.After(limit)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		for i, m := range s.Messages(in, by) {
			if i >= after && !m.Deleted && !m.AtWork && wanted(m) {
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

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /gateway/{$}", s.serveGateway)
	for route, do := range s.routes() {
		mux.HandleFunc(route.pattern, s.serve(route, do))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fault("%s %s does not exist", r.Method, r.URL.Path)
		http.Error(w, `{"code": 0, "message": "404: Not Found"}`, http.StatusNotFound)
	})
	return mux
}

// fault notes what no bot should do.
func (s *Server) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}
