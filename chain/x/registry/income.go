package registry

import (
	"context"
	"errors"
	"math/bits"

	"cosmossdk.io/collections"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Income credits an actor with what it earned of a settlement: it moves amount from a
// module's account, takes the commission for the owner and shares the rest among the
// pool's active shares. fee is the protocol fee that was paid on the same work: a miner's
// work credit for the epoch's emission.
//
// A miner's income inside the audit window is bounded by its stake, because that is all a
// slash could reach: what goes beyond is deferred by audit_blocks, never lost.
//
// Errors: ErrNotFound if nobody holds the node key, or its bond has gone back; those of
// the bank.
func (k Keeper) Income(ctx context.Context, from string, node essaim.NodeKey, amount, fee uint64) error {
	a, err := k.byKey(ctx, node)
	if err != nil {
		return err
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	if amount > 0 {
		if err := k.bank.SendCoinsFromModuleToModule(ctx, from, Name, coins(amount)); err != nil {
			return err
		}
	}
	deferred := uint64(0)
	if a.Role == registryv1.Role_ROLE_MINER {
		if deferred, err = k.window(ctx, &a, params, amount); err != nil {
			return err
		}
		if fee > 0 && params.EpochBlocks > 0 {
			if err := k.addCredit(ctx, &a, fee); err != nil {
				return err
			}
		}
	}
	if err := k.credit(ctx, &a, amount-deferred, deferred); err != nil {
		return err
	}
	return k.put(ctx, a)
}

// Cover is how much an actor's stake answers for, in uaim: a coordinator's open deposits,
// a miner's unaudited income. Without a limit it is the largest number.
//
// Errors: ErrNotFound.
func (k Keeper) Cover(ctx context.Context, node essaim.NodeKey) (uint64, error) {
	a, err := k.byKey(ctx, node)
	if err != nil {
		return 0, err
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return 0, err
	}
	if a.Role == registryv1.Role_ROLE_MINER {
		return minerCover(a, params), nil
	}
	limit, ok := essaim.Amount(backing(a)).Mul(uint64(params.CoverCoordinator))
	if !ok || params.CoverCoordinator == 0 {
		return ^uint64(0), nil
	}
	return uint64(limit), nil
}

func minerCover(a registryv1.Actor, p registryv1.Params) uint64 {
	if p.AuditBlocks == 0 {
		return ^uint64(0)
	}
	return part(backing(a), uint64(p.CoverMinerBps), 10_000)
}

// window counts a miner's income as unaudited until its window ends, and returns what
// must wait until then.
func (k Keeper) window(ctx context.Context, a *registryv1.Actor, p registryv1.Params, amount uint64) (deferred uint64, err error) {
	if p.AuditBlocks == 0 || amount == 0 {
		return 0, nil
	}
	room := minerCover(*a, p)
	room -= min(room, a.Unaudited)
	counted := min(amount, room)
	due := height(ctx) + int64(p.AuditBlocks)
	w, err := or(k.windows.Get(ctx, collections.Join(uint64(due), a.Id)))
	if err != nil {
		return 0, err
	}
	if w.Actor == 0 {
		a.Obligations++
	}
	w.DueAt, w.Actor = due, a.Id
	w.Counted, w.Deferred = w.Counted+counted, w.Deferred+amount-counted
	a.Unaudited += counted
	return amount - counted, k.windows.Set(ctx, collections.Join(uint64(due), a.Id), w)
}

// endWindows pays deferred income whose audit window is over.
func (k Keeper) endWindows(ctx context.Context) error {
	var due []registryv1.Window
	now := height(ctx)
	err := k.windows.Walk(ctx, nil, func(_ byHeight, w registryv1.Window) (bool, error) {
		if w.DueAt > now || len(due) == windowsPerBlock {
			return true, nil
		}
		due = append(due, w)
		return false, nil
	})
	if err != nil {
		return err
	}
	for _, w := range due {
		a, err := k.actors.Get(ctx, w.Actor)
		if err != nil {
			return err
		}
		a.Unaudited -= w.Counted
		a.Obligations--
		if err := k.windows.Remove(ctx, collections.Join(uint64(w.DueAt), w.Actor)); err != nil {
			return err
		}
		if err := k.credit(ctx, &a, w.Deferred, 0); err != nil {
			return err
		}
		if err := errors.Join(k.put(ctx, a), k.tidy(ctx, a)); err != nil {
			return err
		}
	}
	return nil
}

// credit shares coins that the module account holds: commission first, then the pool. All
// of it is the owner's if nobody in the pool earns, and is paid at once if the actor is
// gone. The caller puts the actor.
func (k Keeper) credit(ctx context.Context, a *registryv1.Actor, amount, deferred uint64) error {
	if amount == 0 && deferred == 0 {
		return nil
	}
	event := &registryv1.EventIncome{NodeKey: a.NodeKey, Commission: part(amount, uint64(a.CommissionBps), 10_000), Deferred: deferred}
	event.Shared = amount - event.Commission
	p := poolOf(*a)
	if a.Closed || !p.Reward(event.Shared) {
		event.Commission, event.Shared = amount, 0
	}
	setPool(a, p)
	if a.Closed {
		if err := k.pay(ctx, a.Owner, amount); err != nil {
			return err
		}
	} else {
		a.Earned += event.Commission
	}
	return emit(ctx, event)
}

// part is x·n/d, rounded down, for n ≤ d.
func part(x, n, d uint64) uint64 {
	if d == 0 {
		return 0
	}
	hi, lo := bits.Mul64(x, min(n, d))
	q, _ := bits.Div64(hi, lo, d)
	return q
}
