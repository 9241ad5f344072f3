package bottest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/wallet"
)

// Adapter is what connects a bot with a platform.
type Adapter interface {
	bot.Platform
	bot.Listener
}

// Person is somebody in the suite's stories. Each has an account on the platform that is years old.
type Person struct {
	Name string
	Lang string // "en" or "fr", as the platform says it
}

// Message is something of the bot that somebody sees.
type Message struct {
	Text    string
	File    []byte // or picture
	Buttons []string
}

// Stage is a platform with people on it. In private and in the group, they see what they would see
// there.
type Stage interface {
	// Open connects, as a program does when it starts. The config says the platform's name and
	// whether it has forms.
	Open(ctx context.Context) (Adapter, bot.Config, error)

	// Command lets somebody use a command. A name with @ is of somebody on the platform.
	Command(who Person, group bool, command string)

	// Press lets somebody press the n-th button of the last message that has one.
	Press(who Person, group bool, n int)

	// Mark counts what somebody sees, so that Until looks only at what comes later.
	Mark(who Person, group bool) int

	// Until waits for a message as wanted; ok is false if none comes within ten seconds.
	Until(who Person, group bool, mark int, wanted func(Message) bool) (m Message, ok bool)

	// Again tells the bot again what was done last.
	Again()

	// Trouble makes the next calls fail: each of the statuses once, with a pause of a second where
	// the status is 429.
	Trouble(statuses ...int)

	// Cut breaks the connection.
	Cut()

	// Faults are what the bot has done wrong in the platform's eyes.
	Faults() []string
}

// The people.
var (
	// People are all of them.
	People = []Person{ada, bob, cleo, dora}

	ada  = Person{"ada", "en"}
	bob  = Person{"bob", "fr"}
	cleo = Person{"cleo", "en"}
	dora = Person{"dora", "fr"}
)

const funds = 10 * essaim.AIM

// play is one story: a world, a platform and a bot.
type play struct {
	*World
	Stage
	t    *testing.T
	dir  string
	name string // of the platform
	bot  *bot.Bot
	book *book.Book
	stop func()
	away atomic.Bool // the ledger does not answer
}

func newPlay(t *testing.T, open func(*testing.T) Stage) *play {
	p := &play{World: NewWorld(t), Stage: open(t), t: t, dir: t.TempDir()}
	p.Step = func() error {
		if p.away.Load() {
			return essaim.Errorf(essaim.CodeUnavailable, "", "the ledger is away")
		}
		return nil
	}
	p.start()
	p.Grant(p.bot.House(), funds)
	t.Cleanup(func() {
		p.stop()
		if got := p.Everything(); got != funds {
			t.Errorf("there are %s, were %s", got, funds)
		}
		for _, f := range p.Faults() {
			t.Error(f)
		}
	})
	return p
}

func (p *play) start() {
	p.t.Helper()
	secret, err := book.Secret(filepath.Join(p.dir, "secret"))
	if err != nil {
		p.t.Fatal(err)
	}
	if p.book, err = book.Open(filepath.Join(p.dir, "book.db"), secret); err != nil {
		p.t.Fatal(err)
	}
	a, kind, err := p.Open(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	p.book.Now, p.name = p.Now, kind.Name
	cfg := p.Config()
	cfg.Name, cfg.Forms, cfg.Platform, cfg.Book, cfg.Logger = kind.Name, kind.Forms, a, p.book, slog.New(slog.NewTextHandler(p.t.Output(), nil))
	cfg.Limits.Round = 20 * time.Millisecond
	if p.bot, err = bot.New(cfg); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.bot.Serve(ctx, a) }()
	p.stop = func() {
		cancel()
		if err := errors.Join(<-done, p.book.Close()); !errors.Is(err, context.Canceled) {
			p.t.Error(err)
		}
		p.stop = func() {}
	}
}

// line is one thing that somebody does, and what must be in the answer.
type line struct {
	who   Person
	group bool
	text  string
	want  string
}

const group, private = true, false

func (p *play) tell(lines ...line) {
	p.t.Helper()
	for _, l := range lines {
		p.ask(l.who, l.group, l.text, l.want)
	}
}

// ask uses a command and waits for the answer that holds the words.
func (p *play) ask(who Person, group bool, text, want string) Message {
	p.t.Helper()
	mark := p.Mark(who, group)
	p.Command(who, group, text)
	return p.answer(who, group, mark, want)
}

func (p *play) press(who Person, group bool, n int, want string) Message {
	p.t.Helper()
	mark := p.Mark(who, group)
	p.Press(who, group, n)
	return p.answer(who, group, mark, want)
}

func (p *play) answer(who Person, group bool, mark int, want string) Message {
	p.t.Helper()
	var seen []string
	m, ok := p.Until(who, group, mark, func(m Message) bool {
		seen = append(seen, m.Text)
		return strings.Contains(m.Text, want)
	})
	if !ok {
		p.t.Fatalf("%s never sees %q; seen %q", who.Name, want, seen)
	}
	return m
}

// Suite is what every platform's bot must do, with the platform's own people, messages and faults.
func Suite(t *testing.T, open func(*testing.T) Stage) {
	for name, story := range map[string]func(*play){
		"commands": commands, "french": inFrench, "tips": tips, "wrong": wrong, "flood": flood, "trouble": trouble, "restart": restart, "export": export, "link": link,
	} {
		t.Run(name, func(t *testing.T) { story(newPlay(t, open)) })
	}
}

func commands(p *play) {
	p.tell(
		line{ada, private, "/start", "Welcome"}, line{ada, private, "/help", "/imagine a red apple"}, line{ada, private, "/balance", "You have 0 AIM"},
		line{ada, private, "/history", "Nothing yet"}, line{ada, private, "/verify", "no picture of yours"}, line{ada, private, "/imagine a red apple", "/faucet gives"},
		line{ada, private, "/price", "at most 0.0025 AIM"}, line{ada, private, "/faucet", "Here is 0.1 AIM"}, line{ada, private, "/faucet", "again in 24 h"},
	)
	m := p.ask(ada, private, "/imagine a red apple", "“a red apple”\n0.0025 AIM")
	if len(m.File) == 0 || len(m.Buttons) != 3 {
		p.t.Errorf("a picture of %d bytes, buttons %q", len(m.File), m.Buttons)
	}
	if c := p.press(ada, private, 2, "checked just now"); !isReceipt(c.File) {
		p.t.Error("the certificate has no receipt")
	}
	p.press(ada, private, 0, "picture 3")
	p.press(ada, private, 1, "picture 4")
	p.tell(
		line{ada, private, "/verify 3", "Picture 3, checked"}, line{bob, private, "/verify 3", "ne trouve pas"}, line{ada, private, "/history", "a red apple"},
		line{ada, private, "/balance", "You have 0.0925 AIM"}, line{ada, group, "/imagine a blue house", "“a blue house”\n0.0025 AIM"}, line{bob, group, "/verify 5", "Dessin 5, vérifié"},
		line{ada, group, "/balance", "You have 0.09 AIM"}, line{ada, private, "/link", "essaim link\n"},
	)
}

func isReceipt(b []byte) bool {
	_, _, _, err := essaim.ReadReceiptFile(b)
	return err == nil
}

func inFrench(p *play) {
	p.tell(
		line{bob, private, "/start", "Bienvenue"}, line{bob, private, "/help", "/imagine une pomme rouge"}, line{bob, private, "/faucet", "Voici 0,1 AIM"},
		line{bob, private, "/imagine une pomme rouge", "« une pomme rouge »\n0,0025 AIM"}, line{bob, private, "/verify", "Dessin 1, vérifié"}, line{bob, private, "/balance", "Vous avez 0,0975 AIM"},
		line{bob, private, "/lang en", "I speak English"}, line{bob, private, "/balance", "You have 0.0975 AIM"}, line{bob, group, "/price", "costs at most"},
	)
}

func tips(p *play) {
	p.tell(
		line{ada, private, "/faucet", "Here is"}, line{bob, private, "/start", "Bienvenue"}, line{ada, group, "/tip @bob 0.01", "0.01 AIM for @bob."},
		line{ada, group, "/tip @dora 0,02", "0.02 AIM for @dora, who has not written to me yet"}, line{ada, group, "/tip @cleo 0.03", "0.03 AIM for @cleo, who"},
		line{ada, private, "/tip " + Outside.Hex() + " 0.004", "0.004 AIM for 0x"}, line{ada, private, "/tip aim:outside 1000uaim", "0.001 AIM for aim:"},
		line{ada, private, "/balance", "0.05 AIM of your tips wait"}, line{dora, private, "/balance", "Un don de 0,02 AIM vous attendait"}, line{dora, private, "/balance", "Vous avez 0,02 AIM"},
	)
	p.Pass(15 * 24 * time.Hour)
	for p.Has(p.bot.Pot()) > 0 { // the next rounds return what nobody came for
		<-time.After(time.Millisecond)
	}
	p.tell(line{cleo, private, "/balance", "You have 0 AIM"}, line{ada, private, "/balance", "You have 0.065 AIM"}, line{ada, private, "/history", "tip that came back"})
	if got := p.Has(Outside); got != 5_000 {
		p.t.Errorf("outside has %s", got)
	}
}

func wrong(p *play) {
	p.tell(line{ada, private, "/faucet", "Here is"}, line{bob, private, "/start", "Bienvenue"})
	for text, want := range map[string]string{
		"/tip @bob x": "is no amount", "/tip @bob -1": "is no amount", "/tip @bob 0": "is no amount", "/tip @bob 1e3": "is no amount", "/tip @bob 0.0000001": "is no amount",
		"/tip @ada 0.01": "That is yourself", "/tip 0x12 0.01": "nobody I know", "/tip aim:nobody 0.01": "nobody I know", "/tip @bob 5": "that is less than 5 AIM",
		"/verify x": "do not find", "/imagine " + strings.Repeat("x", essaim.MaxPrompt+1): "did not work", "/link link 0x12 x y": "does not prove",
	} {
		p.ask(ada, private, text, want)
	}
	p.ask(ada, group, "/export", "in private")
	if len(p.Payments()) != 1 {
		p.t.Error(p.Payments())
	}
}

// flood: each of the first letters is answered, and that there are too many is said.
func flood(p *play) {
	p.ask(ada, private, "/faucet", "Here is")
	p.away.Store(true)
	mark := p.Mark(ada, private)
	for range 8 {
		p.Command(ada, private, "/tip @bob 0.01")
	}
	p.answer(ada, private, mark, "Slowly, please")
	p.away.Store(false)
	for waiting := 1; waiting > 0; {
		list, err := p.book.Waiting(p.t.Context(), p.name)
		if err != nil {
			p.t.Fatal(err)
		}
		waiting = len(list)
		<-time.After(time.Millisecond)
	}
	p.ask(ada, private, "/price", "at most")
	if n := len(p.Payments()); n != 6 { // the gift, and the five that were not too many
		p.t.Errorf("%d payments", n)
	}
}

// trouble: the platform is away, too busy, cuts off and repeats itself; everything is done once.
func trouble(p *play) {
	p.tell(line{ada, private, "/faucet", "Here is"}, line{bob, private, "/start", "Bienvenue"})
	p.Trouble(429, 500)
	p.ask(ada, private, "/tip @bob 0.01", "0.01 AIM for @bob")
	p.Again()
	p.Cut()
	p.ask(ada, private, "/tip @bob 0.02", "0.02 AIM for @bob")
	p.Again()
	p.Trouble(502)
	p.ask(ada, private, "/imagine a red apple", "“a red apple”\n0.0025 AIM")
	p.Again()
	p.ask(ada, private, "/balance", "You have 0.0675 AIM")
	if n := len(p.Payments()); n != 3 {
		p.t.Errorf("%d payments: %q", n, p.Payments())
	}
}

// restart: what was asked for and not done when the bot stops is done once, by the next.
func restart(p *play) {
	p.tell(line{ada, private, "/faucet", "Here is"}, line{ada, group, "/imagine a red apple", "“a red apple”\n0.0025 AIM"})
	p.away.Store(true)
	mark, open := p.Mark(ada, private), p.Mark(ada, group)
	p.Command(ada, private, "/tip @bob 0.01")
	p.kept(1)
	p.Command(ada, group, "/balance")
	p.kept(2)
	p.stop()
	p.away.Store(false)
	p.start()
	p.answer(ada, private, mark, "0.01 AIM for @bob")
	p.answer(ada, group, open, "You have 0.0")
	p.Again()
	p.ask(ada, private, "/balance", "You have 0.0875 AIM")
	p.ask(bob, private, "/balance", "Un don de 0,01 AIM")
	if n := len(p.Payments()); n != 3 { // the gift, into the pot, and out
		p.t.Errorf("%q", p.Payments())
	}
}

// kept waits until a number of letters wait for an answer.
func (p *play) kept(n int) {
	p.t.Helper()
	var list []book.Letter
	for range 3_000 {
		var err error
		list, err = p.book.Waiting(p.t.Context(), p.name)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(list) == n {
			return
		}
		<-time.After(time.Millisecond)
	}
	p.t.Fatalf("%d letters wait, never %d: %s", len(list), n, list)
}

func export(p *play) {
	p.tell(line{ada, private, "/faucet", "Here is"}, line{ada, group, "/export", "in private"})
	m := p.ask(ada, private, "/export", "The key of 0x")
	var own *wallet.Account
	for _, w := range strings.Fields(m.Text) {
		if key, err := hex.DecodeString(strings.TrimPrefix(w, "0x")); err == nil && len(key) == 32 {
			if own, err = wallet.NewAccount(key); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	if own == nil || p.Has(own.Address()) != essaim.AIM/10 {
		p.t.Fatal("no key of the account")
	}
	p.press(ada, private, 0, "I have forgotten the key of "+own.Address().Hex())
	p.ask(ada, private, "/balance", "You have 0 AIM")
}

func link(p *play) {
	own, err := wallet.GenerateAccount()
	if err != nil {
		p.t.Fatal(err)
	}
	m := p.ask(ada, private, "/link", "essaim link\n")
	proof, err := bot.SignLink(own, m.Text[strings.Index(m.Text, "essaim link\n"):])
	if err != nil {
		p.t.Fatal(err)
	}
	p.ask(bob, private, "/link "+proof, "Cela ne prouve rien")
	p.ask(ada, private, "/link "+proof, fmt.Sprintf("Linked: %s", own.Address()))
}
