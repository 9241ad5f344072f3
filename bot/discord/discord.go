// Package discord is the bot on Discord: it turns interactions of the gateway into events, and
// what the bot says into messages.
//
// People fill in forms (slash commands) and press buttons; the bot hears nothing else, and asks
// for no intent that would let it. An interaction is answered within three seconds with "at work",
// or not at all: what cannot be answered then has failed in the eyes of who asked, and is not
// done. What follows goes where the interaction says, for fifteen minutes; later it goes into
// the channel, or to the person alone. In a group, what concerns only who asked is shown to
// nobody else.
//
// A connection that is lost is taken up where it was; the platform tells what was missed. When
// it says that something is too much (429), calls wait as long as it asks for, and they look at
// how full it says its buckets are. What people have written is never read as markup, and
// mentions nobody.
//
// The package must not know what commands mean. It needs a dozen calls and the gateway, which is
// why it brings its own client of them (ADR 56).
package discord

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
)

// Server is where Discord is.
const Server = "https://discord.com/api/v10"

// Config says which bot it is.
type Config struct {
	Token  string
	Guild  string // the only one whose members may use it; "": all, and in private
	Server string // URL; "": Discord's own
	Logger *slog.Logger

	// Now is the clock, and Wait how pauses are waited for; nil: the machine's. They are for
	// tests.
	Now  func() time.Time
	Wait func(context.Context, time.Duration) error
}

// Adapter is a bot.Platform and a bot.Listener. Make it with New; it is safe for concurrent use.
type Adapter struct {
	api         api
	log         *slog.Logger
	now         func() time.Time
	wait        func(context.Context, time.Duration) error
	application string
	name        string // of the bot

	mu    sync.Mutex
	ways  map[string]state // by interaction: what stands in the place of "at work"
	turns map[string]chan struct{}
}

// Name is what the platform is called in the bot's book.
const Name = "discord"

// New asks who the bot is and tells the platform its commands.
//
// Errors: CodeRefused for a wrong token, CodeUnavailable.
func New(ctx context.Context, cfg Config) (*Adapter, error) {
	if cfg.Server == "" {
		cfg.Server = Server
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	token := strings.TrimSpace(cfg.Token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, essaim.Errorf(essaim.CodeRefused, "copy it from the developer portal once more", "discord: this is no token")
	}
	a := &Adapter{
		log: cfg.Logger, now: cfg.Now, wait: cfg.Wait, ways: map[string]state{}, turns: map[string]chan struct{}{},
		api: api{
			base: strings.TrimSuffix(cfg.Server, "/"), token: token, http: &http.Client{},
			limits: &limits{now: cfg.Now, wait: cfg.Wait, buckets: map[string]string{}, ready: map[string]time.Time{}},
		},
	}
	var me struct {
		ID  string `json:"id"`
		Bot user   `json:"bot"`
	}
	if err := a.api.do(ctx, mine(http.MethodGet, "/applications/@me", nil), &me); err != nil {
		return nil, err
	}
	a.application, a.name = me.ID, me.Bot.Username
	path := "/applications/" + me.ID + "/commands"
	if cfg.Guild != "" {
		path = "/applications/" + me.ID + "/guilds/" + cfg.Guild + "/commands"
	}
	return a, a.api.do(ctx, mine(http.MethodPut, path, forms(cfg.Guild == "")), nil)
}

// UserName is what the bot is called on the platform.
func (a *Adapter) UserName() string { return a.name }

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The platform's numbers for what commands are and take.
const (
	slashCommand = 1
	optionText   = 3
	optionPerson = 6
	inGuilds     = 0
	inPrivate    = 1
)

// form is a command as the platform takes it.
type form struct {
	Type         int               `json:"type"`
	Name         string            `json:"name"`
	Description  string            `json:"description"`
	Described    map[string]string `json:"description_localizations"`
	Options      []option          `json:"options,omitempty"`
	Contexts     []int             `json:"contexts,omitempty"`
	Integrations []int             `json:"integration_types,omitempty"`
}

type option struct {
	Type        int               `json:"type"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Described   map[string]string `json:"description_localizations"`
	Required    bool              `json:"required,omitempty"`
	Choices     []choice          `json:"choices,omitempty"`
}

type choice struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// forms are all commands; everywhere says that they work in private, too.
func forms(everywhere bool) (out []form) {
	for _, c := range bot.Commands() {
		f := form{Type: slashCommand, Name: c.Name, Description: c.English, Described: map[string]string{"fr": c.French}}
		if everywhere {
			f.Contexts, f.Integrations = []int{inGuilds, inPrivate}, []int{inGuilds}
		}
		for _, o := range c.Options {
			x := option{Type: optionText, Name: o.Name, Description: o.English, Described: map[string]string{"fr": o.French}, Required: o.Required}
			if o.Person {
				x.Type = optionPerson
			}
			for _, v := range o.Choices {
				x.Choices = append(x.Choices, choice{v, v})
			}
			f.Options = append(f.Options, x)
		}
		slices.SortStableFunc(f.Options, func(a, b option) int { // the platform wants what is required first
			switch {
			case a.Required == b.Required:
				return 0
			case a.Required:
				return -1
			}
			return 1
		})
		out = append(out, f)
	}
	return out
}

var (
	_ bot.Platform = (*Adapter)(nil)
	_ bot.Listener = (*Adapter)(nil)
)
