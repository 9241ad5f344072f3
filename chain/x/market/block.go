package market

import (
	"context"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// endBlock refunds sessions that nobody settled in time, and forgets the lines of those
// that cannot be contested any more. It fails only if the module
// account lacks a deposit that it took, which stops the ledger rather than let it go on
// with a wrong balance.
func (k Keeper) endBlock(ctx context.Context) error {
	due, err := k.due(ctx, uint64(sdk.UnwrapSDKContext(ctx).BlockHeight()))
	if err != nil {
		return err
	}
	for _, id := range due {
		if err := k.expire(ctx, id); err != nil {
			return err
		}
	}
	return k.forget(ctx, uint64(sdk.UnwrapSDKContext(ctx).BlockHeight()))
}

// due collects the queue's head before anything is changed under the iterator.
func (k Keeper) due(ctx context.Context, height uint64) (due []uint64, err error) {
	err = k.expiries.Walk(ctx, nil, func(key collections.Pair[uint64, uint64]) (bool, error) {
		if key.K1() > height || len(due) == expiriesPerBlock {
			return true, nil
		}
		due = append(due, key.K2())
		return false, nil
	})
	return due, err
}

func (k Keeper) expire(ctx context.Context, id uint64) error {
	s, err := k.sessions.Get(ctx, id)
	if err != nil {
		return err
	}
	payer, err := essaim.ParseAddress(s.Payer)
	if err != nil {
		return err
	}
	if err := k.Bank.SendCoinsFromModuleToAccount(ctx, Name, payer[:], coins(s.Deposit)); err != nil {
		return err
	}
	if err := k.end(ctx, &s, marketv1.State_STATE_EXPIRED); err != nil {
		return err
	}
	if err := k.count(ctx, s.Coordinator, func(r *marketv1.Record) { r.Expired++ }); err != nil {
		return err
	}
	if err := k.account(ctx, 0, 0, s.Deposit); err != nil {
		return err
	}
	return emit(ctx, &marketv1.EventExpired{Session: id, Payer: s.Payer, Refunded: s.Deposit})
}
