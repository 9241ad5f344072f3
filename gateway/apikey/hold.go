package apikey

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/once"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/standing"
)

const (
	// maxBusy bounds the requests of one key under way.
	maxBusy = 16

	// The newest request counts so much in what requests take, a takesWeight-th; nobody is told to wait longer than
	// maxTakes for one to end.
	takesWeight, maxTakes = 8, time.Minute
)

// ErrBusy says that a key has too many requests under way.
var ErrBusy = errors.New("too many requests under way")

// Hold is what a request may spend, in parts that are captured one by one. It must end in
// Done.
type Hold struct {
	Parts    []*Part
	s        *Store
	key      string
	began    time.Time
	once     *once.Request // nil: it may be done as often as it is sent
	ahead    bool          // it is appended (ahead.go)
	reserved func() error  // waits for the reservation, and says whether there is one
	done     sync.Once
}

// Part is what one task of a request may spend. It belongs to one goroutine.
type Part struct {
	hold     *Hold
	n        int // which of its parts, from 0
	ref      string
	amount   essaim.Amount
	captured bool          // or about to be: what fails then stays in doubt
	result   essaim.Digest // where it is kept: Keep

	held   bool                // reserved in memory alone; guarded by Store.mu
	noted  []*durable.Appended // names, where they are appended
	stored func() error        // waits for the capture; nil: there is none
}

// Reserve sets n times amount aside, all or nothing. The reservation is made, and durable,
// when the first Part.Name returns, whose flush of the disk it shares; nothing may be spent
// before.
//
// Errors: CodeInsufficient if the key has less, which Name tells if others have reserved at
// the same time; CodeUnavailable with ErrBusy if it has too many requests under way or in a
// minute, CodeRefused if it was revoked or has expired.
func (s *Store) Reserve(ctx context.Context, id string, amount essaim.Amount, n int) (*Hold, error) {
	lately, err := s.lately(ctx, id)
	k := lately.Key
	daily := err == nil && k.Limits.PerDay > 0
	if daily {
		s.turn.Lock()
		defer s.turn.Unlock()
		k, err = s.Key(ctx, id) // with what was reserved meanwhile, and spent
	}
	now := time.Now()
	if err == nil {
		err = k.usable(now)
	}
	if err == nil {
		err = s.withinDay(ctx, k, amount, n, now)
	}
	if err != nil {
		return nil, err
	}
	poor := essaim.Errorf(essaim.CodeInsufficient, "ask the gateway's operator for a deposit", "the request may cost %d times %s, the key has %s left", n, amount, k.Balance)
	if checkAmount(amount) != nil {
		return nil, poor
	}
	h := &Hold{s: s, key: id, once: once.Of(ctx), ahead: s.serves && !daily}
	request := s.refs(rand.Text())
	for i := range n {
		h.Parts = append(h.Parts, &Part{hold: h, n: i, ref: request + "." + strconv.Itoa(i), amount: amount, held: h.ahead})
	}
	all, ok := amount.Mul(uint64(n))
	if !ok {
		return nil, poor
	}
	if enough, err := s.begin(ctx, h, lately, all, now); !enough {
		return nil, cmp.Or(err, poor)
	}
	if h.ahead {
		return h, nil
	}
	if err := h.enter(amount, poor, daily || all > k.Balance); err != nil { // the next one must see it; or it will be refused
		return nil, err
	}
	return h, nil
}

// enter begins to write the reservations down, and waits for them if that is asked for.
func (h *Hold) enter(amount essaim.Amount, poor error, wait bool) error {
	var stmts []durable.Stmt
	for _, p := range h.Parts {
		stmts = append(stmts, entry(Reserve, balanceOf(h.key), p.account(), amount, p.ref))
	}
	stored := h.s.file.StartPatient(stmts...)
	h.s.entered.Add(1)
	h.reserved = sync.OnceValue(func() error {
		switch _, err := stored(); {
		case durable.IsRefused(err):
			return poor
		case err != nil:
			return fault("reserve", err)
		}
		return nil
	})
	if !wait {
		return nil
	}
	err := h.reserved()
	if err != nil {
		h.s.end(h)
	}
	return err
}

// begin counts a request in, if the key has enough. Its reservations are its own before they are in the file.
func (s *Store) begin(ctx context.Context, h *Hold, k seenKey, all essaim.Amount, now time.Time) (enough bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.busy[h.key]; n >= maxBusy {
		err := essaim.Errorf(essaim.CodeUnavailable, "wait for some to finish", "%d requests of this key: %w", n, ErrBusy)
		return false, standing.Later(err, min(s.takes, maxTakes))
	}
	if err := s.mayCount(k.Key, now); err != nil {
		return false, err
	}
	if !h.ahead {
		s.took(h.key, all)
		delete(s.purses, h.key)
	} else if enough, err := s.take(ctx, k, all); !enough {
		return false, err
	}
	s.count(k.Key, now)
	s.busy[h.key]++
	h.began = now
	for _, p := range h.Parts {
		s.live[p.account()] = struct{}{}
	}
	return true, nil
}

func (s *Store) end(h *Hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes += (time.Since(h.began) - s.takes) / takesWeight
	if s.busy[h.key]--; s.busy[h.key] == 0 {
		delete(s.busy, h.key)
	}
	for _, p := range h.Parts {
		delete(s.live, p.account())
	}
}

// Done gives back what was not captured. Tasks that were named and not captured are from
// then on undecided. After an error the money stays reserved until Undecided finds it.
// Only the first call counts.
func (h *Hold) Done() (err error) {
	h.done.Do(func() {
		defer h.s.end(h)
		if h.ahead {
			err = h.doneAhead()
			return
		}
		var stmts []durable.Stmt
		for _, p := range h.Parts {
			if !p.captured {
				stmts = append(stmts, release(h.key, p.ref))
			}
		}
		if len(stmts) == 0 {
			return
		}
		if _, err = h.s.file.Write(stmts...); err != nil {
			err = fault("release", err)
		}
	})
	return err
}

func (p *Part) account() string { return reservedOf(p.hold.key, p.ref) }

// Name notes the task that is about to be handed in for this part, so that its receipt is
// known to be this part's whatever happens. When it returns, the reservation and the name
// are durable.
//
// Errors: CodeInsufficient if there is no reservation since the key has less.
func (p *Part) Name(task essaim.Digest, session essaim.SessionID) error {
	if p.hold.ahead {
		return p.nameAhead(task, session)
	}
	noted := p.hold.s.file.Start(append(p.onceNamed(task), durable.Stmt{ // behind the reservation, and only if there is one
		Query: `INSERT INTO tasks (task, session, account) SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM entries WHERE kind = ? AND ref = ?)`,
		Args:  []any{task[:], int64(session), p.account(), string(Reserve), p.ref},
	})...)
	if err := p.hold.reserved(); err != nil {
		return err
	}
	if _, err := noted(); err != nil {
		return fault("note a task", err)
	}
	return nil
}

// Capture enters the price of a task's receipt, at most what was reserved, gives the rest
// back, and keeps the session as it is now (client.Session.Save; nil: as it was kept). Capturing a task again
// does nothing. Nobody needs to wait for it if the task was named and its receipt is durable
// elsewhere: if the program dies before the entry is in the file, the task is in doubt and
// its receipt decides, which comes to the same.
func (p *Part) Capture(task essaim.Digest, session essaim.SessionID, price essaim.Amount, saved []byte) (stored func() error) {
	s := p.hold.s
	more := p.onceCaptured(task)
	if saved != nil {
		more = append(more, keepSession(session, saved))
	}
	switch {
	case !p.hold.ahead || price > p.amount: // which the rows refuse
	case p.captured:
		return p.stored
	default:
		p.captured = true
		p.stored = p.captureAhead(task, session, price, more)
		return p.stored
	}
	written := s.file.StartPatient(captured(p.hold.key, p.ref, task, session, price, more...)...)
	s.entered.Add(1)
	p.captured = true
	return func() error {
		_, err := written()
		return s.whenCaptured(context.Background(), task, err)
	}
}

func (s *Store) whenCaptured(ctx context.Context, task essaim.Digest, err error) error {
	if durable.IsDuplicate(err) {
		if done, missed := s.isCaptured(ctx, task); done && missed == nil {
			return nil
		}
	}
	if err != nil {
		return fault("capture", err)
	}
	return nil
}

// captured is what a capture writes, all or nothing.
func captured(key, ref string, task essaim.Digest, session essaim.SessionID, price essaim.Amount, more ...durable.Stmt) []durable.Stmt {
	return append([]durable.Stmt{priced(Capture, reservedOf(key, ref), session, price, ref, task), release(key, ref), forget(task)}, more...)
}

// catchUp waits for what was entered and may not be in the file yet, so that readers of
// the books see it.
func (s *Store) catchUp() error {
	n := s.entered.Load()
	if s.caught.Load() >= n {
		return nil
	}
	if _, err := s.file.Write(); err != nil { // what was started before is in the file then
		return fault("enter what was spent", err)
	}
	for have := s.caught.Load(); have < n && !s.caught.CompareAndSwap(have, n); have = s.caught.Load() {
	}
	return nil
}

// Doubt is a task that a request has named and that is neither captured nor known to have
// failed: the request has ended without a picture, or the program has.
type Doubt struct {
	Task    essaim.Digest
	Session essaim.SessionID
	account string
}

// Undecided lists the tasks in doubt of requests that are over, and releases what such
// requests had reserved without naming a task. The coordinator knows what became of each:
// Paid or Unpaid enters it.
func (s *Store) Undecided(ctx context.Context) ([]Doubt, error) {
	if err := s.catchUp(); err != nil {
		return nil, err
	}
	query, args := s.undone(`SELECT task, session, account FROM tasks WHERE account > ''`)
	list, err := s.doubts(ctx, query+` ORDER BY session, task`, args...)
	if err != nil {
		return nil, err
	}
	var out []Doubt
	s.mu.Lock()
	for _, d := range list {
		if _, live := s.live[d.account]; !live {
			out = append(out, d)
		}
	}
	s.mu.Unlock()
	return out, s.releaseUnnamed(ctx)
}

func (s *Store) doubts(ctx context.Context, query string, args ...any) ([]Doubt, error) {
	rows, err := s.file.Query(ctx, query, args...)
	if err != nil {
		return nil, fault("read the tasks in doubt", err)
	}
	defer rows.Close()
	var out []Doubt
	for rows.Next() {
		var d Doubt
		var task []byte
		var session int64
		if err := rows.Scan(&task, &session, &d.account); err != nil {
			return nil, fault("read the tasks in doubt", err)
		}
		copy(d.Task[:], task)
		d.Session = essaim.SessionID(session)
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fault("read the tasks in doubt", err)
	}
	return out, nil
}

// releaseUnnamed releases the reservations of requests that are over, but for those with
// a task in doubt. One that was not named when the rows were read and is not live after that never will be.
func (s *Store) releaseUnnamed(ctx context.Context) error {
	query, args := s.undone(`SELECT account FROM balances AS b WHERE account > 'reserved/' AND account < 'reserved0'
		AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.account = b.account)`)
	rows, err := s.file.Query(ctx, query, args...)
	if err != nil {
		return fault("read the reservations", err)
	}
	defer rows.Close()
	var stmts []durable.Stmt
	for rows.Next() {
		var account string
		if err := rows.Scan(&account); err != nil {
			return fault("read the reservations", err)
		}
		if !s.isLive(account) {
			stmts = append(stmts, release(parts(account)))
		}
	}
	if err := rows.Err(); err != nil || len(stmts) == 0 {
		return err
	}
	if _, err := s.file.Write(stmts...); err != nil {
		return fault("release", err)
	}
	return nil
}

func (s *Store) isLive(account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, live := s.live[account]
	return live
}

// parts takes the account of a reservation apart.
func parts(account string) (key, ref string) {
	key, ref, _ = strings.Cut(strings.TrimPrefix(account, "reserved/"), "/")
	return key, ref
}

// Paid enters the receipt of a task in doubt. A reservation that a crash has left pays it,
// since the work was done; if the request was told that it failed, and has its money back,
// the house does.
func (s *Store) Paid(ctx context.Context, d Doubt, price essaim.Amount) error {
	var left int64
	err := s.file.QueryRow(ctx, `SELECT COALESCE((SELECT amount FROM balances WHERE account = ?), -1)`, d.account).Scan(&left)
	if err != nil {
		return fault("look up a reservation", err)
	}
	key, ref := parts(d.account)
	if left >= 0 && essaim.Amount(left) >= price {
		_, err := s.file.Write(captured(key, ref, d.Task, d.Session, price)...)
		return s.whenCaptured(ctx, d.Task, err)
	}
	_, err = s.file.Write(priced(Cover, house, d.Session, price, d.Task.String(), d.Task), release(key, ref), forget(d.Task))
	if durable.IsDuplicate(err) {
		_, err = s.file.Write(forget(d.Task)) // it is in the books
	}
	if err != nil {
		return fault("cover", err)
	}
	return nil
}

// Unpaid says that a task in doubt has no receipt and never will: its reservation, if a
// crash has left one, is released.
func (s *Store) Unpaid(d Doubt) error {
	key, ref := parts(d.account)
	if _, err := s.file.Write(forget(d.Task), release(key, ref)); err != nil {
		return fault("release", err)
	}
	return nil
}

// forget ends the doubt about a task.
func forget(task essaim.Digest) durable.Stmt {
	return durable.Stmt{Query: `DELETE FROM tasks WHERE task = ?`, Args: []any{task[:]}}
}
