package miner

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/essaim/essaim"
)

// Ledger is what a miner asks of the chain. Implementations are safe for concurrent use.
//
// Errors: CodeNotFound if the ledger answered that there is no such thing; any other
// code is taken as no answer.
type Ledger interface {
	// Session returns a session, open or not.
	Session(ctx context.Context, id essaim.SessionID) (essaim.Session, error)

	// Line is what a settled session says that a miner earned with a model; its amount
	// is 0 if the settlement does not name it.
	Line(ctx context.Context, id essaim.SessionID, miner essaim.NodeKey, model essaim.Digest) (essaim.Line, error)

	// Waiting is how much of a settled session is paid later, if nobody shows until then
	// that it is not due.
	Waiting(ctx context.Context, id essaim.SessionID) (essaim.Amount, error)

	// Record is how a coordinator has paid so far.
	Record(ctx context.Context, coordinator essaim.NodeKey) (essaim.Record, error)

	// ClaimUnpaid shows the ledger a promise that was not kept, and returns when the
	// ledger has decided.
	ClaimUnpaid(ctx context.Context, ack []byte) (essaim.Tx, error)

	// ClaimLapsed shows the ledger a promise of a session that its coordinator did not
	// settle in time, with what is known of the payer's vouchers; nil: nothing.
	//
	// Errors: CodeConflict if as much was shown before.
	ClaimLapsed(ctx context.Context, ack, voucher []byte) (essaim.Tx, error)
}

// ledgerTimeout bounds one question to the ledger.
const ledgerTimeout = 20 * time.Second

// claimPause is how many looks at the ledger are left out after a claim that failed.
const claimPause = 30

// trust decides whether a coordinator is served: it is not blocked here, and nobody has
// proven on the ledger that it left work unpaid. A ledger that does not answer blocks
// nobody.
//
// Errors: CodeRefused, saying why.
func (m *Miner) trust(ctx context.Context, k essaim.NodeKey) error {
	if err := m.notBlocked(ctx, k); err != nil {
		return err
	}
	if m.cfg.Ledger == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	r, err := m.cfg.Ledger.Record(ctx, k)
	if err != nil {
		m.log.Warn("coordinator's record cannot be read", "coordinator", k.Short(), "err", err)
		return nil
	}
	m.log.Info("coordinator's record", "coordinator", k.Short(), "opened", r.Opened, "settled", r.Settled, "expired", r.Expired,
		"paid", uint64(r.Paid), "unpaid", r.Unpaid, "slashes", r.Slashes)
	if r.Unpaid > 0 && !slices.Contains(m.cfg.Trusted, k) {
		return essaim.Errorf(essaim.CodeRefused, "serve another coordinator, or name this one as trusted",
			"coordinator %s left acknowledged work unpaid, %d times", k.Short(), r.Unpaid)
	}
	return nil
}

func (m *Miner) notBlocked(ctx context.Context, k essaim.NodeKey) error {
	if slices.Contains(m.cfg.Blocked, k) {
		return essaim.Errorf(essaim.CodeRefused, "take it off the list to serve it", "coordinator %s is blocked by the configuration", k.Short())
	}
	reason, blocked, err := m.receipts.blocked(ctx, k)
	if err == nil && blocked {
		err = essaim.Errorf(essaim.CodeRefused, "unblock it to serve it", "coordinator %s is blocked: %s", k.Short(), reason)
	}
	return err
}

// watch looks after the coordinators' promises until ctx ends.
func (m *Miner) watch(ctx context.Context) {
	tick := time.NewTicker(m.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := m.audit(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("promises cannot be looked after", "err", err)
		}
	}
}

// audit compares promises with what the ledger has paid, and claims those that were not
// kept.
func (m *Miner) audit(ctx context.Context) error {
	for _, o := range []Outcome{OutcomeOpen, OutcomeLapsed, OutcomeUnpaid} {
		list, err := m.receipts.waiting(ctx, o)
		if err != nil {
			return err
		}
		for _, p := range list {
			if err := m.auditOne(ctx, p); err != nil && ctx.Err() == nil {
				m.log.Warn("promise cannot be compared with the ledger", "session", p.Session.String(), "err", err)
			}
		}
	}
	return nil
}

func (m *Miner) auditOne(ctx context.Context, p Promise) error {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	o, err := Kept(ctx, m.cfg.Ledger, m.key, p)
	if err != nil || o == OutcomeOpen {
		return err
	}
	now, err := m.receipts.promise(ctx, p.Coordinator, p.Session, p.Model)
	if err != nil || !bytes.Equal(now.Ack, p.Ack) { // more was promised meanwhile: the next look is at that
		return err
	}
	if o == OutcomeLapsed {
		return m.claimLapsed(ctx, p)
	}
	if o == OutcomeUnpaid {
		if p.Outcome != OutcomeUnpaid {
			m.unpaid.Add(1)
			m.log.Warn("a promise was not kept", "coordinator", p.Coordinator.Short(), "session", p.Session.String(), "promised", uint64(p.Total))
			if err := m.receipts.block(p.Coordinator, "it did not pay what it had promised in session "+p.Session.String()); err != nil {
				return err
			}
		}
		if time.Now().Before(m.claimAfter) {
			return m.receipts.note(p, o)
		}
		tx, err := m.cfg.Ledger.ClaimUnpaid(ctx, p.Ack)
		switch {
		case err == nil:
			o = OutcomeClaimed
			m.log.Info("the ledger has upheld the claim", "session", p.Session.String(), "tx", tx.Hash)
		case essaim.CodeOf(err) == essaim.CodeExpired:
			o = OutcomeLate
		default:
			m.claimAfter = time.Now().Add(claimPause * m.cfg.Poll)
			m.log.Warn("promise is not claimed", "session", p.Session.String(), "err", err)
		}
	}
	return m.receipts.note(p, o)
}

// claimLapsed shows a promise of a session that its coordinator did not settle, once.
func (m *Miner) claimLapsed(ctx context.Context, p Promise) error {
	if p.Outcome == OutcomeLapsed {
		return nil
	}
	amount, voucher, err := m.receipts.voucher(ctx, p.Coordinator, p.Session)
	if err != nil {
		return err
	}
	tx, err := m.cfg.Ledger.ClaimLapsed(ctx, p.Ack, voucher)
	if err != nil && essaim.CodeOf(err) != essaim.CodeConflict {
		return err
	}
	m.log.Warn("a session has lapsed, the promise was shown", "coordinator", p.Coordinator.Short(), "session", p.Session.String(),
		"promised", uint64(p.Total), "acknowledged by the payer", uint64(amount), "tx", tx.Hash)
	return m.receipts.note(p, OutcomeLapsed)
}

// Kept compares a promise with the ledger: OutcomeOpen while the session is not over, or
// part of it waits.
func Kept(ctx context.Context, l Ledger, miner essaim.NodeKey, p Promise) (Outcome, error) {
	s, err := l.Session(ctx, p.Session)
	if err != nil {
		return OutcomeOpen, err
	}
	switch s.State {
	case essaim.SessionLapsed:
		return OutcomeLapsed, nil
	case essaim.SessionSettled:
		if waits, err := l.Waiting(ctx, p.Session); err != nil || waits > 0 {
			return OutcomeOpen, err
		}
		fallthrough
	case essaim.SessionExpired:
		line, err := l.Line(ctx, p.Session, miner, p.Model)
		switch {
		case essaim.CodeOf(err) == essaim.CodeExpired:
			return OutcomeLate, nil
		case err != nil:
			return OutcomeOpen, err
		case line.Amount < p.Total:
			return OutcomeUnpaid, nil
		}
		return OutcomePaid, nil
	}
	return OutcomeOpen, nil
}
