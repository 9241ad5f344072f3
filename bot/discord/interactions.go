package discord

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
)

// The parts of the platform's objects that are read.
type (
	user struct {
		ID            string `json:"id"`
		Bot           bool   `json:"bot"`
		Username      string `json:"username"`
		Discriminator string `json:"discriminator"`
	}
	interaction struct {
		ID      string `json:"id"`
		Type    int    `json:"type"`
		Token   string `json:"token"`
		Guild   string `json:"guild_id"`
		Channel string `json:"channel_id"`
		Context *int   `json:"context"`
		Locale  string `json:"locale"`
		Member  *struct {
			User user `json:"user"`
		} `json:"member"`
		User *user `json:"user"`
		Data struct {
			Name     string   `json:"name"`
			Button   string   `json:"custom_id"`
			Options  []filled `json:"options"`
			Resolved struct {
				Users map[string]user `json:"users"`
			} `json:"resolved"`
		} `json:"data"`
	}
	filled struct {
		Name  string `json:"name"`
		Type  int    `json:"type"`
		Value string `json:"value"`
	}
)

// The platform's numbers for interactions, and for first answers to them.
const (
	typeCommand   = 2
	typeComponent = 3

	answerAtWork = 5 // a message that says so, and becomes the answer
	answerSilent = 6 // to a button: nothing is to be seen
)

const (
	firstAnswer = 3 * time.Second // what the platform waits for the first answer
	kept        = 15 * time.Minute
	atOnce      = 64 // interactions that are being taken
)

// event is what an interaction means; ok is false if it is nothing to the bot.
func (i *interaction) event() (e bot.Event, w way, ok bool) {
	by := i.User
	if i.Member != nil {
		by = &i.Member.User
	}
	if by == nil || by.Bot || i.ID == "" || i.Token == "" {
		return e, w, false
	}
	w = way{kind: public, interaction: i.ID, user: by.ID, token: i.Token}
	e = bot.Event{ID: i.ID, From: from(*by, i.Locale), Chat: i.Channel, Group: i.Guild, Private: i.Guild == "" && (i.Context == nil || *i.Context == inPrivate)}
	switch i.Type {
	case typeComponent:
		w.kind, e.Button, ok = pressed, i.Data.Button, i.Data.Button != ""
		e.Press = w.String()
	case typeCommand:
		c, known := bot.CommandOf(i.Data.Name)
		if c.Quiet && !e.Private {
			w.kind = quiet
		}
		e.Text, e.To, ok = i.typed(c), i.whom(), known
	}
	e.Way = w.String()
	return e, w, ok
}

// typed is a command as it would be typed.
func (i *interaction) typed(c bot.Command) string {
	values, person := map[string]string{}, false
	for _, o := range i.Data.Options {
		values[o.Name] = o.Value
		person = person || o.Type == optionPerson
	}
	return c.Typed(values, person)
}

// whom is who was chosen; nil: nobody, or no person.
func (i *interaction) whom() *bot.User {
	for _, o := range i.Data.Options {
		if u, ok := i.Data.Resolved.Users[o.Value]; ok && o.Type == optionPerson && !u.Bot {
			to := from(u, "")
			return &to
		}
	}
	return nil
}

// from is a person. Whose name is not unique has none: those with a discriminator.
func from(u user, locale string) bot.User {
	out := bot.User{ID: u.ID, Lang: locale, Created: born(u.ID)}
	if u.Discriminator == "" || u.Discriminator == "0" {
		out.Name = u.Username
	}
	return out
}

// epoch is when the platform's numbers begin, in Unix milliseconds.
const epoch = 1420070400000

// born is when something got its number.
func born(id string) time.Time {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(n>>22) + epoch)
}

// take reads an interaction. The answer, if there is one, does what follows from it: it may
// run at any time, and waits for what the same person did before.
func (a *Adapter) take(raw json.RawMessage, accept func(context.Context, bot.Event) error) func(context.Context) {
	var i interaction
	if err := json.Unmarshal(raw, &i); err != nil {
		a.log.Warn("an interaction cannot be read", "err", err)
		return nil
	}
	e, w, ok := i.event()
	if !ok {
		return nil
	}
	prior, done := a.queue(e.From.ID)
	return func(ctx context.Context) {
		defer done()
		ctx = context.WithoutCancel(ctx) // what was answered is kept, too
		err := a.answer(ctx, i, w)
		<-prior
		if err != nil {
			a.log.Warn("an interaction is not done, which its person has been told", "interaction", i.ID, "err", err)
			return
		}
		a.keep(ctx, e, accept)
	}
}

// keep gives an event to the bot, and says so if it cannot take it.
func (a *Adapter) keep(ctx context.Context, e bot.Event, accept func(context.Context, bot.Event) error) {
	if err := accept(ctx, e); err != nil {
		a.log.Error("an interaction cannot be kept", "interaction", e.ID, "err", err)
		_, err = a.Say(ctx, bot.Note{Chat: e.Chat, Way: e.Way, Text: bot.Failed(e.From.Lang)})
		if err != nil {
			a.log.Warn("nobody is told that", "err", err)
		}
	}
}

// queue gives a place behind what a person did before.
func (a *Adapter) queue(person string) (prior <-chan struct{}, done func()) {
	mine := make(chan struct{})
	a.mu.Lock()
	defer a.mu.Unlock()
	before, ok := a.turns[person]
	if !ok {
		before = make(chan struct{})
		close(before)
	}
	a.turns[person] = mine
	return before, func() {
		close(mine)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.turns[person] == mine {
			delete(a.turns, person)
		}
	}
}

// answer says that the bot is at work, as long as the platform waits for that. One that was
// answered already was not answered here: it came twice, or another program uses the token.
func (a *Adapter) answer(ctx context.Context, i interaction, w way) error {
	ctx, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	body := map[string]any{"type": answerAtWork}
	switch w.kind {
	case pressed:
		body["type"] = answerSilent
	case quiet:
		body["data"] = map[string]any{"flags": ephemeral}
	}
	c := call{method: http.MethodPost, path: "/interactions/" + i.ID + "/" + i.Token + "/callback", name: "/interactions/…/callback", major: i.ID, body: body, bare: true}
	for try := 0; ; try++ {
		err := a.api.do(ctx, c, nil)
		switch {
		case err == nil || try > 0 && is(err, answeredAlready): // by the try whose answer was lost
			a.note(w, empty)
			return nil
		case essaim.CodeOf(err) != essaim.CodeUnavailable || errors.Is(err, context.DeadlineExceeded):
			return err
		}
		if err := a.wait(ctx, (100*time.Millisecond)<<try); err != nil {
			return err
		}
	}
}
