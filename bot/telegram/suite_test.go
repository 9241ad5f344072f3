package telegram_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/bottest"
	"github.com/essaim/essaim/bot/telegram"
	"github.com/essaim/essaim/bot/telegram/telegramtest"
)

func TestSuite(t *testing.T) {
	bottest.Suite(t, func(t *testing.T) bottest.Stage {
		s := telegramtest.New()
		t.Cleanup(s.Close)
		x := &stage{s: s, people: map[string]telegramtest.User{}}
		for _, p := range bottest.People {
			x.user(p)
		}
		return x
	})
}

// stage is the platform as the suite sees it.
type stage struct {
	s      *telegramtest.Server
	people map[string]telegramtest.User
	last   int64 // update
}

func (x *stage) Open(ctx context.Context) (bottest.Adapter, bot.Config, error) {
	a, err := telegram.New(ctx, telegram.Config{Token: telegramtest.Token, Server: x.s.URL})
	return a, bot.Config{Name: telegram.Name}, err
}

func (x *stage) user(p bottest.Person) telegramtest.User {
	u, ok := x.people[p.Name]
	if !ok {
		u = telegramtest.User{ID: int64(100 + len(x.people)), Name: p.Name, Lang: p.Lang}
		x.people[p.Name] = u
	}
	return u
}

func (x *stage) chat(p bottest.Person, inGroup bool) telegramtest.Chat {
	if inGroup {
		return group
	}
	return telegramtest.Private(x.user(p))
}

func (x *stage) Command(who bottest.Person, group bool, text string) {
	x.last = x.s.Say(x.user(who), x.chat(who, group), text, nil)
}

func (x *stage) Press(who bottest.Person, group bool, n int) {
	list := x.s.Messages(x.chat(who, group))
	for i := len(list) - 1; i >= 0; i-- {
		if len(list[i].Buttons) > 0 && !list[i].Deleted {
			x.last = x.s.Press(x.user(who), x.s.Stands(list[i]), n)
			return
		}
	}
}

func (x *stage) Mark(who bottest.Person, group bool) int {
	return len(x.s.Messages(x.chat(who, group)))
}

func (x *stage) Until(who bottest.Person, group bool, mark int, wanted func(bottest.Message) bool) (bottest.Message, bool) {
	var got bottest.Message
	_, ok := x.s.Wait(x.chat(who, group), mark, ctxTime, func(m telegramtest.Message) bool {
		got = bottest.Message{Text: m.Text + m.Caption, File: m.Photo}
		if m.Document != nil {
			got.File = m.Document
		}
		for _, b := range m.Buttons {
			got.Buttons = append(got.Buttons, b["text"])
		}
		return wanted(got)
	})
	return got, ok
}

func (x *stage) Again() { x.s.Again(x.last) }

func (x *stage) Trouble(statuses ...int) {
	for _, status := range statuses {
		after := 0
		if status == http.StatusTooManyRequests {
			after = 1
		}
		for _, method := range []string{"sendMessage", "sendPhoto"} {
			x.s.Fail(method, 1, status, after)
		}
	}
}

// Cut loses an answer with updates: they come again.
func (x *stage) Cut() { x.s.Lose("getUpdates") }

func (x *stage) Faults() []string { return x.s.Faults() }
