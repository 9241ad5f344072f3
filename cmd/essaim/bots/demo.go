package bots

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	_ "image/png" // what pictures are
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/bot/telegram"
	"github.com/essaim/essaim/bot/telegram/telegramtest"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

func demo(s *Shell) *cobra.Command {
	cmd := term.StoryCommand("demo-bot", demoTime, func(ctx context.Context, home string) error {
		d := &story{Teller: term.NewTeller(s.Stdout, s.JSON(), s.No), shell: s, home: home, seen: map[int64]int{}}
		return d.play(ctx)
	})
	cmd.Short = "The story of people who chat with a bot: pictures, tips, a restart"
	cmd.Long = `Brings up a network, a Telegram and a Discord of its own on this machine, lets people talk to
the bot, and prints what is said. Pictures are drawn by miners, paid on the ledger and
checked; the bot is stopped in the middle and goes on. Every claim is checked; if one
does not hold, it says which and exits with 1.`
	return cmd
}

// story is one telling.
type story struct {
	term.Teller
	shell *Shell
	home  string

	net      *devnet.Network
	platform *telegramtest.Server
	secret   []byte
	bot      *bot.Bot
	stop     func() error  // of the bot
	seen     map[int64]int // messages of each chat when the last was said
}

// The people.
var (
	ada  = telegramtest.User{ID: 101, Name: "ada", Lang: "en"}
	bob  = telegramtest.User{ID: 102, Name: "bob", Lang: "fr"}
	dora = telegramtest.User{ID: 104, Name: "dora", Lang: "fr"}
	room = telegramtest.Chat{ID: -1001, Type: "supergroup"}
)

func (d *story) play(ctx context.Context) (err error) {
	net, stop, err := d.shell.Start(ctx, devnet.Config{Home: d.home, Miners: 3})
	if err != nil {
		return err
	}
	d.net, d.platform = net, telegramtest.New()
	d.stop = func() error { return nil }
	defer func() { err = errors.Join(err, d.stop(), stop()); d.platform.Close() }()
	return d.Play(ctx,
		term.Chapter{Title: "A bot on a network of one validator, one coordinator and three miners", Tell: d.begin},
		term.Chapter{Title: "Ada comes, alone with the bot", Tell: d.ada},
		term.Chapter{Title: "A group: tips, also for somebody who is not there", Tell: d.group},
		term.Chapter{Title: "What does not work", Tell: d.wrong},
		term.Chapter{Title: "The bot is stopped and started again, and hears everything twice", Tell: d.restart},
		term.Chapter{Title: "Dora comes, in French, and takes her key with her", Tell: d.dorasKey},
		term.Chapter{Title: "The books", Tell: d.books},
		term.Chapter{Title: "Another bot of the kind, on Discord", Tell: d.discord},
	)
}

func (d *story) begin(ctx context.Context) error {
	var err error
	if d.secret, err = book.Secret(filepath.Join(d.home, "bot-secret")); err != nil {
		return err
	}
	if err := d.open(ctx); err != nil {
		return err
	}
	user := d.net.Account(devnet.User)
	if _, err := d.net.Chain().Send(ctx, user, d.bot.House(), 10*essaim.AIM); err != nil {
		return err
	}
	d.Say("@%s answers; whoever runs it has put 10 AIM into its house, for newcomers", strings.ToLower(telegramtest.BotName))
	return d.OK(d.platform.Calls("setMyCommands") == 2, "the platform knows its commands, in two languages")
}

// open starts the bot on its book.
func (d *story) open(ctx context.Context) error {
	kept, err := book.Open(filepath.Join(d.home, "bot.db"), d.secret)
	if err != nil {
		return err
	}
	cfg, err := node.Bot(ctx, d.net.Chain(), d.net.Coordinator())
	if err != nil {
		return err
	}
	a, err := telegram.New(ctx, telegram.Config{Token: telegramtest.Token, Server: d.platform.URL, Logger: d.shell.Logger()})
	if err != nil {
		return err
	}
	cfg.Name, cfg.Platform, cfg.Book, cfg.Logger = telegram.Name, a, kept, d.shell.Logger()
	if d.bot, err = bot.New(cfg); err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- d.bot.Serve(running, a) }()
	d.stop = func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return errors.Join(err, kept.Close())
		}
		return kept.Close()
	}
	return nil
}

func (d *story) ada(ctx context.Context) error {
	at := telegramtest.Private(ada)
	if _, err := d.ask(ctx, ada, at, "/start", "Welcome"); err != nil {
		return err
	}
	if _, err := d.ask(ctx, ada, at, "/faucet", "Here is 0.1 AIM"); err != nil {
		return err
	}
	if _, err := d.ask(ctx, ada, at, "/price", "at most"); err != nil {
		return err
	}
	p, err := d.ask(ctx, ada, at, "/imagine a red apple and a blue house", "seed")
	if err != nil {
		return err
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(p.Photo))
	if err := d.OK(err == nil && strings.Contains(p.Caption, "proven"), "a picture of %d × %d, drawn by a miner; its proof was checked before it was paid for", c.Width, c.Height); err != nil {
		return err
	}
	cert, err := d.press(ctx, ada, p, 2, "checked just now")
	if err != nil {
		return err
	}
	r, _, _, err := essaim.ReadReceiptFile(cert.Document)
	if err := d.OK(err == nil && essaim.DigestOf(p.Photo) == r.Output, "the receipt is in order, and is of that picture"); err != nil {
		return err
	}
	v, err := d.press(ctx, ada, p, 1, "seed")
	if err != nil {
		return err
	}
	return d.OK(!bytes.Equal(v.Photo, p.Photo), "the variation is another picture, paid out of the same session")
}

func (d *story) group(ctx context.Context) error {
	d.platform.Say(bob, room, "hello everybody", nil) // the bot hears commands only
	d.line(bob.Name, "hello everybody")
	said := d.platform.Messages(room)
	d.seen[room.ID] = len(said)
	d.platform.Say(ada, room, "/tip 0.01", d.platform.Stands(said[0]))
	d.line(ada.Name, "/tip 0.01   (replying to bob)")
	if _, err := d.answer(ctx, room, "0.01 AIM for @bob"); err != nil {
		return err
	}
	if _, err := d.ask(ctx, ada, room, "/tip @dora 0.02", "0.02 AIM for @dora"); err != nil {
		return err
	}
	if _, err := d.ask(ctx, bob, room, "/balance", "0,01 AIM"); err != nil {
		return err
	}
	have, err := d.net.Chain().Balance(ctx, d.bot.Pot())
	return errors.Join(err, d.OK(have == 20_000, "the ledger has 0.02 AIM in the pot, for whoever comes as @dora"))
}

func (d *story) wrong(ctx context.Context) error {
	for _, x := range [][2]string{
		{"/tip @ada 0.01", "yourself"}, {"/tip @bob 500", "less than"}, {"/tip @bob much", "no amount"}, {"/tip 0x12 1", "nobody I know"},
		{"/faucet", "Come again in"}, {"/imagine", "Say what"}, {"/export", "in private"},
	} {
		if _, err := d.ask(ctx, ada, room, x[0], x[1]); err != nil {
			return err
		}
	}
	return d.OK(len(d.platform.Faults()) == 0, "the bot has made no mistake in the platform's eyes")
}

func (d *story) restart(ctx context.Context) error {
	if err := d.stop(); err != nil {
		return err
	}
	d.stop = func() error { return nil }
	first := d.platform.Say(ada, room, "/tip @bob 0.005", nil)
	d.line(ada.Name, "/tip @bob 0.005   (nobody answers)")
	if err := d.open(ctx); err != nil {
		return err
	}
	if _, err := d.answer(ctx, room, "0.005 AIM for @bob"); err != nil {
		return err
	}
	d.platform.Again(first)
	if _, err := d.ask(ctx, bob, room, "/balance", "0,015 AIM"); err != nil {
		return err
	}
	return d.OK(true, "the tip was asked for once, delivered twice by the platform, and paid once")
}

func (d *story) dorasKey(ctx context.Context) error {
	at := telegramtest.Private(dora)
	if _, err := d.ask(ctx, dora, at, "/balance", "0,02 AIM"); err != nil {
		return err
	}
	if _, err := d.ask(ctx, dora, at, "/imagine une pomme rouge", "graine"); err != nil {
		return err
	}
	m, err := d.ask(ctx, dora, at, "/export", "La clé de")
	if err != nil {
		return err
	}
	var own *wallet.Account
	for _, w := range strings.Fields(m.Text) {
		if key, err := hex.DecodeString(strings.TrimPrefix(w, "0x")); err == nil && len(key) == 32 {
			own, err = wallet.NewAccount(key)
			if err != nil {
				return err
			}
		}
	}
	if own == nil {
		return d.OK(false, "the bot hands over the key")
	}
	if _, err := d.press(ctx, dora, m, 0, "oublié la clé"); err != nil {
		return err
	}
	have, err := d.net.Chain().Balance(ctx, own.Address())
	if err != nil {
		return err
	}
	tx, err := d.net.Chain().Send(ctx, own, essaim.Address{0xd0}, have)
	return errors.Join(err, d.OK(err == nil && have > 0, "with it, and without the bot, she moves her %s elsewhere, at height %d", have, tx.Height))
}

func (d *story) books(ctx context.Context) error {
	pot, err := d.net.Chain().Balance(ctx, d.bot.Pot())
	if err != nil {
		return err
	}
	if err := d.OK(pot == 0, "nothing is left in the pot"); err != nil {
		return err
	}
	house, err := d.net.Chain().Balance(ctx, d.bot.House())
	if err != nil {
		return err
	}
	if err := d.OK(house == 10*essaim.AIM-100_000, "the house has given 0.1 AIM, to Ada"); err != nil {
		return err
	}
	return d.OK(len(d.platform.Faults()) == 0, "%d calls of the Bot API, none of them out of order", d.platform.Calls("sendMessage")+d.platform.Calls("sendPhoto")+d.platform.Calls("editMessageText")+d.platform.Calls("deleteMessage"))
}

// ask lets a person say something and tells it, and the answer that holds the words.
func (d *story) ask(ctx context.Context, by telegramtest.User, in telegramtest.Chat, text, want string) (telegramtest.Message, error) {
	d.seen[in.ID] = len(d.platform.Messages(in)) + 1
	d.platform.Say(by, in, text, nil)
	d.line(by.Name, text)
	return d.answer(ctx, in, want)
}

// press lets a person press a button.
func (d *story) press(ctx context.Context, by telegramtest.User, below telegramtest.Message, n int, want string) (telegramtest.Message, error) {
	d.seen[below.Chat.ID] = len(d.platform.Messages(below.Chat))
	d.line(by.Name, "presses ["+below.Buttons[n]["text"]+"]")
	d.platform.Press(by, d.platform.Stands(below), n)
	return d.answer(ctx, below.Chat, want)
}

// answer waits for the bot's words and tells them.
func (d *story) answer(ctx context.Context, in telegramtest.Chat, want string) (telegramtest.Message, error) {
	limit := demoTime
	if end, ok := ctx.Deadline(); ok {
		limit = time.Until(end)
	}
	m, ok := d.platform.Wait(in, d.seen[in.ID], limit, func(m telegramtest.Message) bool { return strings.Contains(m.Text+m.Caption, want) })
	if !ok {
		return m, d.OK(false, "the bot answers with %q", want)
	}
	var buttons []string
	for _, b := range m.Buttons {
		buttons = append(buttons, b["text"])
	}
	d.line("bot", shown(m.Text+m.Caption, m.File, append(m.Photo, m.Document...), buttons))
	return m, nil
}

// shown is a message as the story has it: with its file and its buttons.
func shown(text, name string, file []byte, buttons []string) string {
	switch {
	case strings.HasSuffix(name, ".png"):
		text = fmt.Sprintf("[picture %s, %d kB]\n", name, (len(file)+512)/1024) + text
	case file != nil:
		text = fmt.Sprintf("[file %s, %d bytes]\n", name, len(file)) + text
	}
	if len(buttons) > 0 {
		text += "\n[" + strings.Join(buttons, "] [") + "]"
	}
	return text
}

// line tells what somebody says, in 80 columns. Keys are not shown: this is only a story, and
// people copy what they read.
func (d *story) line(who, text string) {
	const wide = 8
	for _, part := range strings.Split(text, "\n") {
		lines := term.Wrap(part, term.Width-wide-2)
		if strings.HasPrefix(part, "    ") || len([]rune(part)) <= term.Width-wide-2 {
			lines = []string{term.Clip(part, term.Width-wide-2)}
		}
		for _, l := range lines {
			if strings.HasPrefix(l, "0x") && len(l) == 66 {
				l = l[:6] + "…"
			}
			fmt.Fprintln(d.Out, strings.TrimRight(fmt.Sprintf("%*s  %s", wide, who, l), " "))
			who = ""
		}
	}
}
