package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/cover"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/receipts"
)

// book keeps the escrows that are in use. It is what keeps Σ(reserved) + Σ(captured)
// within each deposit.
type book struct {
	mu      sync.Mutex
	escrows map[essaim.SessionID]*escrow // guarded by mu
	limit   essaim.Amount                // what may be unsettled in all; guarded by mu
}

// escrow is a session's money as this coordinator may spend it.
type escrow struct {
	session essaim.Session // as the ledger had it when it was loaded
	turn    chan struct{}  // one at a time settles; holds a token while one does

	// Guarded by book.mu.
	deposit   essaim.Amount                      // what the ledger had when it was last asked; grows only
	reserved  essaim.Amount                      // maximum prices of the tasks under way
	captured  essaim.Amount                      // prices of the delivered tasks
	owed      map[receiptlog.Payee]essaim.Amount // the same, by who is paid, or may be: at most essaim.MaxLines
	promises  map[receiptlog.Payee]*promise      // to those who are owed
	tasks     int                                // under way
	voucher   receiptlog.Voucher                 // the payer's highest
	delivered int                                // whose receipts the settlement will count
	closing   bool                               // to be settled: no new tasks
	quiet     chan struct{}                      // closed when closing and no task is under way
	used      time.Time                          // end of the last task, or when the escrow was loaded
	retry     time.Time                          // settling failed: not before then again
	numbers   receiptlog.Numbers                 // of its tasks
}

// fresh reports whether no task of the session has had the number, as far as is known
// without asking the log. It is taken from now on.
func (b *book) fresh(e *escrow, seq uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.numbers.Take(seq)
}

func payee(r essaim.Receipt) receiptlog.Payee {
	return receiptlog.Payee{Miner: r.Miner, Model: r.Model}
}

func newBook() *book {
	return &book{escrows: map[essaim.SessionID]*escrow{}, limit: cover.Unlimited}
}

// setLimit bounds what may be unsettled in all sessions together.
func (b *book) setLimit(a essaim.Amount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = a
}

// unsettled is what all sessions together have reserved and captured. b.mu is held.
func (b *book) unsettled() (sum essaim.Amount) {
	for _, e := range b.escrows {
		sum += e.reserved + e.captured // each within a deposit, so no sum overflows
	}
	return sum
}

// escrow finds a session, or asks the ledger for it and the log for what was spent.
//
// Errors: CodeNotFound if the ledger has no such session, CodeRefused if it is with
// another coordinator, CodeUnavailable if it is with another instance of this one.
func (c *Coordinator) escrow(ctx context.Context, id essaim.SessionID) (*escrow, error) {
	if e := c.book.find(id); e != nil {
		return e, nil
	}
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	s, err := c.cfg.Ledger.Session(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	if s.Coordinator != c.key {
		return nil, essaim.Errorf(essaim.CodeRefused, "open a session with this coordinator", "session %s is with coordinator %s", id, s.Coordinator.Short())
	}
	if err := c.own(ctx, id); err != nil {
		return nil, err
	}
	captured, delivered, err := c.store.Captured(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	owed, err := c.store.Earned(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: own log: %w", id, err)
	}
	intent, err := c.store.Intent(ctx, id)
	if err != nil {
		return nil, err
	}
	voucher, err := c.store.Voucher(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: voucher: %w", id, err)
	}
	newest, err := c.store.Newest(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: own log: %w", id, err)
	}
	e := &escrow{numbers: receiptlog.Above(newest), session: s, voucher: voucher, turn: make(chan struct{}, 1), deposit: s.Deposit, captured: captured, delivered: delivered, owed: owed, promises: map[receiptlog.Payee]*promise{}, used: time.Now()}
	// What was decided for settlement stays decided: nothing is added to it.
	if intent != nil || s.State != essaim.SessionOpen {
		e.closing, e.quiet = true, make(chan struct{})
		close(e.quiet)
	} else if err := c.store.TakeUp(id); err != nil {
		return nil, err
	}
	return c.book.add(id, e), nil
}

func (b *book) find(id essaim.SessionID) *escrow {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.escrows[id]
}

// add keeps e unless another call was faster; it returns the one that is kept.
func (b *book) add(id essaim.SessionID, e *escrow) *escrow {
	b.mu.Lock()
	defer b.mu.Unlock()
	if have := b.escrows[id]; have != nil {
		return have
	}
	b.escrows[id] = e
	return e
}

// drop forgets a session that is settled or expired; the ledger and the log know it.
func (b *book) drop(id essaim.SessionID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.escrows, id)
}

// dropUnused forgets a session that has expired with nothing to be paid: the ledger
// gives its deposit back by itself. It says whether it was one.
func (b *book) dropUnused(e *escrow, height int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	unused := !e.closing && e.tasks == 0 && e.captured == 0 && height >= e.session.Expiry
	if unused {
		delete(b.escrows, e.session.ID)
	}
	return unused
}

// list is a snapshot of the known sessions.
func (b *book) list() []essaim.SessionID {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]essaim.SessionID, 0, len(b.escrows))
	for id := range b.escrows {
		out = append(out, id)
	}
	return out
}

// reserve sets a task's maximum price aside.
//
// Errors: CodeConflict if the session takes no more tasks or payees, CodeUnavailable if it has
// too many under way or the coordinator's stake covers no more, CodeInsufficient if the
// deposit does not suffice.
func (b *book) reserve(e *escrow, most essaim.Amount, maxTasks int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.closing {
		return essaim.Errorf(essaim.CodeConflict, "open a new session", "session %s is being settled or over", e.session.ID)
	}
	if e.tasks+e.delivered >= receipts.MaxLeaves {
		return essaim.Errorf(essaim.CodeConflict, "close it and open a new one", "session %s has had %d tasks, as many as one settlement may count", e.session.ID, e.delivered)
	}
	if len(e.owed) >= essaim.MaxLines {
		return errFull(e)
	}
	if e.tasks >= maxTasks {
		return &essaim.Error{Code: essaim.CodeUnavailable, Hint: "wait until one is finished", Err: errBusy,
			Msg: fmt.Sprintf("session %s has %d tasks under way, at most %d may be", e.session.ID, e.tasks, maxTasks)}
	}
	spent, ok1 := e.reserved.Add(e.captured)
	total, ok2 := spent.Add(most)
	if !ok1 || !ok2 || total > e.deposit {
		left, _ := e.deposit.Sub(spent)
		return essaim.Errorf(essaim.CodeInsufficient, "top the session up, or open one with a larger deposit", "the task may cost %d uaim, session %s has %d left", most, e.session.ID, left)
	}
	if all, ok := b.unsettled().Add(most); b.limit != cover.Unlimited && (!ok || all > b.limit) {
		return essaim.Errorf(essaim.CodeUnavailable, "try again when other sessions are settled", "the coordinator has unsettled work up to what its stake covers, %d uaim", b.limit)
	}
	e.reserved += most
	e.tasks++
	return nil
}

// errBusy is wrapped where a session has too many tasks under way.
var errBusy = errors.New("too many tasks under way")

// errFull refuses work that one settlement cannot pay.
func errFull(e *escrow) error {
	return essaim.Errorf(essaim.CodeConflict, "close it and open a new one", "session %s has work by %d miners and models, as many as one settlement may pay", e.session.ID, essaim.MaxLines)
}

// line makes room in the settlement for a miner's work with a model, before it begins.
//
// Errors: CodeConflict if a settlement cannot name any more.
func (b *book) line(e *escrow, p receiptlog.Payee) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	owed, ok := e.owed[p]
	if !ok && len(e.owed) >= essaim.MaxLines {
		return errFull(e)
	}
	e.owed[p] = owed
	return nil
}

// short reports whether the deposit as it is known does not suffice for a task.
func (b *book) short(e *escrow, most essaim.Amount) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	left, ok := e.deposit.Sub(e.reserved + e.captured) // both within the deposit
	return !ok || most > left
}

// raise notes a deposit that the payer has topped up.
func (b *book) raise(e *escrow, deposit essaim.Amount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.deposit = max(e.deposit, deposit)
}

// refill asks the ledger whether a session that cannot pay for a task was topped up. If
// it cannot be asked, reserve says what is missing.
func (c *Coordinator) refill(ctx context.Context, e *escrow, most essaim.Amount) {
	if c.book.short(e, most) {
		c.reask(ctx, e)
	}
}

// reask asks the ledger for a session's deposit.
func (c *Coordinator) reask(ctx context.Context, e *escrow) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	if s, err := c.cfg.Ledger.Session(ctx, e.session.ID); err == nil && s.State == essaim.SessionOpen {
		c.book.raise(e, s.Deposit)
	}
}

// release ends a reservation; price is what the task came to, 0 if nothing.
func (b *book) release(e *escrow, most, price essaim.Amount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.reserved -= most
	e.captured += price
	e.tasks--
	e.used = time.Now()
	if e.closing && e.tasks == 0 {
		close(e.quiet)
	}
}

// earn counts an accepted receipt, and returns what the session has come to for its
// miner and model, and what they were promised.
func (b *book) earn(e *escrow, r essaim.Receipt) (essaim.Amount, *promise) {
	b.mu.Lock()
	defer b.mu.Unlock()
	who := payee(r)
	e.owed[who] += r.Price
	e.delivered++
	if e.promises[who] == nil {
		e.promises[who] = new(promise)
	}
	return e.owed[who], e.promises[who]
}

// earned is what earn has counted.
func (b *book) earned(e *escrow, r essaim.Receipt) essaim.Amount {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.owed[payee(r)]
}

// close lets no more tasks in; the channel it returns is closed when the last one
// has ended.
func (b *book) close(e *escrow) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !e.closing {
		e.closing, e.quiet = true, make(chan struct{})
		if e.tasks == 0 {
			close(e.quiet)
		}
	}
	return e.quiet
}

// due says whether a session should be settled now, and why.
func (b *book) due(e *escrow, height, margin int64, idle time.Duration, now time.Time) (reason string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case now.Before(e.retry):
		return "", false
	case e.closing:
		return "closing", true
	case e.session.Expiry-height <= margin && (e.captured > 0 || e.tasks > 0):
		return "near its expiry", true
	case e.tasks == 0 && now.Sub(e.used) >= idle && height < e.session.Expiry:
		return "idle", true // also if nothing was delivered: the payer has the deposit back sooner
	}
	return "", false
}

// failed notes that settling did not work, so that it is not tried again at once.
func (b *book) failed(e *escrow, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.retry = until
}

// checkSession says whether a task signed by signer may spend the session's money at
// this height.
//
// Errors: CodeRefused for another key, CodeConflict for a session that is over,
// CodeExpired for one that is about to be.
func (e *escrow) checkSession(signer essaim.NodeKey, height, margin int64) error {
	s := e.session
	switch {
	case signer != s.SessionKey:
		return essaim.Errorf(essaim.CodeRefused, "sign with the key that the session was opened with", "key %s may not spend the money of session %s", signer.Short(), s.ID)
	case s.State != essaim.SessionOpen:
		return essaim.Errorf(essaim.CodeConflict, "open a new session", "session %s is %s", s.ID, s.State)
	case s.Expiry-height <= margin:
		return essaim.Errorf(essaim.CodeExpired, "open a new session", "session %s expires at height %d, the ledger is at %d", s.ID, s.Expiry, height)
	}
	return nil
}
