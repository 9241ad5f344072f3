package registry

import (
	"context"

	"cosmossdk.io/collections"
)

// endBlock does what has become due, in an order in which the same block's slashes thaw
// pools before exits look at them. Every step is bounded. It fails only if the module
// account lacks coins that it took, which stops the ledger rather than let it go on with
// a wrong balance.
func (k Keeper) endBlock(ctx context.Context) error {
	for _, step := range []func(context.Context) error{k.endSlashes, k.endExits, k.endActors, k.endWindows, k.endEpoch, k.endKeys} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// endExits pays out what has left long enough.
func (k Keeper) endExits(ctx context.Context) error {
	due, err := dueNow(ctx, k.exitsDue, releasesPerBlock)
	if err != nil {
		return err
	}
	for _, key := range due {
		e, err := k.exits.Get(ctx, key.K2())
		if err != nil {
			return err
		}
		if err := k.release(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// endActors pays out the delegators of actors that are gone.
func (k Keeper) endActors(ctx context.Context) error {
	for budget := payoutsPerBlock; budget > 0; {
		var next uint64
		err := k.closing.Walk(ctx, nil, func(id uint64) (bool, error) {
			next = id
			return true, nil
		})
		if err != nil || next == 0 {
			return err
		}
		if budget, err = k.payOut(ctx, next, budget); err != nil {
			return err
		}
	}
	return nil
}

// dueNow collects a queue's head before anything is changed under the iterator.
func dueNow(ctx context.Context, queue collections.KeySet[byHeight], most int) (due []byHeight, err error) {
	now := uint64(height(ctx))
	err = queue.Walk(ctx, nil, func(key byHeight) (bool, error) {
		if key.K1() > now || len(due) == most {
			return true, nil
		}
		due = append(due, key)
		return false, nil
	})
	return due, err
}
