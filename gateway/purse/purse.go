// Package purse holds the sessions that pay for the users of a gateway's API keys: it
// hands out the one that pays, replaces it when it is old or used up, settles what was
// replaced, and takes up what an earlier run has left open. It stands apart from the
// gateway because no dialect has a say in any of this.
//
// The package must not speak HTTP or a dialect, and must not know who spends: limits and
// the books are package apikey, in whose file open sessions are merely kept.
package purse

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
)

// Payer opens the sessions that pay for API-key users. Implementations are safe for
// concurrent use.
type Payer interface {
	// OpenSession opens a session with a deposit that lasts for many pictures.
	OpenSession(ctx context.Context) (*client.Session, error)

	// RestoreSession continues one that an earlier run has saved, as client.Restore does.
	RestoreSession(ctx context.Context, saved []byte) (*client.Session, error)
}

// Roll says when a session is replaced by a new one and settled, besides when its
// deposit or half of its blocks are used up. Zero fields have a default.
type Roll struct {
	Tasks int           // after so many pictures; 0: 1000
	Age   time.Duration // after so long; 0: one hour
}

const (
	// period is how often sessions are looked after.
	period = 5 * time.Second

	// maxFailures is how often settling a session is tried before it is left to the
	// coordinator, which settles it before it expires.
	maxFailures = 10

	// closeTime is how long Run goes on settling when its context has ended.
	closeTime = 30 * time.Second
)

// Purse hands out the session that pays, and settles those that are used up. At most
// one session is current; a retired one is closed once nothing is drawn in it. Open
// sessions are kept in the file of the API keys, so that a crash loses none. Make it with
// New; it is safe for concurrent use.
type Purse struct {
	payer Payer
	kept  *apikey.Store // nil: a crash leaves the sessions to the coordinator
	roll  Roll
	log   *slog.Logger
	turn  chan struct{} // holds a token while a session is being opened
	wake  chan struct{} // tells Run that something was retired or became idle

	mu      sync.Mutex
	current *Funded // nil: none
	retired []*Funded
	stopped bool
}

// Funded is a session and what is going on in it. Acquire hands it out.
type Funded struct {
	*client.Session
	opened   time.Time
	tasks    int
	drawing  int
	reserved essaim.Amount
	failures int          // to settle; of Run's goroutine
	kept     atomic.Int64 // when Saved last returned something, Unix milliseconds
}

// keepEvery is how often a session that pays is kept anew. One that is taken up without what it paid since then is as good: its
// numbers go on with the clock, and what it has left the coordinator knows.
const keepEvery = 250 * time.Millisecond

// Saved is the session as it is to be kept now; nil: it was kept a moment ago.
func (f *Funded) Saved() []byte {
	last, now := f.kept.Load(), time.Now().UnixMilli()
	if now-last < keepEvery.Milliseconds() || !f.kept.CompareAndSwap(last, now) {
		return nil
	}
	return f.Save()
}

// New makes a purse. It opens nothing and asks nobody. kept may be nil and else must outlive
// it; log is needed.
func New(payer Payer, kept *apikey.Store, roll Roll, log *slog.Logger) *Purse {
	if roll.Tasks == 0 {
		roll.Tasks = 1000
	}
	if roll.Age == 0 {
		roll.Age = time.Hour
	}
	return &Purse{payer: payer, kept: kept, roll: roll, log: log, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

// Acquire returns a session with need to spare, which is reserved until Release.
//
// Errors: CodeUnavailable when the gateway is stopping, CodeInsufficient when a new session
// cannot pay need, else the payer's.
func (p *Purse) Acquire(ctx context.Context, need essaim.Amount) (*Funded, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f, err := p.take(need); f != nil || err != nil {
		return f, err
	}
	s, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.current = s
	if p.stopped {
		p.retire()
	}
	p.mu.Unlock()
	f, err := p.take(need)
	if f == nil && err == nil {
		return nil, essaim.Errorf(essaim.CodeInsufficient, "let the payer deposit more", "a new session of %s cannot pay %s", s.Record().Deposit, need)
	}
	return f, err
}

// open opens a session, and keeps it before it is used.
func (p *Purse) open(ctx context.Context) (*Funded, error) {
	s, err := p.payer.OpenSession(ctx)
	if err != nil {
		return nil, err
	}
	f := &Funded{Session: s, opened: time.Now()}
	if p.kept != nil {
		err = p.kept.AddSession(apikey.Session{ID: s.Record().ID, Opened: f.opened, Saved: s.Save()})
	}
	return f, err
}

// Restore takes up the sessions that an earlier run has left open, or another instance that is gone, and has them settled, but for the newest if
// one may go on. One that is over by now is forgotten.
func (p *Purse) Restore(ctx context.Context, goOn bool) {
	if p.kept == nil {
		return
	}
	list, err := p.kept.OpenSessions(ctx)
	if err != nil {
		p.log.Error("saved sessions cannot be read", "err", err)
	}
	for _, x := range slices.Backward(list) {
		s, err := p.payer.RestoreSession(ctx, x.Saved)
		switch code := essaim.CodeOf(err); {
		case err == nil:
			p.log.Info("session taken up", "session", x.ID)
			p.takeUp(&Funded{Session: s, opened: x.Opened}, goOn)
		case code == essaim.CodeConflict || code == essaim.CodeNotFound:
			p.forget(x.ID)
		default:
			p.log.Error("saved session cannot be taken up; the coordinator settles it before it expires", "session", x.ID, "err", err)
		}
	}
}

// takeUp has a session pay if it may and none does, and settled else.
func (p *Purse) takeUp(f *Funded, mayPay bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if mayPay && p.current == nil && !p.stopped {
		p.current = f
		return
	}
	p.retired = append(p.retired, f)
	p.nudge()
}

// forget drops the key of a session that is over.
func (p *Purse) forget(id essaim.SessionID) {
	if p.kept == nil {
		return
	}
	if err := p.kept.CloseSession(id); err != nil {
		p.log.Error("a closed session is still kept", "session", id, "err", err)
	}
}

// take reserves need in the current session; nil if there is none that has it.
func (p *Purse) take(need essaim.Amount) (*Funded, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.current
	switch {
	case p.stopped:
		return nil, essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "the gateway is stopping")
	case f == nil:
		return nil, nil
	case f.tasks >= p.roll.Tasks || time.Since(f.opened) >= p.roll.Age || f.spare() < need:
		p.retire()
		return nil, nil
	}
	f.tasks++
	f.drawing++
	f.reserved += need
	return f, nil
}

// spare is what nobody has spent or reserved.
func (f *Funded) spare() essaim.Amount {
	rest, ok := f.Record().Deposit.Sub(f.Spent() + f.reserved)
	if !ok {
		return 0
	}
	return rest
}

// Release gives back what Acquire has reserved. over says that the session is of no
// more use.
func (p *Purse) Release(f *Funded, need essaim.Amount, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.drawing--
	f.reserved -= need
	if over && p.current == f {
		p.retire()
	}
	p.nudge()
}

// retire takes the current session out of use. The lock is held.
func (p *Purse) retire() {
	p.retired = append(p.retired, p.current)
	p.current = nil
	p.nudge()
}

func (p *Purse) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run looks after the sessions until the context ends, then settles all of them, for at most
// half a minute, and returns.
func (p *Purse) Run(ctx context.Context) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-p.wake:
		case <-tick.C:
			p.retireAged(ctx)
		case <-ctx.Done():
			p.finish(context.WithoutCancel(ctx))
			return
		}
		p.closeIdle(ctx)
	}
}

// finish stops handing out and settles what is left, as far as time allows.
func (p *Purse) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	p.mu.Lock()
	p.stopped = true
	if p.current != nil {
		p.retire()
	}
	p.mu.Unlock()
	tick := time.NewTicker(period)
	defer tick.Stop()
	for p.closeIdle(ctx) > 0 {
		select {
		case <-p.wake:
		case <-tick.C:
		case <-ctx.Done():
			p.log.Warn("sessions were left open; the coordinator settles them before they expire")
			return
		}
	}
}

// retireAged retires a session that is too old, so that money does not lie in it
// unused, or whose blocks are half used up, so that it never expires in use.
func (p *Purse) retireAged(ctx context.Context) {
	p.mu.Lock()
	f := p.current
	p.mu.Unlock()
	if f == nil {
		return
	}
	record := f.Record()
	left, err := f.BlocksLeft(ctx)
	if err != nil {
		p.log.Warn("cannot ask the ledger's height", "session", record.ID, "err", err)
		left = record.Expiry
	}
	if time.Since(f.opened) < p.roll.Age && left > (record.Expiry-record.Opened)/2 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == f {
		p.retire()
	}
}

// closeIdle settles the retired sessions in which nothing is drawn and returns how
// many are left. Those that fail for now are tried again at the next call.
func (p *Purse) closeIdle(ctx context.Context) int {
	p.mu.Lock()
	var idle, rest []*Funded
	for _, f := range p.retired {
		if f.drawing == 0 {
			idle = append(idle, f)
		} else {
			rest = append(rest, f)
		}
	}
	p.retired = rest
	p.mu.Unlock()
	for _, f := range idle {
		id := f.Record().ID
		settled, err := f.Close(ctx)
		if err == nil {
			p.log.Info("session settled", "session", id, "tasks", settled.Root.Count(), "uaim", uint64(settled.Root.Sum()), "tx", settled.Tx.Hash)
			p.forget(id)
			continue
		}
		f.failures++
		p.log.Error("session was not settled", "session", id, "err", err, "failures", f.failures)
		code := essaim.CodeOf(err)
		if (code == essaim.CodeUnavailable || code == essaim.CodeInternal) && f.failures < maxFailures {
			p.mu.Lock()
			p.retired = append(p.retired, f)
			p.mu.Unlock()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.retired)
}
