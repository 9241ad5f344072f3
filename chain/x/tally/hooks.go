package tally

import (
	"context"
	"errors"
	"math/big"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// Hooks tell the module of votes.
type Hooks struct {
	govtypes.MultiGovHooks // an empty one, for what the module need not know
	keeper                 Keeper
	gov                    *govkeeper.Keeper
}

// NewHooks is for the gov keeper's SetHooks.
func NewHooks(k Keeper, gov *govkeeper.Keeper) Hooks { return Hooks{keeper: k, gov: gov} }

// AfterProposalVote takes the power of a vote that x/gov has just written.
func (h Hooks) AfterProposalVote(ctx context.Context, proposal uint64, voter sdk.AccAddress) error {
	vote, err := h.gov.Votes.Get(ctx, collections.Join(proposal, voter))
	if err != nil {
		return err
	}
	weights, err := weightsOf(vote.Options)
	if err != nil {
		return err
	}
	return h.keeper.cast(ctx, proposal, voter, weights)
}

// weightsOf are a vote's weights by option. x/gov has checked that they add up to 1.
func weightsOf(parts []*govv1.WeightedVoteOption) ([]uint64, error) {
	out := make([]uint64, options)
	for _, p := range parts {
		w, err := math.LegacyNewDecFromStr(p.Weight)
		switch i := int(p.Option) - 1; {
		case err != nil:
			return nil, err
		case i < 0 || i >= options || w.IsNegative() || w.GT(math.LegacyOneDec()):
			return nil, ErrState.Wrapf("a vote's part %v", p)
		default:
			out[i] += w.BigInt().Uint64()
		}
	}
	return out, nil
}

// cast replaces an account's ballot by one with its power as of now.
func (k Keeper) cast(ctx context.Context, proposal uint64, voter sdk.AccAddress, weights []uint64) error {
	poll, err := k.poll(ctx, proposal)
	if err != nil {
		return err
	}
	switch old, err := k.ballots.Get(ctx, collections.Join(proposal, []byte(voter))); {
	case err == nil:
		if err := poll.move(old, (*big.Int).Sub); err != nil {
			return err
		}
		poll.ballots--
		if err := k.rank.Remove(ctx, collections.Join3(proposal, old.Stake, []byte(voter))); err != nil {
			return err
		}
	case !errors.Is(err, collections.ErrNotFound):
		return err
	}
	b, err := k.ballot(ctx, proposal, voter, weights)
	if err != nil {
		return err
	}
	if err := k.outcomes.Remove(ctx, proposal); err != nil { // of an expedited count that failed
		return err
	}
	return k.enter(ctx, poll, voter, b)
}

// ballot weighs a vote. An account whose address is not 20 bytes long can hold neither
// pool shares nor miners; it has no power.
func (k Keeper) ballot(ctx context.Context, proposal uint64, voter sdk.AccAddress, weights []uint64) (b tallyv1.Ballot, err error) {
	b = tallyv1.Ballot{Proposal: proposal, Voter: voter.String(), Work: "0", Weights: weights}
	var a essaim.Address
	if len(voter) != len(a) {
		return b, nil
	}
	copy(a[:], voter)
	if b.Stake, err = k.owned(ctx, a); err != nil {
		return b, err
	}
	units, err := k.units(ctx, a[:])
	if err != nil {
		return b, err
	}
	b.Work = units.String()
	return b, nil
}

// enter writes a ballot, its rank and the poll's new sums.
func (k Keeper) enter(ctx context.Context, p *poll, voter []byte, b tallyv1.Ballot) error {
	if err := p.move(b, (*big.Int).Add); err != nil {
		return err
	}
	p.ballots++
	if err := k.ballots.Set(ctx, collections.Join(b.Proposal, voter), b); err != nil {
		return err
	}
	if b.Stake > 0 {
		if err := k.rank.Set(ctx, collections.Join3(b.Proposal, b.Stake, voter)); err != nil {
			return err
		}
	}
	return k.polls.Set(ctx, b.Proposal, p.stored())
}

// poll is a proposal's running sums, as numbers.
type poll struct {
	proposal    uint64
	stake, work [options]*big.Int
	ballots     uint64
}

func (k Keeper) poll(ctx context.Context, proposal uint64) (*poll, error) {
	s, err := k.polls.Get(ctx, proposal)
	if errors.Is(err, collections.ErrNotFound) {
		return newPoll(proposal), nil
	}
	if err != nil {
		return nil, err
	}
	return readPoll(s)
}

func newPoll(proposal uint64) *poll {
	p := &poll{proposal: proposal}
	for i := range options {
		p.stake[i], p.work[i] = new(big.Int), new(big.Int)
	}
	return p
}

func readPoll(s tallyv1.Poll) (*poll, error) {
	p := &poll{proposal: s.Proposal, ballots: s.Ballots}
	if len(s.Stake) != options || len(s.Work) != options {
		return nil, ErrState.Wrapf("poll %d", s.Proposal)
	}
	var err error
	for i := range options {
		if p.stake[i], err = number(s.Stake[i]); err != nil {
			return nil, err
		}
		if p.work[i], err = number(s.Work[i]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *poll) stored() tallyv1.Poll {
	s := tallyv1.Poll{Proposal: p.proposal, Ballots: p.ballots}
	for i := range options {
		s.Stake, s.Work = append(s.Stake, p.stake[i].String()), append(s.Work, p.work[i].String())
	}
	return s
}

// move adds a ballot to the sums, or takes it away.
func (p *poll) move(b tallyv1.Ballot, by func(z, x, y *big.Int) *big.Int) error {
	work, err := number(b.Work)
	if err != nil {
		return err
	}
	stake := new(big.Int).SetUint64(b.Stake)
	for i, w := range b.Weights {
		weight, part := new(big.Int).SetUint64(w), new(big.Int)
		by(p.stake[i], p.stake[i], part.Mul(stake, weight))
		by(p.work[i], p.work[i], part.Mul(work, weight))
	}
	return nil
}
