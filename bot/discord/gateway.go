package discord

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
)

// The gateway's numbers for what is said there.
const (
	opEvent     = 0
	opBeat      = 1
	opIdentify  = 2
	opResume    = 6
	opReconnect = 7
	opInvalid   = 9
	opHello     = 10
	opBeaten    = 11
)

const (
	maxFrame   = 8 << 20 // bytes
	helloTime  = 30 * time.Second
	firstPause = time.Second
	lastPause  = time.Minute
	patience   = 10 * time.Second // after pauses of which a session is begun anew, elsewhere
)

// frame is what is said at the gateway.
type frame struct {
	Op       int             `json:"op"`
	Data     json.RawMessage `json:"d"`
	Sequence int64           `json:"s,omitempty"`
	Type     string          `json:"t,omitempty"`
}

// session is what outlives a connection: what was heard last.
type session struct {
	id, url string
	heard   atomic.Int64
}

func (s *session) forget() {
	s.id, s.url = "", ""
	s.heard.Store(0)
}

// Ends of a connection that are no faults.
var (
	errAgain   = errors.New("discord: the gateway asks for another connection")
	errInvalid = errors.New("discord: the gateway does not know the session any more")
)

// Run takes interactions until the context ends, and gives them to accept.
//
// Errors: CodeRefused for a token that is no more, or what else the platform says that will not
// get better; else the context's.
func (a *Adapter) Run(ctx context.Context, accept func(context.Context, bot.Event) error) error {
	var taking sync.WaitGroup
	defer taking.Wait()
	room := make(chan struct{}, atOnce)
	take := func(raw json.RawMessage) {
		room <- struct{}{} // each of them ends within seconds
		do := a.take(raw, accept)
		if do == nil {
			<-room
			return
		}
		taking.Go(func() {
			defer func() { <-room }()
			do(ctx)
		})
	}
	var s session
	for pause := firstPause; ; {
		began, err := a.connect(ctx, &s, take)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if final(err) {
			return err
		}
		if began {
			pause = firstPause
		}
		next := pause + rand.N(pause/2) // #nosec: no secret, only not all at once
		if began && errors.Is(err, errAgain) && s.id != "" {
			next = 0
		}
		if errors.Is(err, errInvalid) {
			next = firstPause + rand.N(4*time.Second)
		}
		a.log.Info("the gateway is called again", "err", err, "in", next, "resume", s.id != "")
		if err := a.wait(ctx, next); err != nil {
			return err
		}
		if pause = min(2*pause, lastPause); pause > patience {
			s.forget()
		}
	}
}

// final tells whether an error will not get better.
func final(err error) bool {
	return essaim.CodeOf(err) == essaim.CodeRefused
}

// connect goes on with a session, or begins one, until its connection ends; began says whether
// the gateway has agreed.
func (a *Adapter) connect(ctx context.Context, s *session, take func(json.RawMessage)) (began bool, err error) {
	url := s.url
	if s.id == "" {
		if url, err = a.gateway(ctx); err != nil {
			return false, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, strings.TrimSuffix(url, "/")+"/?v=10&encoding=json", &websocket.DialOptions{HTTPHeader: http.Header{"User-Agent": {userAgent}}})
	if err != nil {
		if resp != nil && resp.StatusCode < http.StatusInternalServerError { // somebody is there, and it is not the gateway
			s.forget()
		}
		return false, essaim.Errorf(essaim.CodeUnavailable, "", "discord's gateway: %w", unaddressed(err))
	}
	defer conn.CloseNow() // in any other way than 1000 the session could not be resumed
	conn.SetReadLimit(maxFrame)
	c := &connection{Conn: conn, session: s, take: take}
	hello, cancelHello := context.WithTimeout(ctx, helloTime)
	every, err := c.hello(hello)
	cancelHello()
	if err != nil {
		return false, err
	}
	var beats sync.WaitGroup
	defer beats.Wait()
	defer cancel()
	beats.Go(func() { c.beatOn(ctx, every) })
	if err := c.send(ctx, a.greeting(s)); err != nil {
		return false, err
	}
	for err == nil {
		err = c.next(ctx)
	}
	return c.began, closed(s, err)
}

// gateway asks where the gateway is, and waits if too many sessions were begun today.
func (a *Adapter) gateway(ctx context.Context) (string, error) {
	var g struct {
		URL   string `json:"url"`
		Limit struct {
			Total     int   `json:"total"`
			Remaining int   `json:"remaining"`
			After     int64 `json:"reset_after"` // milliseconds
		} `json:"session_start_limit"`
	}
	if err := a.api.do(ctx, mine(http.MethodGet, "/gateway/bot", nil), &g); err != nil {
		return "", err
	}
	if g.Limit.Total > 0 && g.Limit.Remaining == 0 {
		pause := time.Duration(g.Limit.After) * time.Millisecond
		a.log.Warn("too many sessions were begun today", "again_in", pause)
		return g.URL, a.wait(ctx, pause)
	}
	return g.URL, nil
}

// greeting is what begins or resumes a session. No intent: interactions come without one, and
// what people say to each other is not the bot's business.
func (a *Adapter) greeting(s *session) frame {
	if s.id != "" {
		return spoken(opResume, map[string]any{"token": a.api.token, "session_id": s.id, "seq": s.heard.Load()})
	}
	return spoken(opIdentify, map[string]any{"token": a.api.token, "intents": 0, "properties": map[string]string{"os": runtime.GOOS, "browser": "essaim", "device": "essaim"}})
}

func spoken(op int, data any) frame {
	j, err := json.Marshal(data)
	if err != nil {
		panic(err) // maps of texts and numbers always encode
	}
	return frame{Op: op, Data: j}
}

// closed says what the end of a connection means for its session.
func closed(s *session, err error) error {
	switch code := websocket.CloseStatus(err); code {
	case 4004:
		return essaim.Errorf(essaim.CodeRefused, "check the bot's token; the developer portal makes a new one under Bot, Reset Token", "discord's gateway: the token is wrong")
	case 4010, 4011, 4012, 4013, 4014:
		return essaim.Errorf(essaim.CodeRefused, "", "discord's gateway: %w", err)
	case 4003, 4007, 4009:
		s.forget()
	}
	if errors.Is(err, errAgain) || errors.Is(err, errInvalid) {
		return err
	}
	return essaim.Errorf(essaim.CodeUnavailable, "", "discord's gateway: %w", err)
}

// connection is one connection to the gateway.
type connection struct {
	*websocket.Conn
	session *session
	take    func(json.RawMessage)
	began   bool
	beaten  atomic.Bool // the last heartbeat was answered
}

func (c *connection) send(ctx context.Context, f frame) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return c.Write(ctx, websocket.MessageText, b)
}

func (c *connection) read(ctx context.Context) (f frame, err error) {
	_, b, err := c.Read(ctx)
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	return f, err
}

// hello is what the gateway says first: how often it wants to hear a heartbeat.
func (c *connection) hello(ctx context.Context) (time.Duration, error) {
	f, err := c.read(ctx)
	if err != nil {
		return 0, essaim.Errorf(essaim.CodeUnavailable, "", "discord's gateway: %w", err)
	}
	var h struct {
		Interval int64 `json:"heartbeat_interval"`
	}
	if err := json.Unmarshal(f.Data, &h); err != nil || f.Op != opHello || h.Interval <= 0 {
		return 0, essaim.Errorf(essaim.CodeUnavailable, "", "discord's gateway does not say hello")
	}
	return time.Duration(h.Interval) * time.Millisecond, nil
}

// beatOn sends heartbeats. If one was not answered when the next is due, nobody is there: the
// connection is dropped, so that the session goes on in another.
func (c *connection) beatOn(ctx context.Context, every time.Duration) {
	c.beaten.Store(true)
	t := time.NewTimer(rand.N(every)) // #nosec: not all at once
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if !c.beaten.Swap(false) || c.beat(ctx) != nil {
			_ = c.CloseNow() // the reader says why
			return
		}
		t.Reset(every)
	}
}

func (c *connection) beat(ctx context.Context) error {
	var heard any
	if n := c.session.heard.Load(); n > 0 {
		heard = n
	}
	return c.send(ctx, spoken(opBeat, heard))
}

// next hears one thing and does what it asks for.
func (c *connection) next(ctx context.Context) error {
	f, err := c.read(ctx)
	if err != nil {
		return err
	}
	switch f.Op {
	case opEvent:
		return c.event(f)
	case opBeat:
		return c.beat(ctx)
	case opBeaten:
		c.beaten.Store(true)
	case opReconnect:
		return errAgain
	case opInvalid:
		if string(f.Data) != "true" {
			c.session.forget()
		}
		return errInvalid
	}
	return nil
}

func (c *connection) event(f frame) error {
	c.session.heard.Store(f.Sequence)
	switch f.Type {
	case "READY":
		var r struct {
			Session string `json:"session_id"`
			URL     string `json:"resume_gateway_url"`
		}
		if err := json.Unmarshal(f.Data, &r); err != nil {
			return err
		}
		c.session.id, c.session.url, c.began = r.Session, r.URL, true
	case "RESUMED":
		c.began = true
	case "INTERACTION_CREATE":
		c.take(f.Data)
	}
	return nil
}
