package bots

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/bot/discord"
	"github.com/essaim/essaim/bot/discord/discordtest"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/node"
)

// The people on Discord, whose accounts are old enough for the faucet.
var (
	years = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	emil  = discordtest.User{ID: discordtest.NumberAt(years, 1), Name: "emil", Locale: "en-US"}
	fleur = discordtest.User{ID: discordtest.NumberAt(years, 2), Name: "fleur", Locale: "fr"}
	hall  = discordtest.Channel{ID: "500100200300400500"}
)

// guild is the part of the story that is told on Discord.
type guild struct {
	*story
	at *discordtest.Server
}

func (d *story) discord(ctx context.Context) (err error) {
	g := &guild{d, discordtest.New()}
	defer g.at.Close()
	b, stop, err := g.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if _, err := d.net.Chain().Send(ctx, d.net.Account(devnet.User), b.House(), essaim.AIM); err != nil {
		return err
	}
	if _, err := g.use(ctx, emil, "faucet", nil, nil, "Here is 0.1 AIM"); err != nil {
		return err
	}
	p, err := g.use(ctx, emil, "imagine", map[string]string{"prompt": "a green tree and a yellow sun"}, nil, "proven")
	if err != nil {
		return err
	}
	seen := len(g.at.Messages(hall, fleur))
	g.line(fleur.Name, "presses ["+p.Buttons[2].Label+"]")
	g.at.Press(fleur, p, 2)
	if _, err := g.answer(ctx, fleur, seen, "vérifié à l'instant"); err != nil {
		return err
	}
	g.at.Cut()
	if _, err := g.use(ctx, emil, "tip", map[string]string{"amount": "0.01"}, &fleur, "0.01 AIM for @fleur"); err != nil {
		return err
	}
	if _, err := g.use(ctx, fleur, "balance", nil, nil, "0,01 AIM"); err != nil {
		return err
	}
	for _, m := range g.at.Messages(hall, emil) {
		if strings.HasPrefix(m.Text, "Vous avez") {
			return d.OK(false, "what Fleur has is shown to her alone")
		}
	}
	_, resumed := g.at.Sessions()
	return d.OK(resumed > 0 && len(g.at.Faults()) == 0, "the connection was cut before the tip and taken up again; what Fleur has was shown to her alone; the platform has found no fault")
}

// open starts a bot of its own for the platform.
func (g *guild) open(ctx context.Context) (*bot.Bot, func() error, error) {
	kept, err := book.Open(filepath.Join(g.home, "bot-discord.db"), g.secret)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := node.Bot(ctx, g.net.Chain(), g.net.Coordinator())
	if err != nil {
		return nil, nil, errors.Join(err, kept.Close())
	}
	a, err := discord.New(ctx, discord.Config{Token: discordtest.Token, Server: g.at.URL, Logger: g.shell.Logger()})
	if err != nil {
		return nil, nil, errors.Join(err, kept.Close())
	}
	cfg.Name, cfg.Forms, cfg.Platform, cfg.Book, cfg.Logger = discord.Name, true, a, kept, g.shell.Logger()
	b, err := bot.New(cfg)
	if err != nil {
		return nil, nil, errors.Join(err, kept.Close())
	}
	running, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- b.Serve(running, a) }()
	g.at.Listening(1)
	return b, func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return errors.Join(err, kept.Close())
		}
		return kept.Close()
	}, nil
}

// use lets somebody fill in a command and tells it, and the answer that holds the words.
func (g *guild) use(ctx context.Context, by discordtest.User, command string, values map[string]string, whom *discordtest.User, want string) (discordtest.Message, error) {
	seen := len(g.at.Messages(hall, by))
	said := "/" + command
	if whom != nil {
		said += " user:@" + whom.Name
	}
	for _, name := range []string{"prompt", "amount"} {
		if v, ok := values[name]; ok {
			said += " " + name + ":" + v
		}
	}
	g.line(by.Name, said)
	g.at.Use(by, hall, command, values, whom)
	return g.answer(ctx, by, seen, want)
}

func (g *guild) answer(ctx context.Context, by discordtest.User, seen int, want string) (discordtest.Message, error) {
	limit := demoTime
	if end, ok := ctx.Deadline(); ok {
		limit = time.Until(end)
	}
	m, ok := g.at.Until(hall, by, seen, limit, func(m discordtest.Message) bool { return strings.Contains(m.Text, want) })
	if !ok {
		return m, g.OK(false, "the bot answers with %q", want)
	}
	var buttons []string
	for _, b := range m.Buttons {
		buttons = append(buttons, b.Label)
	}
	text := shown(m.Text, m.Name, m.File, buttons)
	if m.OnlyFor != "" {
		text += "\n(only " + by.Name + " sees this)"
	}
	g.line("bot", text)
	return m, nil
}
