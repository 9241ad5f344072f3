package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/receipts"
)

const (
	settleTimeout  = time.Minute // for the ledger to commit a settlement
	settleParallel = 8           // sessions at the same time
	lapsePause     = time.Minute // between looks at a session that came to its expiry
)

// Close settles a session now: its tasks under way get Config.CloseGrace to finish,
// the delivered ones are paid, the rest of the deposit goes back. signedClose is a
// CloseRequest by the session's key. Closing again returns the same.
//
// Errors: CodeRefused for another key, CodeExpired if the ledger has given the deposit
// back already, CodeUnavailable if the ledger does not answer: the session is then
// settled as soon as it does.
func (c *Coordinator) Close(ctx context.Context, signedClose []byte) (essaim.Settled, error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return essaim.Settled{}, err
	}
	defer leave()
	req, signer, err := essaim.OpenClose(signedClose)
	if err != nil {
		return essaim.Settled{}, err
	}
	if req.ChainID != c.cfg.ChainID {
		return essaim.Settled{}, essaim.Errorf(essaim.CodeRefused, "check the coordinator's address", "the close request is for chain %q, this coordinator works for %q", req.ChainID, c.cfg.ChainID)
	}
	e, err := c.escrow(ctx, req.Session)
	if err != nil {
		return essaim.Settled{}, err
	}
	if signer != e.session.SessionKey {
		return essaim.Settled{}, essaim.Errorf(essaim.CodeRefused, "sign with the key that the session was opened with", "key %s may not close session %s", signer.Short(), req.Session)
	}
	voucher, err := c.enclosed(ctx, e, req.Voucher)
	if err != nil {
		return essaim.Settled{}, err
	}
	if voucher != nil {
		if err := c.store.PutVoucher(*voucher); err != nil {
			return essaim.Settled{}, err
		}
	}
	return c.settle(ctx, e, "closed by the payer")
}

// settle lets no more tasks into a session, waits for those under way and settles
// it. Only one call at a time does so for a session.
func (c *Coordinator) settle(ctx context.Context, e *escrow, reason string) (essaim.Settled, error) {
	id := e.session.ID
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return essaim.Settled{}, context.Cause(ctx)
	}
	quiet := c.book.close(e)
	grace := time.AfterFunc(c.cfg.CloseGrace, func() { c.cancelTasks(id) })
	defer grace.Stop()
	select {
	case <-quiet:
	case <-ctx.Done():
		return essaim.Settled{}, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	s, err := c.settleQuiet(ctx, id)
	if err != nil {
		pause := 5 * c.cfg.Poll
		if essaim.CodeOf(err) == essaim.CodeExpired {
			pause = max(pause, lapsePause)
		}
		c.book.failed(e, time.Now().Add(pause))
		c.log.Warn("session not settled", "session", id.String(), "why", reason, "err", err)
		return s, err
	}
	c.drop(id)
	return s, nil
}

func (c *Coordinator) cancelTasks(id essaim.SessionID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jobs {
		if j.task.Session == id {
			j.cancel(errClosing)
		}
	}
}

// settleQuiet settles a session that has no task under way. It may be interrupted
// between any two steps and called again: what was decided is in the log before it
// is sent, and the ledger is asked before it is sent again.
func (c *Coordinator) settleQuiet(ctx context.Context, id essaim.SessionID) (essaim.Settled, error) {
	i, err := c.store.Intent(ctx, id)
	if err != nil {
		return essaim.Settled{}, err
	}
	if i != nil && i.Tx != nil {
		return i.Settled(), nil
	}
	s, err := c.cfg.Ledger.Session(ctx, id)
	if err != nil {
		return essaim.Settled{}, fmt.Errorf("session %s: %w", id, err)
	}
	switch s.State {
	case essaim.SessionSettled:
		// The transaction was committed and this program ended before it knew.
		tx, err := c.cfg.Ledger.SettledBy(ctx, id)
		if err != nil { // paid all the same
			c.log.Warn("the transaction of a settlement is not known", "session", id.String(), "err", err)
			tx = essaim.Tx{}
		}
		return c.settledAs(id, i, tx)
	case essaim.SessionLapsed:
		return essaim.Settled{}, essaim.Errorf(essaim.CodeExpired, "its miners can claim what they were promised", "session %s came to its expiry before it was settled", id)
	case essaim.SessionExpired:
		if err := c.store.Expired(id); err != nil {
			return essaim.Settled{}, err
		}
		c.drop(id)
		c.exposeSettled(id, 0)
		return essaim.Settled{}, essaim.Errorf(essaim.CodeExpired, "the whole deposit was returned", "session %s expired before it was settled", id)
	}
	if i == nil {
		if i, err = c.decide(ctx, s); err != nil {
			return essaim.Settled{}, err
		}
	}
	voucher, err := c.voucherFor(ctx, id)
	if err != nil {
		return essaim.Settled{}, err
	}
	tx, err := c.cfg.Ledger.Settle(ctx, i.Settlement, i.Signature, voucher)
	if err != nil {
		return essaim.Settled{}, essaim.Errorf(essaim.CodeUnavailable, "it is tried again until it succeeds", "settle session %s: %w", id, err)
	}
	out, err := c.settledAs(id, i, tx)
	if err != nil {
		return out, err
	}
	// One that came while the ledger was asked is in the log by now, or comes after it
	// has seen that the session is settled.
	if late, err := c.voucherFor(ctx, id); err != nil || !bytes.Equal(late, voucher) {
		if err := errors.Join(err, c.showLedger(ctx, id, late)); err != nil {
			c.log.Warn("voucher is not shown", "session", id.String(), "err", err)
		}
	}
	return out, nil
}

// settledAs notes that the ledger has paid. Without an intent the settlement is not
// in this log: it was made with the same key elsewhere.
func (c *Coordinator) settledAs(id essaim.SessionID, i *receiptlog.Intent, tx essaim.Tx) (essaim.Settled, error) {
	if err := c.store.Settled(id, tx); err != nil {
		return essaim.Settled{}, err
	}
	c.exposeSettled(id, cmp.Or(tx.Height, c.height.Load(), 1))
	if i == nil {
		c.drop(id)
		return essaim.Settled{}, essaim.Errorf(essaim.CodeConflict, "look it up on the ledger", "session %s was settled before", id)
	}
	c.settled.Add(1)
	i.Tx = &tx
	c.log.Info("session settled", "session", id.String(), "sum", uint64(i.Settlement.Root.Sum()), "tasks", i.Settlement.Root.Count(), "tx", tx.Hash)
	return i.Settled(), nil
}

// decide builds the settlement of a session's delivered tasks, signs it and puts it
// into the log. The set of its receipts is stored before the settlement names it.
func (c *Coordinator) decide(ctx context.Context, s essaim.Session) (*receiptlog.Intent, error) {
	settlement, err := receipts.SumChecked(ctx, c.cfg.Blobs.Put, c.cfg.ChainID, s.ID, c.store.Leaves(ctx, s.ID))
	if err != nil {
		return nil, fmt.Errorf("own log: %w", err)
	}
	if err := settlement.Check(s.Deposit); err != nil {
		return nil, err
	}
	i := receiptlog.Intent{Settlement: settlement, Signature: ed25519.Sign(c.cfg.Key, settlement.SignBytes(c.key))}
	return &i, c.store.Intend(i)
}

// sweep settles what is due: sessions near their expiry, idle ones, and those that
// were to be settled when an earlier run ended.
func (c *Coordinator) sweep(ctx context.Context) {
	height, err := c.currentHeight()
	if err != nil {
		return // pollHeight has said so
	}
	ids, err := c.store.Unsettled(ctx)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Error("log cannot be read", "err", err)
		}
		return
	}
	others, err := c.shared.Others(ctx)
	if err != nil {
		return // nobody would be sure whose they are
	}
	ids = slices.DeleteFunc(append(ids, c.book.list()...), func(id essaim.SessionID) bool { return others[id] })
	slices.Sort(ids)
	var group errgroup.Group
	group.SetLimit(settleParallel)
	for _, id := range slices.Compact(ids) {
		e, err := c.escrow(ctx, id)
		if err != nil {
			if ctx.Err() == nil {
				c.log.Warn("session cannot be looked at", "session", id.String(), "err", err)
			}
			continue
		}
		reason, due := c.book.due(e, height, c.cfg.ExpiryMargin, c.cfg.IdleSettle, time.Now())
		if !due {
			if c.book.dropUnused(e, height) {
				if err := c.store.LetGo(id); err != nil {
					c.log.Error("log cannot be written", "err", err)
				}
				c.shared.Drop(id)
			}
			continue
		}
		group.Go(func() error {
			_, _ = c.settle(ctx, e, reason) // it logs; the next sweep tries again
			return nil
		})
	}
	_ = group.Wait()
}
