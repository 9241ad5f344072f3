// Package books is a ledger in memory, for benchmarks of what must not wait for one: it believes what it is told,
// commits at once and counts. Its one block never ends. It is no part of the product, which must not import it.
package books

import (
	"context"
	"sync"

	"github.com/essaim/essaim"
)

// Books are the ledger. They are safe for concurrent use.
type Books struct {
	models []essaim.Model

	mu       sync.Mutex
	actors   map[essaim.NodeKey]essaim.Actor // guarded by mu
	sessions []essaim.Session                // guarded by mu
	settled  []essaim.Settlement             // guarded by mu
}

// New makes books that know these models, and nobody.
func New(models ...essaim.Model) *Books {
	return &Books{models: models, actors: map[essaim.NodeKey]essaim.Actor{}}
}

// Enter notes an actor, with a coin of stake.
func (b *Books) Enter(a essaim.Actor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a.Bond, a.Stake = essaim.AIM, essaim.AIM
	b.actors[a.NodeKey] = a
}

// Sums is what the books were told: sessions, those settled, tasks in them and what they cost.
type Sums struct {
	Sessions, Settled int
	Tasks             uint64
	Paid              essaim.Amount
}

// Sums adds up.
func (b *Books) Sums() (out Sums) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out.Sessions, out.Settled = len(b.sessions), len(b.settled)
	for _, s := range b.settled {
		out.Tasks += s.Root.Count()
		out.Paid += s.Root.Sum()
	}
	return out
}

// Height is coordinator.Ledger's, as all that follow are its or client.Ledger's.
func (b *Books) Height(context.Context) (int64, error) { return 1, nil }

// Session returns one that was opened.
func (b *Books) Session(_ context.Context, id essaim.SessionID) (essaim.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id == 0 || int(id) > len(b.sessions) {
		return essaim.Session{}, essaim.Errorf(essaim.CodeNotFound, "", "no session %s", id)
	}
	return b.sessions[id-1], nil
}

// Actor returns one that was entered.
func (b *Books) Actor(_ context.Context, k essaim.NodeKey) (essaim.Actor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.actors[k]
	if !ok {
		return a, essaim.Errorf(essaim.CodeNotFound, "", "no actor %s", k.Short())
	}
	return a, nil
}

// Model returns one that New was given.
func (b *Books) Model(_ context.Context, d essaim.Digest) (essaim.Model, error) {
	for _, m := range b.models {
		if m.Digest == d {
			return m, nil
		}
	}
	return essaim.Model{}, essaim.Errorf(essaim.CodeNotFound, "", "no model %s", d.Short())
}

// Cover sets no limit.
func (b *Books) Cover(context.Context) (essaim.Cover, error) { return essaim.Cover{}, nil }

// Settle checks nothing.
func (b *Books) Settle(_ context.Context, s essaim.Settlement, _, _ []byte) (essaim.Tx, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions[s.Session-1].State = essaim.SessionSettled
	b.settled = append(b.settled, s)
	return essaim.Tx{Height: 1}, nil
}

// Draws are none.
func (b *Books) Draws(context.Context, essaim.NodeKey) ([]essaim.Draw, error) { return nil, nil }

// Open takes any opening.
func (b *Books) Open(context.Context, essaim.Draw, essaim.Opening) (essaim.Tx, error) {
	return essaim.Tx{Height: 1}, nil
}

// SettledBy names no transaction.
func (b *Books) SettledBy(context.Context, essaim.SessionID) (essaim.Tx, error) {
	return essaim.Tx{}, nil
}

// ShowVoucher takes any voucher.
func (b *Books) ShowVoucher(context.Context, essaim.SessionID, []byte) (essaim.Tx, error) {
	return essaim.Tx{Height: 1}, nil
}

// OpenSession asks nobody for money.
func (b *Books) OpenSession(_ context.Context, c essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, expiry int64) (essaim.SessionID, essaim.Tx, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := essaim.SessionID(len(b.sessions) + 1)
	b.sessions = append(b.sessions, essaim.Session{ID: id, Coordinator: c, Deposit: deposit, SessionKey: key, Opened: 1, Expiry: expiry, State: essaim.SessionOpen})
	return id, essaim.Tx{Height: 1}, nil
}

// TopUp adds to a deposit.
func (b *Books) TopUp(_ context.Context, id essaim.SessionID, amount essaim.Amount) (essaim.Amount, essaim.Tx, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions[id-1].Deposit += amount
	return b.sessions[id-1].Deposit, essaim.Tx{Height: 1}, nil
}
