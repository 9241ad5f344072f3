package tally

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"

	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// sweep looks at one poll a block, in turn. If x/gov no longer takes votes on its
// proposal, however that came about, it forgets some of the ballots, x/gov's copies too,
// and at last the poll; the outcome stays.
func (k Keeper) sweep(ctx context.Context, gov *govkeeper.Keeper) error {
	id, ok, err := k.nextPoll(ctx)
	if err != nil || !ok {
		return err
	}
	voting, err := gov.VotingPeriodProposals.Has(ctx, id)
	if err != nil || voting {
		return err
	}
	old, err := k.some(ctx, id)
	if err != nil {
		return err
	}
	for _, b := range old {
		voter := sdk.MustAccAddressFromBech32(b.Voter)
		if err := errors.Join(
			k.ballots.Remove(ctx, collections.Join(id, []byte(voter))),
			k.rank.Remove(ctx, collections.Join3(id, b.Stake, []byte(voter))),
			gov.Votes.Remove(ctx, collections.Join(id, voter)),
		); err != nil {
			return err
		}
	}
	if len(old) == sweepsPerBlock {
		return nil
	}
	return k.polls.Remove(ctx, id)
}

// nextPoll is the poll after the one that the last block looked at, and the first one
// after the last.
func (k Keeper) nextPoll(ctx context.Context) (id uint64, ok bool, err error) {
	last, err := k.cursor.Get(ctx)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return 0, false, err
	}
	first := func(n uint64, _ tallyv1.Poll) (bool, error) {
		id, ok = n, true
		return true, nil
	}
	if err := k.polls.Walk(ctx, new(collections.Range[uint64]).StartExclusive(last), first); err != nil {
		return 0, false, err
	}
	if !ok {
		if err := k.polls.Walk(ctx, nil, first); err != nil {
			return 0, false, err
		}
	}
	if !ok || id == last {
		return id, ok, nil
	}
	return id, true, k.cursor.Set(ctx, id)
}

// some lists ballots of a proposal, no more than one block forgets.
func (k Keeper) some(ctx context.Context, proposal uint64) (out []tallyv1.Ballot, err error) {
	r := collections.NewPrefixedPairRange[uint64, []byte](proposal)
	err = k.ballots.Walk(ctx, r, func(_ collections.Pair[uint64, []byte], b tallyv1.Ballot) (bool, error) {
		out = append(out, b)
		return len(out) == sweepsPerBlock, nil
	})
	return out, err
}
