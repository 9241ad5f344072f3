package coordinator

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/cover"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/verify/trust"
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
	open, err := c.store.Owed(ctx)
	if err != nil {
		return err
	}
	for _, o := range open {
		c.expose(o.Miner, o.Session, o.Amount)
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

// eligible says why a connected miner may not get a task at this price now; nil: it may.
// It is refused by the ledger's rules, as last seen, at the ledger's height: maintenance
// that was announced begins with its block. c.mu is held.
func (c *Coordinator) eligible(m *miner, price essaim.Amount) error {
	a, height := m.actor, c.height.Load()
	no := func(format string, args ...any) error {
		return essaim.Errorf(essaim.CodeUnavailable, "ask for a new quote and try again", format, args...)
	}
	switch {
	case a.RetiredAt != 0:
		return no("miner %s has retired", m.key.Short())
	case a.AwayFrom <= height && height < a.AwayUntil:
		return no("miner %s is away until height %d, as it announced", m.key.Short(), a.AwayUntil)
	case a.JailedUntil != 0:
		return no("miner %s is jailed", m.key.Short())
	}
	if c.cover.AuditBlocks == 0 {
		return nil
	}
	if most := trust.LargestJob(a.Stake); price > most {
		return no("miner %s takes %d uaim, its stake stands for jobs of %d at most", m.key.Short(), price, most)
	}
	open, recent := c.exposed[m.key].At(height, c.cover.AuditBlocks)
	// The ledger counts what all coordinators have settled, but was asked a while ago.
	have, limit := m.promised+open+max(recent, a.Unaudited), c.cover.Miner.Of(a.Stake)
	if total, ok := have.Add(price); !ok || total > limit {
		return no("miner %s has %d uaim of work that no audit has passed, its stake covers %d", m.key.Short(), have, limit)
	}
	return nil
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
		limit = cover.Covered(self.Stake, rules.Coordinator)
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
	changed := map[essaim.NodeKey]receiptlog.Quality{}
	for k, q := range c.quality {
		if q.changed {
			q.changed = false
			changed[k] = q.Quality
		}
	}
	c.mu.Unlock()
	if len(changed) == 0 {
		return
	}
	if err := c.store.PutQuality(changed, time.Now()); err != nil && ctx.Err() == nil {
		c.log.Error("miners' quality cannot be stored", "err", err)
	}
}
