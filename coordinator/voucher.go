package coordinator

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/receiptlog"
)

const (
	// voucherPause is the least time between two looks for what a miner is to be shown.
	voucherPause = 200 * time.Millisecond

	// maxVouchers bounds how many go with one answer; the next has the others.
	maxVouchers = 64
)

// Acknowledge takes a payer's voucher for a session that is left open. The highest of a
// session is used in its settlement and shown to the miners whom the session owes. A lower
// one than was seen before changes nothing.
//
// Errors: CodeBadInput or CodeRefused for a voucher that does not hold, those of the
// ledger if the session is not known here yet.
func (c *Coordinator) Acknowledge(ctx context.Context, voucher []byte) error {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	v, signer, err := essaim.OpenVoucher(voucher)
	if err != nil {
		return err
	}
	e, err := c.escrow(ctx, v.Session)
	if err != nil {
		return err
	}
	newer, err := c.vouch(ctx, e, v, signer, voucher)
	if err != nil || newer == nil {
		return err
	}
	if err := c.store.PutVoucher(*newer); err != nil {
		return err
	}
	i, err := c.store.Intent(ctx, v.Session)
	if err != nil || i == nil || i.Tx == nil {
		return err
	}
	return c.showLedger(ctx, v.Session, voucher)
}

// showLedger shows a voucher that came too late for the settlement.
func (c *Coordinator) showLedger(ctx context.Context, id essaim.SessionID, voucher []byte) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	_, err := c.cfg.Ledger.ShowVoucher(ctx, id, voucher)
	if err != nil && essaim.CodeOf(err) == essaim.CodeConflict {
		return nil // nothing waits for it
	}
	return err
}

// enclosed takes the voucher that came with something else for a session. It returns it if
// it is news, for the log; nil is none.
func (c *Coordinator) enclosed(ctx context.Context, e *escrow, signed []byte) (*receiptlog.Voucher, error) {
	if len(signed) == 0 {
		return nil, nil
	}
	v, signer, err := essaim.OpenVoucher(signed)
	if err != nil {
		return nil, err
	}
	return c.vouch(ctx, e, v, signer, signed)
}

// vouch checks a voucher against its session and counts it if it is the highest.
func (c *Coordinator) vouch(ctx context.Context, e *escrow, v essaim.Voucher, signer essaim.NodeKey, signed []byte) (*receiptlog.Voucher, error) {
	refuse := func(format string, args ...any) (*receiptlog.Voucher, error) {
		return nil, essaim.Errorf(essaim.CodeRefused, "sign vouchers for this session with its own key", "voucher: "+format, args...)
	}
	switch {
	case v.ChainID != c.cfg.ChainID:
		return refuse("for chain %q, this coordinator works for %q", v.ChainID, c.cfg.ChainID)
	case v.Coordinator != c.key:
		return refuse("for coordinator %s, this is %s", v.Coordinator.Short(), c.key.Short())
	case v.Session != e.session.ID:
		return refuse("for session %s, want %s", v.Session, e.session.ID)
	case signer != e.session.SessionKey:
		return refuse("signed by %s, which may not speak for session %s", signer.Short(), v.Session)
	}
	if most := c.book.most(e); v.Amount > most {
		c.reask(ctx, e)
		if most = c.book.most(e); v.Amount > most {
			return refuse("over %d uaim, session %s has a deposit of %d", v.Amount, v.Session, most)
		}
	}
	n := receiptlog.Voucher{Session: v.Session, Amount: v.Amount, Signed: signed}
	if !c.book.vouch(e, n) {
		return nil, nil
	}
	return &n, nil
}

// most is the deposit as it is known.
func (b *book) most(e *escrow) essaim.Amount {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.deposit
}

// vouch keeps the voucher if it is the session's highest.
func (b *book) vouch(e *escrow, v receiptlog.Voucher) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v.Amount <= e.voucher.Amount {
		return false
	}
	e.voucher = v
	return true
}

// voucher is the session's highest.
func (b *book) voucher(e *escrow) receiptlog.Voucher {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.voucher
}

// voucherFor is what a session is settled with: the highest voucher, which is in the log
// from now on; nil: there is none.
func (c *Coordinator) voucherFor(ctx context.Context, id essaim.SessionID) ([]byte, error) {
	if e := c.book.find(id); e != nil {
		if v := c.book.voucher(e); v.Amount > 0 {
			return v.Signed, c.store.PutVoucher(v)
		}
	}
	v, err := c.store.Voucher(ctx, id)
	return v.Signed, err
}

// show lists the highest vouchers of the sessions that owe a miner, except what it was
// shown on this connection: with them it is paid even if this coordinator is no more. Of
// the miner's own goroutine.
func (c *Coordinator) show(m *miner) (out [][]byte) {
	if time.Since(m.lookedAt) < voucherPause {
		return nil
	}
	m.lookedAt = time.Now()
	shown := map[essaim.SessionID]essaim.Amount{}
	for _, id := range c.owing(m.key) {
		e := c.book.find(id)
		if e == nil {
			continue
		}
		shown[id] = m.shown[id]
		if v := c.book.voucher(e); v.Amount > shown[id] && len(out) < maxVouchers {
			out = append(out, v.Signed)
			shown[id] = v.Amount
		}
	}
	m.shown = shown // without the sessions that are over
	return out
}

// owing lists the sessions with work by a miner that is not settled.
func (c *Coordinator) owing(m essaim.NodeKey) []essaim.SessionID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exposed[m].Owing()
}
