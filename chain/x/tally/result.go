package tally

import (
	"context"
	"math/big"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"github.com/essaim/essaim/gen/chain/tallyv1"
)

var _ govkeeper.CalculateVoteResultsAndVotingPowerFn = Keeper{}.Result

// Result counts a proposal for x/gov, which then applies its quorum, threshold and veto.
// The power that voted is the turnout in parts of Whole, and each option has its share of
// it. The outcome is kept; the ballots stay until the sweep, because a failed expedited
// proposal goes on as an ordinary one.
func (k Keeper) Result(ctx context.Context, _ govkeeper.Keeper, p govv1.Proposal) (voted math.LegacyDec, possible math.Int, results map[govv1.VoteOption]math.LegacyDec, err error) {
	voted, possible = math.LegacyZeroDec(), math.ZeroInt()
	c, err := k.count(ctx, p.Id)
	if err != nil {
		return voted, possible, nil, err
	}
	if err := k.outcomes.Set(ctx, p.Id, c.outcome); err != nil {
		return voted, possible, nil, err
	}
	results = map[govv1.VoteOption]math.LegacyDec{}
	for i, share := range c.shares {
		r := dec(new(big.Rat).Mul(share, c.turnout))
		results[govv1.VoteOption(i+1)] = r
		voted = voted.Add(r)
	}
	if c.outcome.Stake.Seated || c.outcome.Work.Seated {
		possible = math.NewInt(Whole)
	}
	return voted, possible, results, nil
}

// dec is a part of 1 in parts of Whole, rounded down at the 30th digit: far below the 18
// digits to which x/gov compares.
func dec(r *big.Rat) math.LegacyDec {
	n := new(big.Int).Mul(r.Num(), big.NewInt(Whole))
	n.Mul(n, new(big.Int).SetUint64(certain))
	return math.LegacyNewDecFromBigIntWithPrec(n.Quo(n, r.Denom()), math.LegacyPrecision)
}

// counted is a count: exactly, and as it is shown.
type counted struct {
	turnout *big.Rat
	shares  [options]*big.Rat
	outcome tallyv1.Outcome
}

// count reads a proposal's sums and the accounts above the cap.
func (k Keeper) count(ctx context.Context, proposal uint64) (counted, error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return counted{}, err
	}
	p, err := k.poll(ctx, proposal)
	if err != nil {
		return counted{}, err
	}
	out := counted{outcome: tallyv1.Outcome{Proposal: proposal, Height: sdk.UnwrapSDKContext(ctx).BlockHeight()}}
	stake, err := k.countStake(ctx, p, params.CapBps, &out.outcome)
	if err != nil {
		return out, err
	}
	work, err := k.countWork(ctx, p, params.MinWork, &out.outcome)
	if err != nil {
		return out, err
	}
	out.turnout, out.shares = mean(stake, work)
	out.outcome.Turnout = parts(out.turnout)
	for _, s := range out.shares {
		out.outcome.Shares = append(out.outcome.Shares, parts(s))
	}
	return out, nil
}

// countStake takes from the sums what the strongest accounts hold above the cap. What the
// cap cuts cannot count, so it does not stand in the way of the turnout either.
func (k Keeper) countStake(ctx context.Context, p *poll, bps uint32, out *tallyv1.Outcome) (house, error) {
	total, err := k.totalStake(ctx)
	if err != nil {
		return house{}, err
	}
	strongest, err := k.strongest(ctx, p.proposal, MaxCap/int(bps)+1)
	if err != nil {
		return house{}, err
	}
	h := house{seated: total > 0, options: p.stake}
	voted := h.counted()
	c, above := limit(new(big.Int).Quo(voted, one), strongest, bps)
	h.possible = new(big.Int).SetUint64(total)
	for _, s := range strongest[:above] {
		b, err := k.ballots.Get(ctx, collections.Join(p.proposal, []byte(sdk.MustAccAddressFromBech32(s.Voter))))
		if err != nil {
			return h, err
		}
		cut := new(big.Int).SetUint64(s.Stake - c)
		h.possible.Sub(h.possible, cut)
		for i, w := range b.Weights {
			h.options[i].Sub(h.options[i], new(big.Int).Mul(cut, new(big.Int).SetUint64(w)))
		}
		out.Cap, out.Capped = c, append(out.Capped, s)
	}
	out.Stake = h.shown(one)
	out.Stake.Total, out.Stake.Voted = total, whole(voted, one)
	h.possible.Mul(h.possible, one)
	return h, nil
}

// strongest lists the n ballots with the most stake, strongest first.
func (k Keeper) strongest(ctx context.Context, proposal uint64, n int) (out []tallyv1.Capped, err error) {
	r := collections.NewPrefixedTripleRangeReversed[uint64, uint64, []byte](proposal)
	err = k.rank.Walk(ctx, r, func(key collections.Triple[uint64, uint64, []byte]) (bool, error) {
		out = append(out, tallyv1.Capped{Voter: sdk.AccAddress(key.K3()).String(), Stake: key.K2()})
		return len(out) == n, nil
	})
	return out, err
}

// countWork reads the house of work, which has its seat once there is enough work to
// speak for.
func (k Keeper) countWork(ctx context.Context, p *poll, least uint64, out *tallyv1.Outcome) (house, error) {
	now, err := k.rateNow(ctx)
	if err != nil {
		return house{}, err
	}
	units, err := k.totalUnits(ctx)
	if err != nil {
		return house{}, err
	}
	total := whole(units, now)
	h := house{seated: total > 0 && total >= least, options: p.work, possible: new(big.Int).Mul(units, one)}
	unit := now.Mul(now, one)
	out.Work = h.shown(unit)
	out.Work.Total, out.Work.Voted = total, out.Work.Counted
	return h, nil
}

// one is a ballot's whole weight.
var one = new(big.Int).SetUint64(certain)

// shown is a house in uaim, each of which is so many of its units.
func (h house) shown(unit *big.Int) tallyv1.House {
	s := tallyv1.House{Seated: h.seated, Counted: whole(h.counted(), unit)}
	for _, o := range h.options {
		s.Options = append(s.Options, whole(o, unit))
	}
	return s
}

func whole(n, unit *big.Int) uint64 { return new(big.Int).Quo(n, unit).Uint64() }
