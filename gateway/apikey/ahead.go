package apikey

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// A store that serves knows what each key has left, and need not ask the rows whether a reservation can be made. So
// it appends (internal/durable): the reservation with the task's name is safe before the task is handed in, and
// gets into the rows only if the task takes longer than that, or the program dies. A capture says all of it
// once more, and comes to the same whether the rows have the reservation or not.
//
// Nothing that is appended may be refused by the rows. Should an owner, in another process, take away in the very moment of
// a reservation what was left, the house pays it.

// purse is what a key has left, with all that this process has begun. What is appended and what it says change together, under
// Store.mu.
type purse struct {
	left  essaim.Amount
	limit essaim.Amount // what was deposited, less what was withdrawn, as far as left knows
	read  time.Time
}

// take takes an amount from a key's purse, which is read from the file if it does not know enough. The lock is held.
//
// Errors: CodeInsufficient.
func (s *Store) take(ctx context.Context, k seenKey, all essaim.Amount) (enough bool, err error) {
	p := s.purses[k.ID]
	if p != nil && k.at.After(p.read) && k.Limit != p.limit { // another process has
		if p.left += k.Limit; p.left < p.limit {
			p = nil
		} else {
			p.left, p.limit = p.left-p.limit, k.Limit
		}
	}
	if p == nil || p.left < all {
		p = &purse{read: time.Now()}
		now, err := s.read(ctx, k.ID) // waits for what was begun, which is all there is: the lock is held
		if err != nil {
			return false, err
		}
		p.left, p.limit = now.Balance-min(s.held[k.ID], now.Balance), now.Limit
		s.purses[k.ID] = p
	}
	if p.left < all {
		return false, nil
	}
	p.left -= all
	s.held[k.ID] += all
	return true, nil
}

// giveBack puts into a key's purse what a request did not need. The lock is held.
func (s *Store) giveBack(key string, amount essaim.Amount) {
	if p := s.purses[key]; p != nil {
		p.left += amount
	}
}

// wrote says that a part's reservation is on its way into the file, or was given up. The lock is held.
func (p *Part) wrote() {
	s := p.hold.s
	if p.held {
		p.held = false
		if s.held[p.hold.key] -= p.amount; s.held[p.hold.key] == 0 {
			delete(s.held, p.hold.key)
		}
	}
}

// withHeld adds to what the file says of a key what is reserved in memory alone: no task was named for it yet.
func (s *Store) withHeld(k Key) Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := min(s.held[k.ID], k.Balance)
	k.Balance, k.Reserved = k.Balance-held, k.Reserved+held
	return k
}

// reserveOnce is the statement that reserves for a part, unless it was done.
func (p *Part) reserveOnce(amount essaim.Amount) durable.Stmt {
	key := balanceOf(p.hold.key)
	return durable.Stmt{
		Query: `INSERT INTO entries (at, kind, source, target, amount, ref)
			SELECT ?, ?, CASE WHEN COALESCE((SELECT amount FROM balances WHERE account = ?), 0) >= ? THEN ? ELSE ? END, ?, ?, ?
			WHERE NOT EXISTS (SELECT 1 FROM entries WHERE kind = ? AND ref = ?)`,
		Args: []any{time.Now().UnixMilli(), string(Reserve), key, int64(amount), key, house, p.account(), int64(amount), p.ref, string(Reserve), p.ref},
	}
}

// captureOnce is the statement that captures from a part's reservation, or from its key where the rows do not have one, unless
// the task is in the books.
func (p *Part) captureOnce(task essaim.Digest, session essaim.SessionID, price essaim.Amount) durable.Stmt {
	key := balanceOf(p.hold.key)
	return durable.Stmt{
		Query: `INSERT INTO entries (at, kind, source, target, amount, ref, task)
			SELECT ?, CASE source WHEN ? THEN ? ELSE ? END, source, ?, ?, ?, ? FROM (SELECT CASE
				WHEN EXISTS (SELECT 1 FROM entries WHERE kind = ? AND ref = ?) THEN ?
				WHEN COALESCE((SELECT amount FROM balances WHERE account = ?), 0) >= ? THEN ?
				ELSE ? END AS source)
			WHERE true ON CONFLICT DO NOTHING`,
		Args: []any{
			time.Now().UnixMilli(), house, string(Cover), string(Capture), sessionOf(session), int64(price), p.ref, task[:],
			string(Reserve), p.ref, p.account(),
			key, int64(price), key,
			house,
		},
	}
}

// nameAhead is Name of a store that serves.
func (p *Part) nameAhead(task essaim.Digest, session essaim.SessionID) error {
	stmts := append(p.onceNamed(task), p.reserveOnce(p.amount), durable.Stmt{
		Query: `INSERT OR IGNORE INTO tasks (task, session, account) VALUES (?, ?, ?)`, Args: []any{task[:], int64(session), p.account()},
	})
	p.hold.s.mu.Lock()
	named := p.hold.s.log.Note(stmts...)
	p.wrote()
	p.hold.s.mu.Unlock()
	p.noted = append(p.noted, named)
	if err := named.Wait(); err != nil {
		return fault("note a task", err)
	}
	return nil
}

// captureAhead is Capture of a store that serves.
func (p *Part) captureAhead(task essaim.Digest, session essaim.SessionID, price essaim.Amount, more []durable.Stmt) (stored func() error) {
	stmts := append([]durable.Stmt{p.captureOnce(task, session, price), release(p.hold.key, p.ref), forget(task)}, more...)
	var needless *durable.Appended
	if len(p.noted) == 1 { // else the other names are in doubt
		needless = p.noted[0]
	}
	s := p.hold.s
	s.mu.Lock()
	a := s.log.AppendInstead(needless, stmts...)
	p.wrote()
	s.giveBack(p.hold.key, p.amount-price)
	s.mu.Unlock()
	return func() error {
		if err := a.Wait(); err != nil {
			return fault("capture", err)
		}
		return nil
	}
}

// doneAhead is Done of a store that serves. What was never named is in no file.
func (h *Hold) doneAhead() error {
	s := h.s
	s.mu.Lock()
	var stmts []durable.Stmt
	for _, p := range h.Parts {
		if p.captured {
			continue
		}
		p.wrote()
		s.giveBack(h.key, p.amount)
		if len(p.noted) > 0 {
			stmts = append(stmts, release(h.key, p.ref))
		}
	}
	wait := func() error { return nil }
	if len(stmts) > 0 {
		wait = s.log.Note(stmts...).Wait
	}
	s.mu.Unlock()
	if err := wait(); err != nil {
		return fault("release", err)
	}
	return nil
}
