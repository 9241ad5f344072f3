package tally

import (
	"encoding/json"
	"maps"
	"math/big"
	"slices"

	"cosmossdk.io/collections"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// DefaultParams suit a public network with blocks of a few seconds: a half-life of about
// 90 days, and a house of work that has its seat once some 10 million AIM of work is done.
func DefaultParams() tallyv1.Params {
	return tallyv1.Params{
		CapBps: 500, HalfLifeBlocks: 1_500_000, MinWork: uint64(100_000 * essaim.AIM), MinBlockMs: 1_000,
	}
}

// DefaultGenesis has neither credit nor ballots.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(&tallyv1.GenesisState{Params: DefaultParams(), Scale: tallyv1.Scale{Base: firstBase.String()}})
}

// ValidateGenesis refuses malformed and repeated entries.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g tallyv1.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return err
	}
	if err := checkParams(g.Params); err != nil {
		return err
	}
	if base, err := number(g.Scale.Base); err != nil || base.Sign() == 0 {
		return ErrState.Wrapf("scale has base %q", g.Scale.Base)
	}
	accounts := map[essaim.Address]bool{}
	for _, a := range g.Accounts {
		address, err := essaim.ParseAddress(a.Address)
		switch _, bad := number(a.Units); {
		case err != nil:
			return ErrAddress.Wrap(err.Error())
		case bad != nil:
			return bad
		case accounts[address]:
			return ErrAddress.Wrapf("%s twice", a.Address)
		}
		accounts[address] = true
	}
	return checkBallots(g.Ballots)
}

func checkBallots(ballots []tallyv1.Ballot) error {
	type key struct {
		proposal uint64
		voter    string
	}
	seen := map[key]bool{}
	for _, b := range ballots {
		voter, err := sdk.AccAddressFromBech32(b.Voter)
		if err != nil {
			return ErrAddress.Wrap(err.Error())
		}
		who := key{b.Proposal, string(voter)}
		if seen[who] {
			return ErrState.Wrapf("two ballots of %s on proposal %d", b.Voter, b.Proposal)
		}
		seen[who] = true
		if _, err := number(b.Work); err != nil {
			return err
		}
		sum := new(big.Int)
		for _, w := range b.Weights {
			sum.Add(sum, new(big.Int).SetUint64(w))
		}
		if len(b.Weights) != options || sum.Cmp(one) != 0 {
			return ErrState.Wrapf("ballot of %s has weights %v", b.Voter, b.Weights)
		}
	}
	return nil
}

// InitGenesis writes the entries and adds up what they sum to.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g tallyv1.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.keeper.load(ctx, g); err != nil {
		panic(err)
	}
}

func (k Keeper) load(ctx sdk.Context, g tallyv1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	if err := k.scale.Set(ctx, g.Scale); err != nil {
		return err
	}
	total := new(big.Int)
	for _, a := range g.Accounts {
		address, err := essaim.ParseAddress(a.Address)
		if err != nil {
			return err
		}
		units, err := number(a.Units)
		if err != nil {
			return err
		}
		total.Add(total, units)
		if err := k.credits.Set(ctx, address[:], a.Units); err != nil {
			return err
		}
	}
	if err := k.total.Set(ctx, total.String()); err != nil {
		return err
	}
	for _, b := range g.Ballots {
		p, err := k.poll(ctx, b.Proposal)
		if err != nil {
			return err
		}
		if err := k.enter(ctx, p, sdk.MustAccAddressFromBech32(b.Voter), b); err != nil {
			return err
		}
	}
	for _, o := range g.Outcomes {
		if err := k.outcomes.Set(ctx, o.Proposal, o); err != nil {
			return err
		}
	}
	return nil
}

// ExportGenesis reads everything back.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	g, err := m.keeper.dump(ctx)
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(&g)
}

func (k Keeper) dump(ctx sdk.Context) (g tallyv1.GenesisState, err error) {
	if g.Params, err = k.params.Get(ctx); err != nil {
		return g, err
	}
	if g.Scale, err = k.scale.Get(ctx); err != nil {
		return g, err
	}
	if err = k.credits.Walk(ctx, nil, func(account []byte, units string) (bool, error) {
		g.Accounts = append(g.Accounts, tallyv1.Account{Address: sdk.AccAddress(account).String(), Units: units})
		return false, nil
	}); err != nil {
		return g, err
	}
	if err = k.ballots.Walk(ctx, nil, func(_ collections.Pair[uint64, []byte], b tallyv1.Ballot) (bool, error) {
		g.Ballots = append(g.Ballots, b)
		return false, nil
	}); err != nil {
		return g, err
	}
	err = k.outcomes.Walk(ctx, nil, func(_ uint64, o tallyv1.Outcome) (bool, error) {
		g.Outcomes = append(g.Outcomes, o)
		return false, nil
	})
	return g, err
}

// CheckInvariant reports whether every running sum is what a recount from the ballots and
// the accounts says. It reads them all: for tests.
func (k Keeper) CheckInvariant(ctx sdk.Context) error {
	g, err := k.dump(ctx)
	if err != nil {
		return err
	}
	total := new(big.Int)
	for _, a := range g.Accounts {
		units, err := number(a.Units)
		if err != nil {
			return err
		}
		total.Add(total, units)
	}
	kept, err := k.totalUnits(ctx)
	if err != nil {
		return err
	}
	if total.Cmp(kept) != 0 {
		return ErrState.Wrapf("accounts have %s units, the total says %s", total, kept)
	}
	polls := map[uint64]*poll{}
	for _, b := range g.Ballots {
		p := polls[b.Proposal]
		if p == nil {
			p = newPoll(b.Proposal)
			polls[b.Proposal] = p
		}
		if err := p.move(b, (*big.Int).Add); err != nil {
			return err
		}
		p.ballots++
	}
	for _, id := range slices.Sorted(maps.Keys(polls)) {
		p := polls[id]
		kept, err := k.polls.Get(ctx, id)
		if err != nil {
			return err
		}
		if want := p.stored(); !proto.Equal(&kept, &want) {
			return ErrState.Wrapf("the ballots say %v, the poll %v", want, kept)
		}
	}
	return nil
}
