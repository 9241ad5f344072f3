package registry

import (
	"context"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// endBlock returns the bonds whose unbonding period is over and forgets their actors.
// It fails only if the module account lacks a bond that it took, which stops the ledger
// rather than let it go on with a wrong balance.
func (k Keeper) endBlock(ctx context.Context) error {
	due, err := k.due(ctx, uint64(sdk.UnwrapSDKContext(ctx).BlockHeight()))
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.release(ctx, essaim.NodeKey(key.K2())); err != nil {
			return err
		}
	}
	return nil
}

// due collects the queue's head before anything is changed under the iterator.
func (k Keeper) due(ctx context.Context, height uint64) (due []collections.Pair[uint64, []byte], err error) {
	err = k.releases.Walk(ctx, nil, func(key collections.Pair[uint64, []byte]) (bool, error) {
		if key.K1() > height || len(due) == releasesPerBlock {
			return true, nil
		}
		due = append(due, key)
		return false, nil
	})
	return due, err
}

func (k Keeper) release(ctx context.Context, node essaim.NodeKey) error {
	a, err := k.actors.Get(ctx, node[:])
	if err != nil {
		return err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return err
	}
	if a.Bond > 0 {
		if err := k.bank.SendCoinsFromModuleToAccount(ctx, Name, owner[:], coins(a.Bond)); err != nil {
			return err
		}
	}
	if err := k.remove(ctx, node, a); err != nil {
		return err
	}
	return emit(ctx, &registryv1.EventReleased{NodeKey: a.NodeKey, Owner: a.Owner, Amount: a.Bond})
}
