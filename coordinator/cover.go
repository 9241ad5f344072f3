package coordinator

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/cover"
)

// recheckParallel is how many questions about actors the ledger gets at the same time.
const recheckParallel = 8

// expose counts a delivered task against its miner's cover.
func (c *Coordinator) expose(miner essaim.NodeKey, session essaim.SessionID, price essaim.Amount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.exposed[miner]
	if e == nil {
		e = new(cover.Exposure)
		c.exposed[miner] = e
	}
	e.Deliver(session, price)
}

// exposeSettled turns a session's delivered tasks into settled ones, which count until
// the audit window has passed. height 0: the ledger gave the deposit back, they count no
// more.
func (c *Coordinator) exposeSettled(session essaim.SessionID, height int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.height.Load()
	for k, e := range c.exposed {
		e.Settle(session, height)
		if open, recent := e.At(now, c.cover.AuditBlocks); open+recent == 0 {
			delete(c.exposed, k)
		}
	}
}

// loadExposure reads what an earlier run of the program has delivered.
func (c *Coordinator) loadExposure(ctx context.Context) error {
	if c.cfg.Shared == nil { // else each instance counts what it takes
		open, err := c.store.Owed(ctx)
		if err != nil {
			return err
		}
		for _, o := range open {
			c.expose(o.Miner, o.Session, o.Amount)
		}
	}
	settled, err := c.store.LastSettled(ctx)
	if err != nil {
		return err
	}
	for _, i := range settled {
		for _, l := range i.Settlement.Lines {
			c.expose(l.Miner, i.Settlement.Session, l.Amount)
		}
		c.exposeSettled(i.Settlement.Session, i.Tx.Height)
	}
	return nil
}

// portion is what of a stake's cover this instance may use, since it does not see what the others do.
func (c *Coordinator) portion(covered essaim.Amount) essaim.Amount {
	return covered / essaim.Amount(c.shared.Instances())
}

// eligible says why a connected miner may not get a task of a model at this price now; nil: it may.
// c.mu is held.
func (c *Coordinator) eligible(m *miner, model essaim.Digest, price essaim.Amount) error {
	if err := c.quality.LeftOut(m.key, model, time.Now()); err != nil {
		return err
	}
	return cover.Eligible(m.key, m.actor, c.height.Load(), c.cover, cover.Work{Price: price, Promised: m.promised, Exposed: c.exposed[m.key], Instances: c.shared.Instances()})
}

// recheck looks at the ledger's rules and at the registrations of this coordinator and of
// the connected miners again.
func (c *Coordinator) recheck(ctx context.Context) {
	c.recheckSelf(ctx)
	c.mu.Lock()
	connected := make([]*miner, 0, len(c.miners))
	for _, m := range c.miners {
		connected = append(connected, m)
	}
	c.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(recheckParallel)
	for _, m := range connected {
		group.Go(func() error {
			c.recheckMiner(ctx, m)
			return nil
		})
	}
	_ = group.Wait()
	c.keepQuality(ctx)
}

func (c *Coordinator) recheckMiner(ctx context.Context, m *miner) {
	c.known.Forget(m.key)
	a, err := c.registered(ctx, m.key)
	switch {
	case err == nil:
		c.register(ctx, m, a)
	case essaim.CodeOf(err) == essaim.CodeRefused:
		c.log.Info("miner may not stay", "miner", m.key.Short(), "reason", err)
		m.gone(err)
		_ = m.conn.Close()
	}
}

// recheckSelf learns the ledger's rules of cover and what this coordinator's own stake
// covers. A ledger that does not answer leaves what was known.
func (c *Coordinator) recheckSelf(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	rules, err := c.cfg.Ledger.Cover(ctx)
	if err != nil {
		return // pollHeight says so
	}
	limit := cover.Unlimited
	if rules.Coordinator != 0 {
		self, err := c.cfg.Ledger.Actor(ctx, c.key)
		if err != nil {
			return
		}
		limit = c.portion(cover.Covered(self.Stake, rules.Coordinator))
	}
	c.book.setLimit(limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cover != rules {
		c.log.Info("rules of cover", "coordinator's stake covers", uint64(limit), "of a miner's stake", rules.Miner.String(), "audit blocks", rules.AuditBlocks)
	}
	c.cover = rules
}

// keepQuality writes what was measured of the miners since the last time.
func (c *Coordinator) keepQuality(ctx context.Context) {
	c.mu.Lock()
	changed := c.quality.Changed()
	c.mu.Unlock()
	if len(changed) == 0 {
		return
	}
	if err := c.store.PutQuality(changed, time.Now()); err != nil && ctx.Err() == nil {
		c.log.Error("miners' quality cannot be stored", "err", err)
	}
}
