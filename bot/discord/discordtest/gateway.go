package discordtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// gate is the platform's side of the gateway: one session, and at most one connection of it.
type gate struct {
	every    int // milliseconds between heartbeats
	left     int // sessions that may be begun
	deaf     bool
	sessions int
	resumes  int

	session string
	live    bool // the session has begun, and is not over
	log     []event
	conn    *socket
}

// event is what a session was told.
type event struct {
	sequence int64
	kind     string
	data     any
}

// socket is a connection. What is sent goes through a queue, so that nobody waits for a slow bot.
type socket struct {
	conn *websocket.Conn
	ctx  context.Context
	stop context.CancelFunc

	mu    sync.Mutex
	queue []any
	wake  chan struct{}
	end   websocket.StatusCode // after the queue; 0: it stays
}

func (c *socket) send(f any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, f)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *socket) close(code websocket.StatusCode) {
	c.mu.Lock()
	c.end = code
	c.mu.Unlock()
	c.send(nil)
}

// write sends the queue until the connection ends.
func (c *socket) write() {
	for {
		select {
		case <-c.wake:
		case <-c.ctx.Done():
			return
		}
		c.mu.Lock()
		list, end := c.queue, c.end
		c.queue = nil
		c.mu.Unlock()
		for _, f := range list {
			b, err := json.Marshal(f)
			if err != nil {
				panic(err)
			}
			if f != nil && c.conn.Write(c.ctx, websocket.MessageText, b) != nil {
				return
			}
		}
		if end != 0 {
			_ = c.conn.Close(end, "test")
			return
		}
	}
}

func frame(op int, data any) map[string]any {
	return map[string]any{"op": op, "d": data, "s": nil, "t": nil}
}

func (e event) frame() map[string]any {
	return map[string]any{"op": 0, "d": e.data, "s": e.sequence, "t": e.kind}
}

// dispatch tells the session something; nobody is told without one. The lock is held.
func (s *Server) dispatch(kind string, data any) {
	if !s.gate.live {
		return
	}
	e := event{int64(len(s.gate.log) + 1), kind, data}
	s.gate.log = append(s.gate.log, e)
	if s.gate.conn != nil {
		s.gate.conn.send(e.frame())
	}
}

// Every sets how many milliseconds lie between heartbeats, from the next connection on.
func (s *Server) Every(ms int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.every = ms
}

// Deaf lets heartbeats go unanswered, or not.
func (s *Server) Deaf(deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.deaf = deaf
}

// Sessions is how many sessions were begun, and how often one was resumed.
func (s *Server) Sessions() (begun, resumed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.sessions, s.gate.resumes
}

// Left sets how many sessions may still be begun.
func (s *Server) Left(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.left = n
}

// Listening waits until the bot is connected, for the n-th time.
func (s *Server) Listening(n int) {
	s.until(func() bool { return s.gate.conn != nil && s.gate.live && s.gate.sessions+s.gate.resumes >= n })
}

// Beaten waits until there were n heartbeats.
func (s *Server) Beaten(n int) { s.until(func() bool { return s.calls["heartbeat"] >= n }) }

// until waits until something holds, or the platform is closed.
func (s *Server) until(holds func() bool) {
	for {
		s.mu.Lock()
		changed, ok := s.changed, s.closed || holds()
		s.mu.Unlock()
		if ok {
			return
		}
		<-changed
	}
}

// Cut ends the connection without a word.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.gate.conn; c != nil {
		s.gate.conn = nil
		c.stop()
		_ = c.conn.CloseNow()
	}
}

// Bye closes the connection with a code.
func (s *Server) Bye(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.gate.conn; c != nil {
		s.gate.conn = nil
		c.close(websocket.StatusCode(code))
	}
}

// Tell sends what the gateway asks for itself: 1 a heartbeat, 7 another connection, 9 that the
// session is invalid; data says then whether it can be resumed. Nothing more comes on the connection
// after a 7 or 9.
func (s *Server) Tell(op int, data any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.gate.conn
	if c == nil {
		return
	}
	if op == 9 && data == false {
		s.gate.live = false
	}
	if op != 1 {
		s.gate.conn = nil
	}
	c.send(frame(op, data))
}

func (s *Server) serveGateway(w http.ResponseWriter, r *http.Request) {
	if q := r.URL.Query(); q.Get("v") != "10" || q.Get("encoding") != "json" {
		s.fault("the gateway is asked for %q", r.URL.RawQuery)
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.fault("no WebSocket: %v", err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &socket{conn: conn, ctx: ctx, stop: stop, wake: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() { defer close(done); c.write() }()
	s.mu.Lock()
	every := s.gate.every
	s.mu.Unlock()
	c.send(frame(10, map[string]any{"heartbeat_interval": every}))
	s.listen(c)
	stop()
	<-done
	_ = conn.CloseNow()
	s.mu.Lock()
	if s.gate.conn == c {
		s.gate.conn = nil
	}
	s.mu.Unlock()
}

// listen hears what the bot says on a connection.
func (s *Server) listen(c *socket) {
	known := false
	for {
		_, b, err := c.conn.Read(c.ctx)
		if err != nil {
			return
		}
		var f struct {
			Op int             `json:"op"`
			D  json.RawMessage `json:"d"`
		}
		if json.Unmarshal(b, &f) != nil || len(b) > 4096 {
			s.fault("the gateway cannot read %.100q", b)
			c.close(4002)
			return
		}
		switch {
		case f.Op == 1:
			s.heartbeat(c, f.D, known)
		case f.Op != 2 && f.Op != 6:
			s.fault("the gateway does not know op %d", f.Op)
			c.close(4001)
		case known:
			s.fault("the bot introduces itself twice")
			c.close(4005)
		case f.Op == 2:
			known = s.identify(c, f.D)
		default:
			known = s.resume(c, f.D)
		}
	}
}

func (s *Server) heartbeat(c *socket, d json.RawMessage, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var heard *int64
	if json.Unmarshal(d, &heard) != nil || known && heard != nil && *heard > int64(len(s.gate.log)) {
		s.faults = append(s.faults, fmt.Sprintf("heartbeat of %s", d))
	}
	s.calls["heartbeat"]++
	s.poke()
	if !s.gate.deaf {
		c.send(map[string]any{"op": 11})
	}
}

func (s *Server) identify(c *socket, d json.RawMessage) bool {
	var who struct {
		Token      string            `json:"token"`
		Intents    *int              `json:"intents"`
		Properties map[string]string `json:"properties"`
	}
	err := json.Unmarshal(d, &who)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil || who.Intents == nil || who.Properties["os"] == "" || who.Properties["browser"] == "" || who.Properties["device"] == "":
		s.faults = append(s.faults, fmt.Sprintf("identify with %v", err))
		c.close(4002)
		return false
	case who.Token != Token:
		c.close(4004)
		return false
	case *who.Intents != 0:
		s.faults = append(s.faults, fmt.Sprintf("intents %b: the bot needs none", *who.Intents))
		c.close(4014)
		return false
	case s.gate.left == 0:
		s.faults = append(s.faults, "more sessions than may be begun in a day")
		c.close(4008)
		return false
	}
	g := &s.gate
	g.left--
	g.sessions++
	g.session, g.live, g.log, g.conn = fmt.Sprintf("session-%d", g.sessions), true, nil, c
	s.dispatch("READY", map[string]any{
		"v": 10, "session_id": g.session, "resume_gateway_url": strings.Replace(s.http.URL, "http", "ws", 1) + "/gateway", "guilds": []any{map[string]any{"id": Guild, "unavailable": true}},
		"application": map[string]any{"id": Application, "flags": 0}, "user": User{ID: Application, Name: BotName, Bot: true}.object(),
	})
	s.poke()
	return true
}

func (s *Server) resume(c *socket, d json.RawMessage) bool {
	var who struct {
		Token   string `json:"token"`
		Session string `json:"session_id"`
		Heard   *int64 `json:"seq"`
	}
	err := json.Unmarshal(d, &who)
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &s.gate
	switch {
	case err != nil || who.Heard == nil:
		s.faults = append(s.faults, fmt.Sprintf("resume with %v", err))
		c.close(4002)
		return false
	case who.Token != Token:
		c.close(4004)
		return false
	case !g.live || who.Session != g.session:
		c.send(frame(9, false))
		return false
	case *who.Heard < 1 || *who.Heard > int64(len(g.log)):
		s.faults = append(s.faults, "resume of what was never told")
		c.close(4007)
		return false
	}
	g.resumes++
	g.conn = c
	for _, e := range g.log[*who.Heard:] {
		c.send(e.frame())
	}
	s.dispatch("RESUMED", map[string]any{})
	s.poke()
	return true
}
