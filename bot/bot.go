// Package bot is the network for people who chat: one set of commands, whatever the platform.
// They draw pictures, hold a little money, tip each other and check what they got, in French
// and English, alone with the bot or in a group.
//
// Who writes to the bot has an account on the ledger. The bot keeps its key, encrypted (package
// book), signs for it, and hands it over when asked: the money was never the bot's. Pictures are
// drawn like everybody's: a session, a sealed prompt, a receipt and a proof that are checked here.
//
// What the bot is told is kept before it is acted upon, and each payment and picture has the
// letter that asked for it as its key. So a letter that comes twice is one, and a bot that is
// killed goes on where it was: nobody is charged twice, nothing is lost. Only what is said may
// come twice.
//
// A platform is an adapter: bot/telegram, bot/discord. The ledger is what the caller brings. The
// package must not know either, nor HTTP, and must not log prompts or keys.
package bot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/wallet"
)

// Prepared is a signed payment.
type Prepared struct {
	Raw   []byte
	Hash  string
	Until int64 // the last height at which it may be included
}

// Ledger is what a bot asks of the ledger. Implementations are safe for concurrent use.
type Ledger interface {
	Balance(ctx context.Context, a essaim.Address) (essaim.Amount, error)

	// Prepare signs a payment and sends nothing. An account has one at a time.
	Prepare(ctx context.Context, by *wallet.Account, to essaim.Address, amount essaim.Amount) (Prepared, error)

	// Deliver sends a payment and returns once it is in a block. again says that it may have
	// been sent before.
	//
	// Errors: CodeUnavailable if nobody knows yet what becomes of it, CodeExpired if it can never
	// come; all others say that the ledger has refused it. Nothing has moved then.
	Deliver(ctx context.Context, p Prepared, again bool) error

	// Sessions lists all that an account has opened.
	Sessions(ctx context.Context, payer essaim.Address) ([]essaim.Session, error)

	// Payer binds an account, as package client wants it.
	Payer(a *wallet.Account) client.Ledger

	// Resolve finds the account of a name on the ledger.
	//
	// Errors: CodeNotFound.
	Resolve(ctx context.Context, name string) (essaim.Address, error)
}

// Platform is how the bot speaks. Implementations are safe for concurrent use. Errors are
// retried, unless they are CodeRefused: nobody can hear it any more.
type Platform interface {
	// Say writes a message and returns what it is called there.
	Say(ctx context.Context, n Note) (message string, err error)

	// Edit changes the text of a message.
	Edit(ctx context.Context, chat, message, text string) error

	// Delete removes a message of the bot.
	Delete(ctx context.Context, chat, message string) error

	// Press answers a pressed button, with a word for who pressed it or none.
	Press(ctx context.Context, press, text string) error
}

// Listener is how the bot hears.
type Listener interface {
	// Run gives what is said to accept until the context ends, which is its error then.
	Run(ctx context.Context, accept func(context.Context, Event) error) error
}

// Note is something to say.
type Note struct {
	Chat    string
	Way     string // of the event that is answered
	Reply   string // the message that is answered; "": none
	Text    string // plain; for a picture or file its caption
	Picture []byte // PNG; nil: none
	File    []byte // nil: none
	Name    string // of the file
	Buttons []Button
}

// Button is below a message.
type Button struct {
	Text string
	Data string // at most 64 bytes; comes back in Event.Button
}

// User is who speaks.
type User struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"` // without @; "": none
	Lang    string    `json:"lang,omitempty"` // such as "fr-FR"
	Created time.Time `json:"created,omitzero"`
}

// Event is something that was said to the bot.
type Event struct {
	ID      string `json:"id"` // the platform's, unique: of two with one ID the second is the first again
	From    User   `json:"from"`
	Chat    string `json:"chat"`
	Private bool   `json:"private"`
	Message string `json:"message,omitempty"` // what it is called there
	Text    string `json:"text,omitempty"`
	To      *User  `json:"to,omitempty"`     // whose message it replies to
	Button  string `json:"button,omitempty"` // that was pressed; "": none
	Press   string `json:"press,omitempty"`  // what the pressing is called

	// Way is how an answer finds its way, where the chat does not say. Such a platform shows that
	// the bot is at work until something is said that way.
	Way string `json:"way,omitempty"`

	// Group is what the chat is a part of: groups' limits count there. "": the chat.
	Group string `json:"group,omitempty"`
}

// Config says what a bot is made of.
type Config struct {
	Name     string // the platform's, such as "telegram"
	Platform Platform
	Book     *book.Book
	Ledger   Ledger
	Client   client.Config // without its Ledger
	Auditor  client.Auditor
	Limits   Limits
	Logger   *slog.Logger // nil: silence

	// Forms says that nobody types commands there: the platform asks for what they take.
	Forms bool

	// Now is the clock; nil: the machine's.
	Now func() time.Time
}

// Limits bound what a bot does. Zero fields have a default, which the comments give.
type Limits struct {
	Cap     essaim.Amount // an account of the bot holds at most this, as far as the bot has a say: 100 AIM
	Waiting int           // letters of one person that wait for an answer: 5

	Faucet    essaim.Amount // what the faucet gives at a time: 0.1 AIM
	Pause     time.Duration // between two gifts to a person: 24 h
	Age       time.Duration // of a platform's account before it gets one, where that is known: 7 days
	Newcomers int           // first gifts of a day: 200
	PerChat   int           // gifts of a day in one group: 10
	Daily     essaim.Amount // what the faucet gives in a day: 20 AIM

	Hold time.Duration // how long a tip waits for somebody: 14 days
	Idle time.Duration // after which a session is settled: 15 min

	Round time.Duration // how often what could not be done is tried again: 5 s
}

func (l Limits) complete() Limits {
	l.Cap = cmp.Or(l.Cap, 100*essaim.AIM)
	l.Waiting = cmp.Or(l.Waiting, 5)
	l.Faucet = cmp.Or(l.Faucet, essaim.AIM/10)
	l.Pause = cmp.Or(l.Pause, 24*time.Hour)
	l.Age = cmp.Or(l.Age, 7*24*time.Hour)
	l.Newcomers = cmp.Or(l.Newcomers, 200)
	l.PerChat = cmp.Or(l.PerChat, 10)
	l.Daily = cmp.Or(l.Daily, 20*essaim.AIM)
	l.Hold = cmp.Or(l.Hold, 14*24*time.Hour)
	l.Idle = cmp.Or(l.Idle, 15*time.Minute)
	l.Round = cmp.Or(l.Round, 5*time.Second)
	return l
}

// Bot answers what it is told on one platform. Make it with New; it is safe for concurrent use.
type Bot struct {
	cfg  Config
	log  *slog.Logger
	own  map[string]book.Person // the bot's own accounts
	wake chan struct{}          // something may be tried again

	faucet sync.Mutex // one gift is weighed after the other
	locks  locks      // of accounts

	mu      sync.Mutex
	queues  map[string][]book.Letter // by person; one that is there is being served
	noisy   map[string]bool          // were told that they are too fast
	serving context.Context          // of Run; nil: it does not
	workers sync.WaitGroup
}

// New makes a bot and its own accounts. It starts nothing.
func New(cfg Config) (*Bot, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Limits = cfg.Limits.complete()
	b := &Bot{
		cfg: cfg, log: cfg.Logger, own: map[string]book.Person{}, wake: make(chan struct{}, 1),
		queues: map[string][]book.Letter{}, noisy: map[string]bool{}, locks: locks{held: map[essaim.Address]*lock{}},
	}
	for _, name := range []string{book.Pot, book.House} {
		p, _, err := cfg.Book.Meet(context.Background(), book.Own, name, "", "en")
		if err != nil {
			return nil, err
		}
		b.own[name] = p
	}
	return b, nil
}

// House is the account that pays the faucet: whoever runs the bot fills it.
func (b *Bot) House() essaim.Address { return b.own[book.House].Address }

// Pot is the account that holds tips for people who are not there yet.
func (b *Bot) Pot() essaim.Address { return b.own[book.Pot].Address }

// Accept takes what was said. Once it returns nil the platform may forget it.
func (b *Bot) Accept(ctx context.Context, e Event) error {
	if e.ID == "" || e.From.ID == "" || e.Button == "" && !b.meant(e) {
		return nil
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	l := book.Letter{Platform: b.cfg.Name, ID: e.ID, Person: e.From.ID, Body: body}
	waiting, err := b.cfg.Book.Pending(ctx, l)
	if err != nil {
		return err
	}
	b.mu.Lock()
	flood := waiting >= b.cfg.Limits.Waiting
	tell := flood && (!b.noisy[l.Person] || e.Way != "")
	b.noisy[l.Person] = flood
	b.mu.Unlock()
	known, err := b.cfg.Book.Receive(l, flood)
	switch {
	case err != nil || known:
		return err
	case tell:
		_, err = b.cfg.Platform.Say(ctx, Note{Chat: e.Chat, Way: e.Way, Reply: e.Message, Text: say(langOf(e.From.Lang), tooFast)})
		return err
	case !flood:
		b.enqueue(l)
	}
	return nil
}

// enqueue gives a letter to the worker of who has written it. Before Run nobody works, and Run
// finds it in the book.
func (b *Bot) enqueue(l book.Letter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.serving == nil {
		return
	}
	queue, busy := b.queues[l.Person]
	for _, q := range queue {
		if q.ID == l.ID {
			return
		}
	}
	b.queues[l.Person] = append(queue, l)
	if !busy {
		ctx := b.serving
		b.workers.Go(func() { b.serve(ctx, l.Person) })
	}
}

// serve answers one person's letters in their order. One that cannot be answered now ends it:
// all of them stay in the book and are taken up at the next round.
func (b *Bot) serve(ctx context.Context, person string) {
	for {
		b.mu.Lock()
		queue := b.queues[person]
		if len(queue) == 0 {
			delete(b.queues, person)
			b.mu.Unlock()
			return
		}
		l := queue[0]
		b.mu.Unlock()
		err := b.answer(ctx, l)
		b.mu.Lock()
		if err != nil {
			delete(b.queues, person)
			b.mu.Unlock()
			if ctx.Err() == nil {
				b.log.Warn("letter will be answered later", "letter", l.ID, "err", err)
			}
			return
		}
		b.queues[person] = b.queues[person][1:]
		b.mu.Unlock()
	}
}

// Run answers until the context ends, and returns when nothing is under way.
func (b *Bot) Run(ctx context.Context) error {
	b.mu.Lock()
	b.serving = ctx
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.serving = nil
		b.mu.Unlock()
		b.workers.Wait()
	}()
	tick := time.NewTicker(b.cfg.Limits.Round)
	defer tick.Stop()
	if err := b.adoptAll(ctx, 0); err != nil && ctx.Err() == nil {
		b.log.Warn("a session will be taken up later", "err", err)
	}
	for {
		if err := b.tend(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn("something will be done later", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Serve hears and answers until the context ends or one of both fails.
func (b *Bot) Serve(ctx context.Context, l Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	err := l.Run(ctx, b.Accept)
	cancel(err)
	if other := <-done; !errors.Is(other, context.Canceled) {
		err = errors.Join(err, other)
	}
	return err
}

// tend does what nobody asks for just now: payments that were not finished, letters that were not
// answered, tips that go back, sessions that lie idle.
func (b *Bot) tend(ctx context.Context) error {
	err := errors.Join(b.finishMoves(ctx), b.returnHeld(ctx), b.adoptAll(ctx, adoptAfter), b.closeIdle(ctx), b.cfg.Book.Prune(picturesKept))
	letters, readErr := b.cfg.Book.Waiting(ctx, b.cfg.Name)
	for _, l := range letters {
		b.enqueue(l)
	}
	return errors.Join(err, readErr)
}

// picturesKept is how long a picture itself is kept: buttons need its receipt only.
const picturesKept = 30 * 24 * time.Hour
