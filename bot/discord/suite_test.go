package discord_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/bottest"
	"github.com/essaim/essaim/bot/discord"
	"github.com/essaim/essaim/bot/discord/discordtest"
)

func TestSuite(t *testing.T) {
	bottest.Suite(t, func(t *testing.T) bottest.Stage {
		s := discordtest.New()
		t.Cleanup(s.Close)
		x := &stage{s: s, people: map[string]discordtest.User{}}
		for _, p := range bottest.People {
			x.user(p)
		}
		return x
	})
}

// stage is the platform as the suite sees it.
type stage struct {
	s      *discordtest.Server
	people map[string]discordtest.User
	last   string // interaction
	opened int
}

func (x *stage) Open(ctx context.Context) (bottest.Adapter, bot.Config, error) {
	a, err := discord.New(ctx, discord.Config{Token: discordtest.Token, Server: x.s.URL, Now: x.s.Now, Wait: x.s.Wait})
	x.opened++
	return a, bot.Config{Name: discord.Name, Forms: true}, err
}

func (x *stage) user(p bottest.Person) discordtest.User {
	u, ok := x.people[p.Name]
	if !ok {
		u = discordtest.User{ID: discordtest.NumberAt(born, uint64(len(x.people)+1)), Name: p.Name, Locale: p.Lang}
		x.people[p.Name] = u
	}
	return u
}

func (x *stage) channel(p bottest.Person, group bool) discordtest.Channel {
	if group {
		return hall
	}
	return x.s.Private(x.user(p))
}

// Command fills in the form that the words mean.
func (x *stage) Command(who bottest.Person, group bool, text string) {
	x.s.Listening(1)
	name, rest, _ := strings.Cut(strings.TrimPrefix(text, "/"), " ")
	values, whom := map[string]string{}, (*discordtest.User)(nil)
	words := strings.Fields(rest)
	switch {
	case name == "tip":
		values["amount"] = words[len(words)-1]
		values["to"] = words[0]
		if n, ok := strings.CutPrefix(words[0], "@"); ok {
			u := x.user(bottest.Person{Name: n})
			whom = &u
			delete(values, "to")
		}
	case rest != "":
		values[map[string]string{"imagine": "prompt", "verify": "picture", "lang": "language", "link": "proof"}[name]] = rest
	}
	x.last = x.s.Use(x.user(who), x.channel(who, group), name, values, whom)
}

func (x *stage) Press(who bottest.Person, group bool, n int) {
	list := x.s.Messages(x.channel(who, group), x.user(who))
	for i := len(list) - 1; i >= 0; i-- {
		if len(list[i].Buttons) > 0 && !list[i].Deleted {
			x.last = x.s.Press(x.user(who), list[i], n)
			return
		}
	}
}

func (x *stage) Mark(who bottest.Person, group bool) int {
	return len(x.s.Messages(x.channel(who, group), x.user(who)))
}

func (x *stage) Until(who bottest.Person, group bool, mark int, wanted func(bottest.Message) bool) (bottest.Message, bool) {
	var got bottest.Message
	_, ok := x.s.Until(x.channel(who, group), x.user(who), mark, limit, func(m discordtest.Message) bool {
		got = bottest.Message{Text: m.Text, File: m.File}
		for _, b := range m.Buttons {
			got.Buttons = append(got.Buttons, b.Label)
		}
		return wanted(got)
	})
	return got, ok
}

func (x *stage) Again() { x.s.Again(x.last) }

func (x *stage) Trouble(statuses ...int) {
	for _, status := range statuses {
		after := 0.0
		if status == http.StatusTooManyRequests {
			after = 1
		}
		for _, route := range []string{"POST /interactions/callback", "PATCH /webhooks/messages", "POST /webhooks"} {
			x.s.Fail(route, 1, status, after)
		}
	}
}

func (x *stage) Cut() { x.s.Cut() }

func (x *stage) Faults() []string { return x.s.Faults() }
