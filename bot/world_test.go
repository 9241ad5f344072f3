package bot_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/wallet"
)

var errDead = errors.New("the bot was killed")

// rig is a bot with a ledger, a coordinator and a platform in memory, all of which outlive it. A
// fuse kills the bot at any of its steps outwards or into its book.
type rig struct {
	t    testing.TB
	net  *clienttest.Network
	dir  string
	lim  bot.Limits
	bot  *bot.Bot
	book *book.Book
	stop func()

	mu      sync.Mutex
	now     time.Time
	fuse    int // steps until the bot is killed; 0: never
	dead    chan struct{}
	killed  bool
	balance map[essaim.Address]essaim.Amount
	nonce   map[essaim.Address]uint64
	txs     map[string]error
	log     []string                            // payments as they came
	escrow  map[essaim.SessionID]essaim.Address // open sessions
	opened  map[essaim.SessionID]essaim.Address // all sessions
	earned  essaim.Amount                       // by miners
	said    []bot.Note
	number  int
	changed chan struct{}
	refuse  error // of the platform
}

const funds = 10 * essaim.AIM

func newRig(t testing.TB) *rig {
	r := &rig{
		t: t, net: clienttest.New(t, 2), dir: t.TempDir(), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), dead: make(chan struct{}),
		balance: map[essaim.Address]essaim.Amount{}, nonce: map[essaim.Address]uint64{}, txs: map[string]error{}, escrow: map[essaim.SessionID]essaim.Address{}, opened: map[essaim.SessionID]essaim.Address{},
		changed: make(chan struct{}),
	}
	r.net.OnClose = r.settled
	r.start()
	r.balance[r.bot.House()] = funds
	t.Cleanup(func() { r.stop() })
	return r
}

// start opens the bot on its book, which may be another's who was killed.
func (r *rig) start() {
	r.t.Helper()
	secret, err := book.Secret(filepath.Join(r.dir, "secret"))
	if err != nil {
		r.t.Fatal(err)
	}
	kept, err := book.Open(filepath.Join(r.dir, "book.db"), secret)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.killed, r.dead = false, make(chan struct{})
	dead := r.dead
	r.mu.Unlock()
	kept.Now = r.clock
	b, err := bot.New(bot.Config{
		Name: "test", Platform: r, Book: kept, Ledger: r, Client: client.Config{Coordinator: coordinator{r.net, r}, ChainID: clienttest.ChainID},
		Limits: r.lim, Now: r.clock, Logger: slog.New(slog.NewTextHandler(r.t.Output(), nil)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	kept.Fault = r.step
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		select {
		case <-dead:
			cancel()
		case <-ctx.Done():
		}
	}()
	go func() { defer close(done); _ = b.Run(ctx) }()
	r.bot, r.book = b, kept
	r.stop = func() {
		cancel()
		<-done
		if err := kept.Close(); err != nil {
			r.t.Error(err)
		}
		r.stop = func() {}
	}
}

func (r *rig) restart() {
	r.stop()
	r.start()
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// step is before and after whatever the bot does.
func (r *rig) step() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fuse > 0 {
		if r.fuse--; r.fuse == 0 {
			r.killed = true
			close(r.dead)
			r.poke()
		}
	}
	if r.killed {
		return errDead
	}
	return nil
}

// poke tells those who wait that something has changed. The lock is held.
func (r *rig) poke() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// around runs something as a step: the bot may be killed before or after it.
func around[T any](r *rig, do func() (T, error)) (out T, err error) {
	if err = r.step(); err != nil {
		return out, err
	}
	if out, err = do(); err == nil {
		err = r.step()
	}
	return out, err
}

// coordinator is the network, reached by a bot that may be killed.
type coordinator struct {
	*clienttest.Network
	r *rig
}

func (c coordinator) Submit(ctx context.Context, s essaim.Submission, progress func(essaim.Progress)) (essaim.Delivery, error) {
	return around(c.r, func() (essaim.Delivery, error) { return c.Network.Submit(ctx, s, progress) })
}

func (c coordinator) Close(ctx context.Context, signed []byte) (essaim.Settled, error) {
	return around(c.r, func() (essaim.Settled, error) { return c.Network.Close(ctx, signed) })
}

func (c coordinator) Task(ctx context.Context, d essaim.Digest) (essaim.TaskRecord, error) {
	return around(c.r, func() (essaim.TaskRecord, error) { return c.Network.Task(ctx, d) })
}

func (r *rig) settled(s *essaim.Settled) {
	r.mu.Lock()
	defer r.mu.Unlock()
	payer, open := r.escrow[s.Session]
	if !open {
		return // settled before
	}
	delete(r.escrow, s.Session)
	r.earned += s.Tx.Payments[0].Amount
	r.balance[payer] += s.Tx.Payments[1].Amount
}

// The ledger.

func (r *rig) Balance(_ context.Context, a essaim.Address) (essaim.Amount, error) {
	return around(r, func() (essaim.Amount, error) { return r.has(a), nil })
}

func (r *rig) has(a essaim.Address) essaim.Amount {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.balance[a]
}

func (r *rig) Prepare(_ context.Context, by *wallet.Account, to essaim.Address, amount essaim.Amount) (bot.Prepared, error) {
	return around(r, func() (bot.Prepared, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		from := by.Address()
		raw := append(append(from[:], to[:]...), binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(amount)), r.nonce[from])...)
		return bot.Prepared{Raw: raw, Hash: essaim.DigestOf(raw).String()}, nil
	})
}

func (r *rig) Deliver(_ context.Context, p bot.Prepared, again bool) error {
	_, err := around(r, func() (struct{}, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err, ok := r.txs[p.Hash]; ok {
			if !again {
				r.t.Error("a payment is sent twice, and the ledger is not told")
			}
			return struct{}{}, err
		}
		from, to := essaim.Address(p.Raw[:20]), essaim.Address(p.Raw[20:40])
		amount, nonce := essaim.Amount(binary.BigEndian.Uint64(p.Raw[40:])), binary.BigEndian.Uint64(p.Raw[48:])
		if nonce != r.nonce[from] {
			return struct{}{}, essaim.Errorf(essaim.CodeConflict, "", "another number")
		}
		if r.balance[from] < amount {
			return struct{}{}, essaim.Errorf(essaim.CodeInsufficient, "", "not enough")
		}
		r.nonce[from]++
		r.txs[p.Hash] = nil
		r.balance[from] -= amount
		r.balance[to] += amount
		r.poke()
		r.log = append(r.log, fmt.Sprintf("%s %s %d", from, to, amount))
		return struct{}{}, nil
	})
	return err
}

func (r *rig) Resolve(_ context.Context, name string) (essaim.Address, error) {
	if name == "outside" {
		return outside, nil
	}
	return essaim.Address{}, essaim.Errorf(essaim.CodeNotFound, "", "no name %q", name)
}

func (r *rig) Sessions(_ context.Context, payer essaim.Address) (out []essaim.Session, err error) {
	all := r.net.Sessions()
	return around(r, func() ([]essaim.Session, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for id, p := range r.opened {
			if p == payer {
				out = append(out, all[id-1])
			}
		}
		return out, nil
	})
}

var outside = essaim.Address{9, 9, 9}

func (r *rig) Payer(a *wallet.Account) client.Ledger { return payer{r.net, r, a.Address()} }

type payer struct {
	*clienttest.Network
	r *rig
	a essaim.Address
}

func (p payer) OpenSession(ctx context.Context, coordinator essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, expiry int64) (id essaim.SessionID, tx essaim.Tx, err error) {
	if err := p.r.step(); err != nil {
		return 0, tx, err
	}
	if p.r.has(p.a) < deposit {
		return 0, tx, essaim.Errorf(essaim.CodeInsufficient, "", "not enough")
	}
	id, tx, err = p.Network.OpenSession(ctx, coordinator, deposit, key, expiry)
	if err == nil {
		p.r.mu.Lock()
		p.r.balance[p.a] -= deposit
		p.r.escrow[id] = p.a
		p.r.opened[id] = p.a
		p.r.nonce[p.a]++
		p.r.mu.Unlock()
		err = p.r.step()
	}
	return id, tx, err
}

// The platform.

func (r *rig) Say(_ context.Context, n bot.Note) (string, error) {
	return around(r, func() (string, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuse != nil {
			return "", r.refuse
		}
		r.number++
		r.said = append(r.said, n)
		r.poke()
		return fmt.Sprint(r.number), nil
	})
}

func (r *rig) Edit(_ context.Context, chat, _, text string) error {
	if strings.Contains(text, "▓") || strings.Contains(text, "░") {
		return r.step()
	}
	_, err := r.Say(context.Background(), bot.Note{Chat: chat, Text: text})
	return err
}
func (r *rig) Delete(context.Context, string, string) error { return r.step() }
func (r *rig) Press(context.Context, string, string) error  { return r.step() }

// wait returns once something holds, or the bot was killed.
func (r *rig) wait(what string, holds func() bool) {
	r.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		r.mu.Lock()
		changed, ok := r.changed, holds() || r.killed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			r.t.Fatalf("never: %s; said %q", what, r.texts())
		}
	}
}

func (r *rig) texts() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.said {
		out = append(out, n.Text)
	}
	return out
}

// everything is all money there is.
func (r *rig) everything() (sum essaim.Amount) {
	sessions := r.net.Sessions()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.balance {
		sum += a
	}
	for id := range r.escrow {
		sum += sessions[id-1].Deposit
	}
	return sum + r.earned
}
