// Package bottest is what bots are tested in, and with: a network in memory whose ledger counts every
// uaim (World), and the one suite that each platform's adapter must pass (Suite).
//
// It must know no platform: those bring a Stage.
package bottest

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/wallet"
)

// World is a ledger and a coordinator in memory, with a clock that is set. It outlives the bots that
// use it. It is safe for concurrent use.
type World struct {
	Net *clienttest.Network

	// Step is before and after whatever a bot does; an error stands for its end. Nil: none.
	Step func() error

	// Changed is told when money has moved. Nil: nobody.
	Changed func()

	t       testing.TB
	mu      sync.Mutex
	now     time.Time
	balance map[essaim.Address]essaim.Amount
	nonce   map[essaim.Address]uint64
	txs     map[string]error
	log     []string                            // payments as they came
	escrow  map[essaim.SessionID]essaim.Address // open sessions
	opened  map[essaim.SessionID]essaim.Address // all sessions
	earned  essaim.Amount                       // by miners
}

// Outside is an account of nobody here; the ledger's name "outside" stands for it.
var Outside = essaim.Address{9, 9, 9}

// NewWorld makes a network of two miners, on which nobody has money.
func NewWorld(t testing.TB) *World {
	w := &World{
		Net: clienttest.New(t, 2), t: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), balance: map[essaim.Address]essaim.Amount{}, nonce: map[essaim.Address]uint64{},
		txs: map[string]error{}, escrow: map[essaim.SessionID]essaim.Address{}, opened: map[essaim.SessionID]essaim.Address{},
	}
	w.Net.OnClose = w.settled
	return w
}

// Config is what a bot needs of the network.
func (w *World) Config() bot.Config {
	return bot.Config{Ledger: w, Client: client.Config{Coordinator: coordinator{w.Net, w}, ChainID: clienttest.ChainID}, Now: w.Now}
}

// Now is the clock.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Pass lets time pass.
func (w *World) Pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Has is what an account has.
func (w *World) Has(a essaim.Address) essaim.Amount {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.balance[a]
}

// Grant makes money.
func (w *World) Grant(a essaim.Address, amount essaim.Amount) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.balance[a] += amount
}

// Balances are what all accounts have.
func (w *World) Balances() map[essaim.Address]essaim.Amount {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.balance)
}

// Payments are all that were made, as "payer payee uaim".
func (w *World) Payments() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

// Escrows is how many sessions are open.
func (w *World) Escrows() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.escrow)
}

// Everything is all money there is.
func (w *World) Everything() (sum essaim.Amount) {
	sessions := w.Net.Sessions()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.balance {
		sum += a
	}
	for id := range w.escrow {
		sum += sessions[id-1].Deposit
	}
	return sum + w.earned
}

func (w *World) step() error {
	if w.Step == nil {
		return nil
	}
	return w.Step()
}

func (w *World) moved() {
	if w.Changed != nil {
		w.Changed()
	}
}

// around runs something as a step: the bot may be killed before or after it.
func around[T any](w *World, do func() (T, error)) (out T, err error) {
	if err = w.step(); err != nil {
		return out, err
	}
	if out, err = do(); err == nil {
		err = w.step()
	}
	return out, err
}

// coordinator is the network, reached by a bot that may be killed.
type coordinator struct {
	*clienttest.Network
	w *World
}

func (c coordinator) Submit(ctx context.Context, s essaim.Submission, progress func(essaim.Progress)) (essaim.Delivery, error) {
	return around(c.w, func() (essaim.Delivery, error) { return c.Network.Submit(ctx, s, progress) })
}

func (c coordinator) Close(ctx context.Context, signed []byte) (essaim.Settled, error) {
	return around(c.w, func() (essaim.Settled, error) { return c.Network.Close(ctx, signed) })
}

func (c coordinator) Task(ctx context.Context, d essaim.Digest) (essaim.TaskRecord, error) {
	return around(c.w, func() (essaim.TaskRecord, error) { return c.Network.Task(ctx, d) })
}

func (w *World) settled(s *essaim.Settled) {
	w.mu.Lock()
	defer w.mu.Unlock()
	payer, open := w.escrow[s.Session]
	if !open {
		return // settled before
	}
	delete(w.escrow, s.Session)
	w.earned += s.Tx.Payments[0].Amount
	w.balance[payer] += s.Tx.Payments[1].Amount
}

// Balance is bot.Ledger's.
func (w *World) Balance(_ context.Context, a essaim.Address) (essaim.Amount, error) {
	return around(w, func() (essaim.Amount, error) { return w.Has(a), nil })
}

// Prepare is bot.Ledger's.
func (w *World) Prepare(_ context.Context, by *wallet.Account, to essaim.Address, amount essaim.Amount) (bot.Prepared, error) {
	return around(w, func() (bot.Prepared, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		from := by.Address()
		raw := append(append(from[:], to[:]...), binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(amount)), w.nonce[from])...)
		return bot.Prepared{Raw: raw, Hash: essaim.DigestOf(raw).String()}, nil
	})
}

// Deliver is bot.Ledger's.
func (w *World) Deliver(_ context.Context, p bot.Prepared, again bool) error {
	_, err := around(w, func() (struct{}, error) {
		defer w.moved()
		w.mu.Lock()
		defer w.mu.Unlock()
		if err, ok := w.txs[p.Hash]; ok {
			if !again {
				w.t.Error("a payment is sent twice, and the ledger is not told")
			}
			return struct{}{}, err
		}
		from, to := essaim.Address(p.Raw[:20]), essaim.Address(p.Raw[20:40])
		amount, nonce := essaim.Amount(binary.BigEndian.Uint64(p.Raw[40:])), binary.BigEndian.Uint64(p.Raw[48:])
		if nonce != w.nonce[from] {
			return struct{}{}, essaim.Errorf(essaim.CodeConflict, "", "another number")
		}
		if w.balance[from] < amount {
			return struct{}{}, essaim.Errorf(essaim.CodeInsufficient, "", "not enough")
		}
		w.nonce[from]++
		w.txs[p.Hash] = nil
		w.balance[from] -= amount
		w.balance[to] += amount
		w.log = append(w.log, fmt.Sprintf("%s %s %d", from, to, amount))
		return struct{}{}, nil
	})
	return err
}

// Resolve is bot.Ledger's.
func (w *World) Resolve(_ context.Context, name string) (essaim.Address, error) {
	if name == "outside" {
		return Outside, nil
	}
	return essaim.Address{}, essaim.Errorf(essaim.CodeNotFound, "", "no name %q", name)
}

// Sessions is bot.Ledger's.
func (w *World) Sessions(_ context.Context, payer essaim.Address) (out []essaim.Session, err error) {
	all := w.Net.Sessions()
	return around(w, func() ([]essaim.Session, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for id, p := range w.opened {
			if p == payer {
				out = append(out, all[id-1])
			}
		}
		return out, nil
	})
}

// Payer is bot.Ledger's.
func (w *World) Payer(a *wallet.Account) client.Ledger { return payer{w.Net, w, a.Address()} }

type payer struct {
	*clienttest.Network
	w *World
	a essaim.Address
}

func (p payer) OpenSession(ctx context.Context, coordinator essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, expiry int64) (id essaim.SessionID, tx essaim.Tx, err error) {
	if err := p.w.step(); err != nil {
		return 0, tx, err
	}
	if p.w.Has(p.a) < deposit {
		return 0, tx, essaim.Errorf(essaim.CodeInsufficient, "", "not enough")
	}
	id, tx, err = p.Network.OpenSession(ctx, coordinator, deposit, key, expiry)
	if err == nil {
		p.w.mu.Lock()
		p.w.balance[p.a] -= deposit
		p.w.escrow[id] = p.a
		p.w.opened[id] = p.a
		p.w.nonce[p.a]++
		p.w.mu.Unlock()
		err = p.w.step()
	}
	return id, tx, err
}
