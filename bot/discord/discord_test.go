package discord_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/discord"
	"github.com/essaim/essaim/bot/discord/discordtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

var (
	born = time.Date(2020, 5, 1, 0, 0, 0, 0, time.UTC)
	ada  = discordtest.User{ID: discordtest.NumberAt(born, 7), Name: "ada", Locale: "fr"}
	bob  = discordtest.User{ID: discordtest.NumberAt(born, 8), Name: "bob", Locale: "en-US"}
	hall = discordtest.Channel{ID: "500100200300400500"}
)

const limit = 10 * time.Second

// open starts a platform and an adapter to it.
func open(t *testing.T) (*discordtest.Server, *discord.Adapter) {
	t.Helper()
	s := discordtest.New()
	t.Cleanup(func() {
		s.Close()
		for _, f := range s.Faults() {
			t.Error(f)
		}
	})
	return s, adapter(t, s)
}

func adapter(t *testing.T, s *discordtest.Server) *discord.Adapter {
	t.Helper()
	a, err := discord.New(t.Context(), discord.Config{Token: discordtest.Token + "\n", Server: s.URL, Now: s.Now, Wait: s.Wait, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// ears are what hears an adapter.
type ears struct {
	t     *testing.T
	mu    sync.Mutex
	heard []bot.Event
	more  chan struct{}
	deaf  error
	end   func() error // waits for it
	stop  func() error
}

// hear runs an adapter until the end of the test, or stop.
func hear(t *testing.T, a *discord.Adapter) *ears {
	t.Helper()
	e := &ears{t: t, more: make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- a.Run(ctx, func(_ context.Context, x bot.Event) error {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.deaf != nil {
				return e.deaf
			}
			e.heard = append(e.heard, x)
			e.more <- struct{}{}
			return nil
		})
	}()
	e.end = sync.OnceValue(func() error { return <-done })
	e.stop = func() error { cancel(); return e.end() }
	t.Cleanup(func() { _ = e.stop() })
	return e
}

// next waits for an event.
func (e *ears) next() bot.Event {
	e.t.Helper()
	select {
	case <-e.more:
	case <-time.After(limit):
		e.t.Fatal("nothing comes")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.heard[0]
	e.heard = e.heard[1:]
	return x
}

func (e *ears) nothing() {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heard) > 0 {
		e.t.Errorf("%+v", e.heard)
	}
}

func TestEvents(t *testing.T) {
	s, a := open(t)
	if a.UserName() != "essaim" || s.Calls("PUT /applications/commands") != 1 {
		t.Error(a.UserName(), s.Calls("PUT /applications/commands"))
	}
	e := hear(t, a)
	s.Listening(1)
	home := s.Private(ada)
	id := s.Use(ada, home, "imagine", map[string]string{"prompt": "a  red apple"}, nil)
	if x := e.next(); x.ID != id || x.Text != "/imagine a  red apple" || !x.Private || x.Chat != home.ID || x.From.ID != ada.ID || x.From.Name != "ada" || x.From.Lang != "fr" || !x.From.Created.Equal(born) || x.Way == "" {
		t.Errorf("%+v", x)
	}
	s.Use(ada, hall, "tip", map[string]string{"amount": "0.5"}, &bob)
	if x := e.next(); x.Text != "/tip 0.5" || x.To == nil || x.To.ID != bob.ID || x.To.Name != "bob" || x.Private || x.Chat != hall.ID || x.Group != discordtest.Guild {
		t.Errorf("%+v", x)
	}
	for _, c := range []struct {
		values map[string]string
		whom   *discordtest.User
		want   string
	}{
		{map[string]string{"amount": "0.5 AIM", "to": "0x12 34"}, nil, "/tip 0x1234 0.5 AIM"},
		{map[string]string{"amount": "1", "to": "@bob 5"}, nil, "/tip @bob5 1"}, // never 51
		{map[string]string{"amount": "1", "to": "aim:x"}, &bob, "/tip"},         // both: it asks
		{map[string]string{"amount": "1"}, &discordtest.User{ID: "77", Name: "robot", Bot: true}, "/tip 1"},
	} {
		s.Use(ada, hall, "tip", c.values, c.whom)
		if x := e.next(); x.Text != c.want || c.whom != nil && c.whom.Bot && x.To != nil {
			t.Errorf("%+v", x)
		}
	}
	s.Use(discordtest.User{ID: "5", Name: "robot", Bot: true}, hall, "help", nil, nil)
	s.Use(bob, hall, "balance", nil, nil)
	x := e.next() // robots are not heard
	if x.Text != "/balance" || x.From.ID != bob.ID {
		t.Errorf("%+v", x)
	}
	if _, err := a.Say(t.Context(), bot.Note{Chat: x.Chat, Way: x.Way, Text: "x", Buttons: []bot.Button{{Text: "Again", Data: "again:1"}}}); err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Messages(hall, ada) {
		if m.Text == "x" {
			t.Error("Ada sees what was said to Bob alone")
		}
	}
	seen := s.Messages(hall, bob)
	id = s.Press(bob, seen[len(seen)-1], 0)
	x = e.next()
	if x.ID != id || x.Button != "again:1" || x.Press == "" || x.Text != "" {
		t.Errorf("%+v", x)
	}
	if err := errors.Join(a.Press(t.Context(), x.Press, ""), a.Press(t.Context(), x.Press, "not yours")); err != nil {
		t.Error(err)
	}
	s.Pass(20 * time.Minute)
	if err := a.Press(t.Context(), x.Press, "late"); err != nil {
		t.Error("pressed long ago:", err)
	}
}

// TestFirstAnswer: within three seconds, once, and what was not answered is not done.
func TestFirstAnswer(t *testing.T) {
	s, a := open(t)
	e := hear(t, a)
	s.Listening(1)
	const callback = "POST /interactions/callback"
	s.Fail(callback, 1, http.StatusServiceUnavailable, 0)
	id := s.Use(ada, hall, "help", nil, nil)
	if x := e.next(); x.ID != id {
		t.Errorf("%+v", x)
	}
	s.Lose(callback) // it was answered, and nobody knows
	id = s.Use(ada, hall, "help", nil, nil)
	if x := e.next(); x.ID != id || s.Calls(callback) != 4 {
		t.Errorf("%+v after %d calls", x, s.Calls(callback))
	}
	s.Again(id) // comes twice: somebody has answered it
	s.Fail(callback, 1, http.StatusTooManyRequests, 0.2)
	id = s.Use(ada, hall, "price", nil, nil)
	if x := e.next(); x.ID != id || x.Text != "/price" {
		t.Errorf("%+v", x)
	}
	s.Cut() // the session is known: something was heard of it
	s.Ago(4 * time.Second)
	id = s.Use(ada, hall, "help", nil, nil) // while nobody is there: the platform has told Ada when the bot hears of it
	s.Listening(2)
	s.Use(bob, hall, "price", nil, nil)
	if x := e.next(); x.Text != "/price" || s.Answered(id) {
		t.Errorf("%+v", x)
	}
	e.mu.Lock()
	e.deaf = errors.New("the disk is full")
	e.mu.Unlock()
	s.Use(bob, hall, "tip", map[string]string{"amount": "1"}, &ada)
	if _, ok := s.Until(hall, bob, 0, limit, func(m discordtest.Message) bool { return strings.Contains(m.Text, "Nothing was charged") }); !ok {
		t.Error("nobody says that it was not kept")
	}
	e.nothing()
}

// TestGateway: what is missed comes later, and a session that is lost begins anew.
func TestGateway(t *testing.T) {
	s, a := open(t)
	e := hear(t, a)
	s.Listening(1)
	heard := func(do func(), n int) {
		t.Helper()
		do()
		id := s.Use(ada, hall, "help", nil, nil)
		if x := e.next(); x.ID != id {
			t.Fatalf("%+v", x)
		}
		s.Listening(n)
	}
	heard(func() {}, 1) // whoever is cut off before it has heard of its session has none
	heard(s.Cut, 2)
	heard(func() { s.Tell(7, nil) }, 3)
	heard(func() { s.Bye(4000) }, 4)
	heard(func() { s.Bye(1001) }, 5)
	heard(func() { s.Tell(9, true); s.Listening(6) }, 6) // after up to five seconds, which are more than three
	if begun, resumed := s.Sessions(); begun != 1 || resumed != 5 {
		t.Errorf("%d sessions, %d resumed", begun, resumed)
	}
	s.Tell(9, false)
	s.Listening(7)
	heard(func() {}, 7)
	heard(func() { s.Bye(4009); s.Listening(8) }, 8)
	if begun, resumed := s.Sessions(); begun != 3 || resumed != 5 {
		t.Errorf("%d sessions, %d resumed", begun, resumed)
	}
	s.Deaf(true)
	s.Every(20) // the next connections are dropped, since nobody answers in them
	s.Cut()
	s.Listening(11)
	s.Deaf(false)
	s.Every(41_250)
	s.Cut()
	begun, resumed := s.Sessions()
	s.Listening(begun + resumed + 1)
	before := s.Calls("heartbeat")
	s.Tell(1, nil)
	s.Beaten(before + 1)
	s.Left(0)
	s.Bye(4007)
	s.Listening(begun + resumed + 2) // after what the platform asks for
	s.Bye(4014)
	if err := e.wait(); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Error(err)
	}
}

// wait waits for the adapter's own end.
func (e *ears) wait() error {
	end := make(chan error, 1)
	go func() { end <- e.end() }()
	select {
	case err := <-end:
		return err
	case <-time.After(limit):
		e.t.Fatal("the adapter goes on")
		return nil
	}
}

func TestSay(t *testing.T) {
	s, a := open(t)
	e := hear(t, a)
	s.Listening(1)
	ctx := t.Context()
	s.Use(ada, hall, "imagine", map[string]string{"prompt": "x"}, nil)
	x := e.next()
	note := bot.Note{Chat: x.Chat, Way: x.Way, Text: strings.Repeat("🐝é", 3000)}
	id, err := a.Say(ctx, note)
	if err != nil {
		t.Fatal(err)
	}
	if m := s.Messages(hall, bob); len(m) != 1 || m[0].AtWork || m[0].OnlyFor != "" || !strings.HasSuffix(m[0].Text, "🐝é…") {
		t.Errorf("%d messages", len(m))
	}
	const wild = "*_~`|> # - [x](http://evil) <@123> @everyone \\ éà"
	for _, err := range []error{
		a.Edit(ctx, x.Chat, id, wild), a.Edit(ctx, x.Chat, id, wild), a.Delete(ctx, x.Chat, id), a.Delete(ctx, x.Chat, id),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if m := s.Messages(hall, bob); m[0].Text != wild || !m[0].Deleted {
		t.Errorf("%+v", m)
	}
	if err := a.Edit(ctx, x.Chat, id, "gone"); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Error(err)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	s.Fail("POST /webhooks", 2, http.StatusTooManyRequests, 1.5)
	before := s.Now()
	note = bot.Note{Chat: x.Chat, Way: x.Way, Text: "“a red apple”", Picture: file.Bytes(), Name: "a.png", Buttons: []bot.Button{{Text: strings.Repeat("x", 99), Data: strings.Repeat("d", 64)}}}
	if _, err := a.Say(ctx, note); err != nil {
		t.Error(err)
	}
	if n, took := s.Calls("POST /webhooks"), s.Now().Sub(before); n != 3 || took < 3*time.Second {
		t.Errorf("%d calls in %s", n, took)
	}
	m := s.Messages(hall, bob)
	if p := m[len(m)-1]; !bytes.Equal(p.File, file.Bytes()) || p.Name != "a.png" || p.Alt != "“a red apple”" || len(p.Buttons) != 1 {
		t.Errorf("%d bytes, %q, %q", len(p.File), p.Name, p.Alt)
	}
	for range 12 { // more than a bucket holds: the fake notes one that is not heeded
		if _, err := a.Say(ctx, bot.Note{Chat: x.Chat, Way: x.Way, Text: "x", File: []byte{0, 1}, Name: "a.receipt"}); err != nil {
			t.Fatal(err)
		}
	}
	s.Fail("POST /webhooks", 1, http.StatusTooManyRequests, 3600)
	if _, err := a.Say(ctx, note); essaim.CodeOf(err) != essaim.CodeUnavailable {
		t.Error("a pause of an hour:", err)
	}
	s.Fail("POST /webhooks", 1, http.StatusInternalServerError, 0)
	if _, err := a.Say(ctx, note); essaim.CodeOf(err) != essaim.CodeUnavailable {
		t.Error(err)
	}
	if _, err := a.Say(ctx, bot.Note{Chat: hall.ID, Text: "to everybody"}); err != nil {
		t.Error(err)
	}
	note.Picture = make([]byte, 11<<20)
	if _, err := a.Say(ctx, note); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Error("eleven MiB:", err)
	}
}

// TestAfterRestart: another adapter knows nothing of the interaction, and neither says anything
// twice nor takes an answer for "at work".
func TestAfterRestart(t *testing.T) {
	s, a := open(t)
	e := hear(t, a)
	s.Listening(1)
	ctx := t.Context()
	s.Use(ada, hall, "balance", nil, nil)
	first := e.next()
	s.Use(ada, hall, "imagine", map[string]string{"prompt": "x"}, nil)
	second := e.next()
	progress, err := a.Say(ctx, bot.Note{Chat: second.Chat, Way: second.Way, Text: "Drawing"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	a = adapter(t, s)
	for _, x := range []bot.Event{first, second} {
		if _, err := a.Say(ctx, bot.Note{Chat: x.Chat, Way: x.Way, Text: "answer to " + x.Text}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Delete(ctx, second.Chat, progress); err != nil {
		t.Error(err)
	}
	var texts []string
	for _, m := range s.Messages(hall, ada) {
		if !m.Deleted {
			texts = append(texts, m.Text)
		}
		if m.Text == "answer to /balance" && m.OnlyFor != ada.ID {
			t.Error("a balance that everybody sees")
		}
	}
	if strings.Join(texts, "; ") != "answer to /balance; answer to /imagine x" {
		t.Error(texts)
	}
}

// TestLate: after a quarter of an hour the answer goes into the channel, or to the person alone.
func TestLate(t *testing.T) {
	s, a := open(t)
	e := hear(t, a)
	s.Listening(1)
	s.Use(ada, hall, "imagine", map[string]string{"prompt": "x"}, nil)
	open := e.next()
	s.Use(ada, hall, "balance", nil, nil)
	own := e.next()
	progress, err := a.Say(t.Context(), bot.Note{Chat: open.Chat, Way: open.Way, Text: "Drawing"})
	if err != nil {
		t.Fatal(err)
	}
	s.Pass(16 * time.Minute)
	say := func(x bot.Event, text string) {
		t.Helper()
		if _, err := a.Say(t.Context(), bot.Note{Chat: x.Chat, Way: x.Way, Text: text}); err != nil {
			t.Error(err)
		}
	}
	last := func(in discordtest.Channel) string {
		m := s.Messages(in, ada)
		return m[len(m)-1].Text
	}
	say(open, "here it is")
	if got := last(hall); got != "<@"+ada.ID+"> here it is" {
		t.Error(got)
	}
	say(own, "you have 5")
	if got := last(s.Private(ada)); got != "you have 5" || strings.Contains(last(hall), "you have") {
		t.Error(got)
	}
	if err := errors.Join(a.Edit(t.Context(), open.Chat, progress, "done"), a.Delete(t.Context(), open.Chat, progress)); err != nil {
		t.Error(err)
	}
	s.Shut(hall)
	say(open, "and again")
	if got := last(s.Private(ada)); got != "and again" {
		t.Error(got)
	}
}

// TestToken: a wrong one is told, and none is ever shown.
func TestToken(t *testing.T) {
	s, _ := open(t)
	for _, cfg := range []discord.Config{
		{Token: "MTA.secret", Server: s.URL}, {Token: "MTA.secret", Server: "http://127.0.0.1:1"}, {Token: "MTA.secret", Server: "http://a b"}, {Token: "MTA.\x7fsecret", Server: s.URL},
	} {
		_, err := discord.New(t.Context(), cfg)
		if err == nil || strings.Contains(err.Error()+essaim.HintOf(err), "secret") {
			t.Errorf("%s: %v", cfg.Server, err)
		}
	}
	a := adapter(t, s)
	e := hear(t, a)
	s.Listening(1)
	s.Bye(4004) // it was taken back
	if err := e.wait(); essaim.CodeOf(err) != essaim.CodeRefused || essaim.HintOf(err) == "" {
		t.Error(err)
	}
	s.Fail("GET /webhooks/messages", 1, http.StatusBadGateway, 0)
	if _, err := a.Say(t.Context(), bot.Note{Chat: hall.ID, Way: "p:1:2:interaction-secret", Text: "x"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

// TestGuild: commands of one guild only.
func TestGuild(t *testing.T) {
	s, _ := open(t)
	_, err := discord.New(t.Context(), discord.Config{Token: discordtest.Token, Guild: discordtest.Guild, Server: s.URL})
	if err != nil || s.Calls("PUT /applications/guilds/commands") != 1 {
		t.Error(err)
	}
}
