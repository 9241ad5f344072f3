package market

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// endBlock does what is due: draws leaves to be shown, ends silences, pays what has waited
// and was not challenged, takes sessions that nobody settled in time out of work and pays
// them when their time to claim is over, and forgets the lines of those that cannot be
// contested any more. It fails only if the module account lacks a deposit that it took,
// which stops the ledger rather than let it go on with a wrong balance.
func (k Keeper) endBlock(ctx context.Context) error {
	height := uint64(sdk.UnwrapSDKContext(ctx).BlockHeight())
	for _, step := range []func(context.Context, uint64) error{
		k.ask, k.silences, k.releaseDue, k.expireDue, k.finishLapsed, k.forget,
	} {
		if err := step(ctx, height); err != nil {
			return err
		}
	}
	return nil
}

func (k Keeper) expireDue(ctx context.Context, height uint64) error {
	due, err := head(ctx, k.expiries, height, expiriesPerBlock)
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.expire(ctx, key.K2()); err != nil {
			return err
		}
	}
	return nil
}

// expire ends a session that nobody settled in time: where there is a challenge window,
// payees may claim in it what they were promised.
func (k Keeper) expire(ctx context.Context, id uint64) error {
	s, err := k.sessions.Get(ctx, id)
	if err != nil {
		return err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	if p.ChallengeBlocks > 0 {
		return k.lapse(ctx, s, p.ChallengeBlocks)
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
	if err := k.account(ctx, 0, 0, s.Deposit, 0); err != nil {
		return err
	}
	return emit(ctx, &marketv1.EventExpired{Session: id, Payer: s.Payer, Refunded: s.Deposit})
}
