package market

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// Paid is what the end of a session gave a miner for a model's work, gross, without what went back to the payer since,
// and who paid, as long as the session can be contested. Some of it may still wait.
//
// Errors: ErrNotFound, ErrOpen, ErrLate, ErrPayee if the session gave it nothing.
func (k Keeper) Paid(ctx context.Context, session essaim.SessionID, miner essaim.NodeKey, model essaim.Digest) (payer essaim.Address, amount uint64, err error) {
	s, err := k.session(ctx, uint64(session))
	switch {
	case err != nil:
		return payer, 0, err
	case s.State == marketv1.State_STATE_OPEN:
		return payer, 0, ErrOpen.Wrapf("session %d, until height %d at most", s.Id, s.Expiry)
	case sdk.UnwrapSDKContext(ctx).BlockHeight() >= s.ContestUntil:
		return payer, 0, ErrLate.Wrapf("session %d, until height %d", s.Id, s.ContestUntil)
	}
	line, err := k.line(ctx, s.Id, miner, model)
	if err != nil {
		return payer, 0, err
	}
	payer, err = essaim.ParseAddress(s.Payer)
	return payer, kept(line), err
}

// Restore notes that the payer gets back, out of somebody's stake, up to so much of what a session gave a miner for a
// model's work, and returns how much that may be: nobody gets back in all what it has not paid.
//
// Errors: ErrPayee if the session gave it nothing.
func (k Keeper) Restore(ctx context.Context, session essaim.SessionID, miner essaim.NodeKey, model essaim.Digest, want uint64) (uint64, error) {
	line, err := k.line(ctx, uint64(session), miner, model)
	if err != nil {
		return 0, err
	}
	want = min(want, kept(line))
	line.Restored += want
	return want, k.putLine(ctx, line)
}

func (k Keeper) line(ctx context.Context, session uint64, miner essaim.NodeKey, model essaim.Digest) (marketv1.SettledLine, error) {
	line, err := k.lines.Get(ctx, lineKey(session, miner, model))
	if errors.Is(err, collections.ErrNotFound) {
		err = ErrPayee.Wrapf("session %d gave %s nothing for model %s", session, miner, model.Short())
	}
	return line, err
}

// kept is what of a line's amount neither went back to the payer nor is to.
func kept(l marketv1.SettledLine) uint64 { return l.Line.Amount - l.Voided - l.Restored }
