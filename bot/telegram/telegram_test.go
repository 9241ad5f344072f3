package telegram_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/telegram"
	"github.com/essaim/essaim/bot/telegram/telegramtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

var (
	ada     = telegramtest.User{ID: 7, Name: "Ada", Lang: "fr"}
	inbox   = telegramtest.Private(ada)
	group   = telegramtest.Chat{ID: -100, Type: "supergroup"}
	ctxTime = 10 * time.Second
)

// open starts a platform and an adapter to it.
func open(t *testing.T) (*telegramtest.Server, *telegram.Adapter) {
	t.Helper()
	s := telegramtest.New()
	t.Cleanup(func() {
		s.Close()
		for _, f := range s.Faults() {
			t.Error(f)
		}
	})
	a, err := telegram.New(t.Context(), telegram.Config{Token: telegramtest.Token + "\n", Server: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return s, a
}

// heard runs the adapter until a number of events have come.
func heard(t *testing.T, a *telegram.Adapter, n int, accept func(bot.Event) error) (out []bot.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), ctxTime)
	defer cancel()
	var mu sync.Mutex
	err := a.Run(ctx, func(_ context.Context, e bot.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if len(out) == n {
			return context.Canceled
		}
		if err := accept(e); err != nil {
			return err
		}
		if out = append(out, e); len(out) == n {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(out) != n {
		t.Fatalf("%d events, %v", len(out), err)
	}
	return out
}

func yes(bot.Event) error { return nil }

func TestEvents(t *testing.T) {
	s, a := open(t)
	if a.UserName() != "essaimbot" || s.Calls("setMyCommands") != 2 {
		t.Error(a.UserName(), s.Calls("setMyCommands"))
	}
	bob := telegramtest.User{ID: 8, Name: "Bob"}
	s.Say(ada, inbox, "/imagine@essaimBOT a  red apple", nil)
	s.Say(ada, group, "/imagine@otherbot a red apple", nil)
	s.Say(bob, group, "well said", nil)
	s.Say(ada, group, "/tip 5", &telegramtest.Message{ID: 3, From: bob, Chat: group})
	m, err := a.Say(t.Context(), bot.Note{Chat: "7", Text: "x", Buttons: []bot.Button{{Text: "Again", Data: "again:1"}}})
	if err != nil || m != "5" {
		t.Fatal(m, err)
	}
	msgs := s.Messages(inbox)
	s.Press(ada, s.Stands(msgs[1]), 0)
	got := heard(t, a, 5, yes)
	if e := got[0]; e.ID != "1000" || e.Text != "/imagine a  red apple" || !e.Private || e.Chat != "7" || e.From != (bot.User{ID: "7", Name: "Ada", Lang: "fr"}) || e.Message != "1" {
		t.Errorf("%+v", e)
	}
	if got[1].ID != "" {
		t.Errorf("another bot's command: %+v", got[1])
	}
	if e := got[3]; e.To == nil || e.To.ID != "8" || e.Private || e.Chat != "-100" {
		t.Errorf("%+v", e)
	}
	if e := got[4]; e.Button != "again:1" || e.Press == "" || e.Chat != "7" || !e.Private {
		t.Errorf("%+v", e)
	}
	if err := a.Press(t.Context(), got[4].Press, "yes"); err != nil {
		t.Error(err)
	}
	if err := a.Press(t.Context(), got[4].Press, "yes"); err != nil {
		t.Error("pressed long ago:", err)
	}
}

// TestNothingIsLost: an update that the bot could not take comes again, and one that was taken
// comes no more.
func TestNothingIsLost(t *testing.T) {
	s, a := open(t)
	s.Say(ada, inbox, "one", nil)
	s.Say(ada, inbox, "two", nil)
	refused := false
	got := heard(t, a, 2, func(e bot.Event) error {
		if e.Text == "two" && !refused {
			refused = true
			return errors.New("the disk is full")
		}
		return nil
	})
	if got[0].Text != "one" || got[1].Text != "two" {
		t.Errorf("%+v", got)
	}
	s.Fail("getUpdates", 1, http.StatusBadGateway, 0)
	s.Fail("getUpdates", 1, http.StatusTooManyRequests, 1)
	s.Lose("getUpdates")
	s.Say(ada, inbox, "three", nil)
	if got := heard(t, a, 3, yes); got[2].Text != "three" { // what was not confirmed comes once more: the bot knows it
		t.Errorf("%+v", got)
	}
}

func TestSay(t *testing.T) {
	s, a := open(t)
	ctx := t.Context()
	if _, err := a.Say(ctx, bot.Note{Chat: "7", Text: "hello"}); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Error("to a stranger:", err)
	}
	s.Say(ada, inbox, "hi", nil)
	long := strings.Repeat("🐝é", 3000)
	id, err := a.Say(ctx, bot.Note{Chat: "7", Text: long, Reply: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		a.Edit(ctx, "7", id, "short"), a.Edit(ctx, "7", id, "short"), a.Delete(ctx, "7", id), a.Delete(ctx, "7", id),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := a.Edit(ctx, "7", id, "gone"); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Error(err)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	s.Fail("sendPhoto", 2, http.StatusTooManyRequests, 1)
	if _, err := a.Say(ctx, bot.Note{Chat: "7", Text: long, Picture: file.Bytes(), Name: "a.png", Buttons: []bot.Button{{Text: "x", Data: strings.Repeat("d", 64)}}}); err != nil {
		t.Error(err)
	}
	if n := s.Calls("sendPhoto"); n != 3 {
		t.Errorf("%d calls", n)
	}
	if _, err := a.Say(ctx, bot.Note{Chat: "7", Text: "123", File: []byte{0, 1}, Name: "a.receipt"}); err != nil {
		t.Error(err)
	}
	m := s.Messages(inbox)
	if last := m[len(m)-1]; string(last.Document) != "\x00\x01" || last.File != "a.receipt" || last.Caption != "123" {
		t.Errorf("document of %d bytes, %q", len(last.Document), last.File)
	}
	if p := m[len(m)-2]; !bytes.Equal(p.Photo, file.Bytes()) || p.File != "a.png" || len(p.Buttons) != 1 {
		t.Errorf("photo of %d bytes, %q, %d buttons", len(p.Photo), p.File, len(p.Buttons))
	}
	s.Fail("sendMessage", 1, http.StatusTooManyRequests, 3600)
	if _, err := a.Say(ctx, bot.Note{Chat: "7", Text: "x"}); essaim.CodeOf(err) != essaim.CodeUnavailable {
		t.Error("a pause of an hour:", err)
	}
	s.Fail("sendMessage", 1, http.StatusInternalServerError, 0)
	if _, err := a.Say(ctx, bot.Note{Chat: "7", Text: "x"}); essaim.CodeOf(err) != essaim.CodeUnavailable {
		t.Error(err)
	}
	s.Block(ada)
	if _, err := a.Say(ctx, bot.Note{Chat: "7", Text: "x"}); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Error(err)
	}
}

// TestToken: a wrong one is told, and none is ever shown.
func TestToken(t *testing.T) {
	s, _ := open(t)
	for _, cfg := range []telegram.Config{{Token: "1:secret", Server: s.URL}, {Token: "1:secret", Server: "http://127.0.0.1:1"}, {Token: "1:secret", Server: "http://a b"}, {Token: "1:\x7fsecret", Server: s.URL}} {
		_, err := telegram.New(t.Context(), cfg)
		if err == nil || strings.Contains(err.Error()+essaim.HintOf(err), "secret") {
			t.Errorf("%s: %v", cfg.Server, err)
		}
	}
}
