package registry

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Emission follows the protocol fees that were paid on work. When an epoch closes, its
// emission is the least of what the emission account has free, emission_per_epoch, and
// emission_bps of the epoch's fees; a miner's part is in proportion to the fees paid on
// its work. Since that part is below these fees, work that one pays for oneself loses,
// alone or in a ring. It is paid when the next epoch closes: until then a slash that
// refutes the work voids the credit.

// addCredit counts a protocol fee for the open epoch. The caller puts the actor.
func (k Keeper) addCredit(ctx context.Context, a *registryv1.Actor, fee uint64) error {
	s, err := k.emission.Get(ctx)
	if err != nil {
		return err
	}
	s.Fees += fee
	if err := k.emission.Set(ctx, s); err != nil {
		return err
	}
	return k.giveCredit(ctx, a, s.Epoch, fee)
}

func (k Keeper) giveCredit(ctx context.Context, a *registryv1.Actor, epoch, fee uint64) error {
	key := collections.Join(epoch, a.Id)
	had, err := or(k.credits.Get(ctx, key))
	if err != nil {
		return err
	}
	if had == 0 {
		a.Obligations++
	}
	return k.credits.Set(ctx, key, had+fee)
}

// void takes away the credit that is not paid yet. The caller puts the actor.
func (k Keeper) void(ctx context.Context, a *registryv1.Actor) (voided []registryv1.Credit, err error) {
	s, err := k.emission.Get(ctx)
	if err != nil {
		return nil, err
	}
	for epoch := s.NextPaid; epoch <= s.Epoch; epoch++ {
		key := collections.Join(epoch, a.Id)
		fee, err := or(k.credits.Get(ctx, key))
		if err != nil {
			return nil, err
		}
		if fee == 0 {
			continue
		}
		if err := k.credits.Remove(ctx, key); err != nil {
			return nil, err
		}
		a.Obligations--
		voided = append(voided, registryv1.Credit{Epoch: epoch, Actor: a.Id, Fee: fee})
	}
	return voided, nil
}

// restoreCredit undoes void. What would have been paid meanwhile is paid now, as far as
// the emission account has it free. The caller puts the actor.
func (k Keeper) restoreCredit(ctx context.Context, a *registryv1.Actor, voided []registryv1.Credit) error {
	s, err := k.emission.Get(ctx)
	if err != nil {
		return err
	}
	for _, c := range voided {
		if c.Epoch >= s.NextPaid {
			if err := k.giveCredit(ctx, a, c.Epoch, c.Fee); err != nil {
				return err
			}
			continue
		}
		e, err := or(k.epochs.Get(ctx, c.Epoch))
		if err != nil {
			return err
		}
		if err := k.pour(ctx, a, min(part(e.Emission, c.Fee, e.Fees), k.free(ctx, s))); err != nil {
			return err
		}
	}
	return nil
}

// free is what the emission account holds and has not promised.
func (k Keeper) free(ctx context.Context, s registryv1.EmissionState) uint64 {
	held := k.bank.GetBalance(ctx, authtypes.NewModuleAddress(EmissionName), essaim.Denom).Amount
	if !held.IsUint64() {
		return ^uint64(0) - s.Promised
	}
	return held.Uint64() - min(held.Uint64(), s.Promised)
}

// pour moves emission into an actor's pool. The caller puts the actor.
func (k Keeper) pour(ctx context.Context, a *registryv1.Actor, amount uint64) error {
	if amount == 0 {
		return nil
	}
	if err := k.bank.SendCoinsFromModuleToModule(ctx, EmissionName, Name, coins(amount)); err != nil {
		return err
	}
	return k.credit(ctx, a, amount, 0)
}

// endEpoch closes the open epoch if it is over, and pays the epoch before, as far as one
// block may.
func (k Keeper) endEpoch(ctx context.Context) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	s, err := k.emission.Get(ctx)
	if err != nil {
		return err
	}
	now := height(ctx)
	if p.EpochBlocks > 0 && now-s.StartedAt >= int64(p.EpochBlocks) {
		e := registryv1.Epoch{
			Number: s.Epoch, Fees: s.Fees,
			Emission: min(k.free(ctx, s), p.EmissionPerEpoch, part(s.Fees, uint64(p.EmissionBps), 10_000)),
		}
		s.Epoch, s.StartedAt, s.Fees, s.Promised = s.Epoch+1, now, 0, s.Promised+e.Emission
		event := &registryv1.EventEpoch{Epoch: e.Number, Fees: e.Fees, Emission: e.Emission}
		if err := errors.Join(k.epochs.Set(ctx, e.Number, e), k.emission.Set(ctx, s), emit(ctx, event)); err != nil {
			return err
		}
	}
	if s.NextPaid+2 > s.Epoch {
		return nil
	}
	return k.payEpoch(ctx, s)
}

// payEpoch pays some of the oldest epoch's credits, and goes on to the next epoch when
// there are no more.
func (k Keeper) payEpoch(ctx context.Context, s registryv1.EmissionState) error {
	e, err := k.epochs.Get(ctx, s.NextPaid)
	if err != nil {
		return err
	}
	var due []registryv1.Credit
	err = k.credits.Walk(ctx, collections.NewPrefixedPairRange[uint64, uint64](s.NextPaid), func(key ofNumber, fee uint64) (bool, error) {
		due = append(due, registryv1.Credit{Epoch: key.K1(), Actor: key.K2(), Fee: fee})
		return len(due) > emissionsPerBlock, nil
	})
	if err != nil {
		return err
	}
	for _, c := range due[:min(len(due), emissionsPerBlock)] {
		if err := k.payCredit(ctx, e, c); err != nil {
			return err
		}
	}
	if len(due) > emissionsPerBlock {
		return nil
	}
	s.NextPaid++
	s.Promised -= e.Emission
	return k.emission.Set(ctx, s)
}

func (k Keeper) payCredit(ctx context.Context, e registryv1.Epoch, c registryv1.Credit) error {
	a, err := k.actors.Get(ctx, c.Actor)
	if err != nil {
		return err
	}
	if err := k.credits.Remove(ctx, collections.Join(c.Epoch, c.Actor)); err != nil {
		return err
	}
	a.Obligations--
	if err := k.pour(ctx, &a, part(e.Emission, c.Fee, e.Fees)); err != nil {
		return err
	}
	if err := k.put(ctx, a); err != nil {
		return err
	}
	return k.tidy(ctx, a)
}
