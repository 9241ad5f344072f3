package cover

import (
	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify/trust"
)

// Work is what a miner would be given, and what it has.
type Work struct {
	Price    essaim.Amount // of the task
	Promised essaim.Amount // for the tasks that it has now
	Exposed  *Exposure     // nil: none

	Instances int // of the coordinator, that do not see what the others give: each may use its part of the stake's cover; 0: one
}

// Eligible says why a miner may not get a task now by the ledger's rules, as last seen, at a height:
// maintenance that was announced begins with its block. nil: it may.
//
// Errors: CodeUnavailable.
func Eligible(miner essaim.NodeKey, a essaim.Actor, height int64, rules essaim.Cover, w Work) error {
	no := func(format string, args ...any) error {
		return essaim.Errorf(essaim.CodeUnavailable, "ask for a new quote and try again", format, args...)
	}
	switch {
	case a.RetiredAt != 0:
		return no("miner %s has retired", miner.Short())
	case a.AwayFrom <= height && height < a.AwayUntil:
		return no("miner %s is away until height %d, as it announced", miner.Short(), a.AwayUntil)
	case a.JailedUntil != 0:
		return no("miner %s is jailed", miner.Short())
	}
	if rules.AuditBlocks == 0 {
		return nil
	}
	if most := trust.LargestJob(a.Stake); w.Price > most {
		return no("miner %s takes %d uaim, its stake stands for jobs of %d at most", miner.Short(), w.Price, most)
	}
	open, recent := w.Exposed.At(height, rules.AuditBlocks)
	// The ledger counts what all coordinators have settled, but was asked a while ago.
	have, limit := w.Promised+open+max(recent, a.Unaudited), rules.Miner.Of(a.Stake)/essaim.Amount(max(w.Instances, 1))
	if total, ok := have.Add(w.Price); !ok || total > limit {
		return no("miner %s has %d uaim of work that no audit has passed, its stake covers %d", miner.Short(), have, limit)
	}
	return nil
}
