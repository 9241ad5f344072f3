package market

import (
	"context"
	"fmt"

	"cosmossdk.io/math"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// CheckInvariant reports whether all money is accounted for: deposited = paid +
// refunded + escrowed; what open and lapsed sessions hold, with what waits of settled ones,
// and the module account's balance are both what is escrowed; what waits of a session is
// what its lines say; and each coordinator's open deposits are what the index says. It
// reads every session: for tests and for genesis.
func (k Keeper) CheckInvariant(ctx context.Context) error {
	t, err := k.totals.Get(ctx)
	if err != nil {
		return err
	}
	open, by := math.ZeroInt(), map[string]uint64{}
	err = k.sessions.Walk(ctx, nil, func(_ uint64, s marketv1.Session) (bool, error) {
		switch s.State {
		case marketv1.State_STATE_OPEN:
			by[s.Coordinator] += s.Deposit
			fallthrough
		case marketv1.State_STATE_LAPSED:
			open = open.Add(math.NewIntFromUint64(s.Deposit))
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	pending, err := k.checkPending(ctx)
	if err != nil {
		return err
	}
	if err := k.open.Walk(ctx, nil, func(node []byte, sum uint64) (bool, error) {
		name := essaim.NodeKey(node).String()
		if by[name] != sum {
			return true, fmt.Errorf("market: open sessions of %s hold %d, the index says %d", name, by[name], sum)
		}
		delete(by, name)
		return false, nil
	}); err != nil {
		return err
	}
	if len(by) > 0 {
		return fmt.Errorf("market: %d coordinators with open sessions are not in the index", len(by))
	}
	held := k.Bank.GetBalance(ctx, escrow(), essaim.Denom).Amount
	switch {
	case !t.Deposited.Equal(t.Paid.Add(t.Refunded).Add(t.Escrowed)):
		return fmt.Errorf("market: deposited %s is not paid %s + refunded %s + escrowed %s", t.Deposited, t.Paid, t.Refunded, t.Escrowed)
	case !open.Add(pending).Equal(t.Escrowed):
		return fmt.Errorf("market: open sessions hold %s and %s waits, the totals say %s", open, pending, t.Escrowed)
	case !held.Equal(t.Escrowed):
		return fmt.Errorf("market: the module account holds %s, the totals say %s", held, t.Escrowed)
	}
	return nil
}

// checkPending sums up what waits of settled sessions, which must be what their lines and
// shares say.
func (k Keeper) checkPending(ctx context.Context) (math.Int, error) {
	sum, by := math.ZeroInt(), map[uint64]uint64{}
	if err := k.lines.Walk(ctx, nil, func(_ ofSession, l marketv1.SettledLine) (bool, error) {
		var shares uint64
		for _, s := range l.Shares {
			if s.Paid > s.Amount {
				return true, fmt.Errorf("market: session %d paid %d of a share of %d", l.Session, s.Paid, s.Amount)
			}
			shares += s.Amount
		}
		if len(l.Shares) > 0 && shares != l.Line.Amount-l.Voided {
			return true, fmt.Errorf("market: a line of session %d has shares of %d in %d", l.Session, shares, l.Line.Amount-l.Voided)
		}
		by[l.Session] += waiting(l)
		return false, nil
	}); err != nil {
		return sum, err
	}
	err := k.settlements.Walk(ctx, nil, func(id uint64, s marketv1.Settlement) (bool, error) {
		if s.Pending != by[id] {
			return true, fmt.Errorf("market: %d waits of session %d, its lines say %d", s.Pending, id, by[id])
		}
		delete(by, id)
		sum = sum.Add(math.NewIntFromUint64(s.Pending))
		return false, nil
	})
	for id, waits := range by { // of lapsed sessions nothing waits
		if waits != 0 {
			return sum, fmt.Errorf("market: lines of session %d wait, which is not settled", id)
		}
	}
	return sum, err
}
