package coordinator_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/verify/trust"
)

func (l *ledger) changeActor(k essaim.NodeKey, change func(*essaim.Actor)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.actors[k]
	change(&a)
	l.actors[k] = a
}

func (l *ledger) setCover(c essaim.Cover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cover = c
}

// TestWhoMayNotWorkGetsNothing: what the ledger says of a miner counts while it is
// connected, too.
func TestWhoMayNotWorkGetsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change, undo func(*essaim.Actor)
		stays        bool // connected
	}{
		"jailed": {change: func(a *essaim.Actor) { a.JailedUntil = 50 }, undo: func(a *essaim.Actor) { a.JailedUntil = 0 }},
		"away": {
			change: func(a *essaim.Actor) { a.AwayFrom, a.AwayUntil = 1, 60 }, undo: func(a *essaim.Actor) { a.AwayFrom, a.AwayUntil = 0, 0 },
			stays: true,
		},
		"retired":      {change: func(a *essaim.Actor) { a.RetiredAt = 1 }, undo: func(a *essaim.Actor) { a.RetiredAt = 0 }},
		"out of stake": {change: func(a *essaim.Actor) { a.Stake = 0 }, undo: func(a *essaim.Actor) { a.Stake = 100 }},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, nil)
			m := n.mine(&fake{}, nil)
			p := n.payer(10_000 * unitPrice) // it draws until the miner is seen not to work
			p.must(p.imagine("an ash", nil))
			n.ledger.changeActor(m.key, c.change)
			eventually(t, "the miner gets nothing any more", func() bool {
				_, err := p.imagine("an oak", nil)
				return essaim.CodeOf(err) == essaim.CodeUnavailable
			})
			if c.stays && n.co.Stats().Miners != 1 {
				t.Error("the miner was sent away")
			}
			n.ledger.changeActor(m.key, c.undo)
			eventually(t, "the miner is back at work", func() bool {
				_, err := p.imagine("an elm", nil)
				return err == nil
			})
		})
	}
}

// TestMaintenanceBeginsWithItsBlock: it was announced, so nobody has to be asked.
func TestMaintenanceBeginsWithItsBlock(t *testing.T) {
	n := newNetwork(t, nil)
	key, hpke := newKey(t), newSeal(t)
	m := n.mine(&fake{}, func(c *miner.Config) {
		c.Key, c.Seal = key, hpke
		n.register(key, hpke.PublicKey(), 100)
		n.ledger.changeActor(essaim.NodeKeyOf(key), func(a *essaim.Actor) { a.AwayFrom, a.AwayUntil = 20, 30 })
	})
	p := n.payer(10_000 * unitPrice) // it draws until the miner is seen not to work
	p.must(p.imagine("a fir", nil))
	n.ledger.setHeight(20)
	eventually(t, "the miner is away", func() bool {
		_, err := p.imagine("a larch", nil)
		return err != nil && strings.Contains(err.Error(), "is away until height 30")
	})
	n.ledger.setHeight(30)
	eventually(t, "the miner is back", func() bool {
		_, err := p.imagine("a cedar", nil)
		return err == nil
	})
	if m.Stats().Connected != 1 {
		t.Error("the miner is not connected")
	}
}

// TestMinersCover: a miner gets no more work than its stake answers for, until audits
// have had their time; a restart of the coordinator forgets nothing of it.
func TestMinersCover(t *testing.T) {
	n := newNetwork(t, func(c *coordinator.Config) {
		c.Ledger.(*ledger).setCover(essaim.Cover{Miner: 50, AuditBlocks: 10})
	})
	key, hpke := newKey(t), newSeal(t)
	n.mine(&fake{}, func(c *miner.Config) {
		c.Key, c.Seal = key, hpke
		n.register(key, hpke.PublicKey(), 400*unitPrice) // 0.5 % of it covers two tasks
	})
	p := n.payer(10 * unitPrice)
	p.must(p.imagine("a first", nil))
	p.must(p.imagine("a second", nil))
	refused := func(what string) {
		t.Helper()
		_, err := p.imagine("a third", nil)
		wantCode(t, what, err, essaim.CodeUnavailable)
		if err == nil || !strings.Contains(err.Error(), "its stake covers") {
			t.Errorf("%s: %v does not say why", what, err)
		}
	}
	refused("a task beyond the cover")
	n.stop()
	n.cfg.Listen = []string{n.listened}
	n.start()
	eventually(t, "the miner is connected", func() bool { return n.co.Stats().Miners == 1 })
	refused("after a restart")
	p.settle(2)
	p = n.payer(10 * unitPrice)
	refused("after the settlement, inside the audit window")
	n.ledger.setHeight(11)
	eventually(t, "the audit window has passed", func() bool {
		_, err := p.imagine("a fourth", nil)
		return err == nil
	})
}

// TestDearJobs: a miner whose stake is too small a multiple of the price to deter it from
// cheating gets no work at that price.
func TestDearJobs(t *testing.T) {
	n := newNetwork(t, func(c *coordinator.Config) {
		c.Ledger.(*ledger).setCover(essaim.Cover{Miner: 5000, AuditBlocks: 10})
	})
	key, hpke := newKey(t), newSeal(t)
	n.mine(&fake{}, func(c *miner.Config) {
		c.Key, c.Seal = key, hpke
		n.register(key, hpke.PublicKey(), trust.StakePerPrice*unitPrice-1)
	})
	_, err := n.payer(10*unitPrice).imagine("a first", nil)
	wantCode(t, "a job that is too dear", err, essaim.CodeUnavailable)
	if err == nil || !strings.Contains(err.Error(), "its stake stands for jobs of") {
		t.Errorf("%v does not say why", err)
	}
}

// TestOwnCover: a coordinator takes no more work than its own stake answers for.
func TestOwnCover(t *testing.T) {
	n := newNetwork(t, func(c *coordinator.Config) {
		l := c.Ledger.(*ledger)
		l.setCover(essaim.Cover{Coordinator: 10}) // two tasks
		l.changeActor(essaim.NodeKeyOf(c.Key), func(a *essaim.Actor) { a.Stake = unitPrice / 5 })
	})
	n.mine(&fake{}, nil)
	p, q := n.payer(10*unitPrice), n.payer(10*unitPrice)
	p.must(p.imagine("a plum", nil))
	q.must(q.imagine("a pear", nil))
	_, err := p.imagine("a fig", nil)
	wantCode(t, "a task beyond the cover", err, essaim.CodeUnavailable)
	q.settle(1)
	p.must(p.imagine("a fig", nil))
}

// TestQualityOutlivesTheProgram: a miner that failed is not new again after a restart.
func TestQualityOutlivesTheProgram(t *testing.T) {
	n := newNetwork(t, nil)
	bad := n.mine(&fake{step: func(_ context.Context, _ int) error { return errEngine }}, nil)
	p := n.payer(100 * unitPrice)
	for range 40 {
		if _, err := p.imagine("a sloe", nil); err == nil {
			t.Fatal("a broken engine delivers")
		}
	}
	good := n.mine(&fake{}, nil)
	n.stop()
	n.cfg.Listen = []string{n.listened}
	n.start()
	eventually(t, "both miners are connected", func() bool { return n.co.Stats().Miners == 2 })
	first := map[essaim.NodeKey]int{}
	for range 400 {
		q, err := n.co.Quote(t.Context(), essaim.QuoteRequest{Model: modelDigest})
		if err != nil {
			t.Fatal(err)
		}
		first[q.Candidates[0].Miner]++
	}
	if first[bad.key] > first[good.key]/4 {
		t.Errorf("named first: the broken miner %d times, the good one %d", first[bad.key], first[good.key])
	}
}

// TestPromisesAreWhatIsSettled: what an honest coordinator acknowledges adds up to what
// it settles, through a restart and with attempts side by side.
func TestPromisesAreWhatIsSettled(t *testing.T) {
	n := newNetwork(t, nil)
	books := map[essaim.NodeKey]string{}
	var seats []*seat
	for range 2 {
		var path string
		s := n.mine(&fake{}, func(c *miner.Config) { path = c.Receipts })
		books[s.key], seats = path, append(seats, s)
	}
	p := n.payer(100 * unitPrice)
	const half = 8
	round := func() {
		var group sync.WaitGroup
		for range half {
			group.Go(func() { p.must(p.imagine("a hazel", nil)) })
		}
		group.Wait()
	}
	acked := func(want uint64) {
		t.Helper()
		eventually(t, "all receipts are acknowledged", func() bool { return seats[0].Stats().Acked+seats[1].Stats().Acked == want })
	}
	round()
	acked(half)
	n.stop()
	n.cfg.Listen = []string{n.listened}
	n.start()
	eventually(t, "both miners are connected", func() bool { return n.co.Stats().Miners == 2 })
	round()
	acked(2 * half)
	for _, l := range p.settle(2 * half).Lines {
		b, err := miner.OpenBook(books[l.Miner])
		if err != nil {
			t.Fatal(err)
		}
		list, err := b.Promises(t.Context())
		if err != nil || b.Close() != nil {
			t.Fatal(err)
		}
		if len(list) != 1 || list[0].Total != l.Amount || list[0].Acked != l.Amount || list[0].Model != l.Model || list[0].Deadline != 1000 {
			t.Errorf("promised %+v, settled %+v", list, l)
		}
	}
}
