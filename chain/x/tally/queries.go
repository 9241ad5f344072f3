package tally

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

type queryServer struct{ keeper Keeper }

var _ tallyv1.QueryServer = queryServer{}

// Params returns the parameters.
func (q queryServer) Params(ctx context.Context, _ *tallyv1.QueryParamsRequest) (*tallyv1.QueryParamsResponse, error) {
	p, err := q.keeper.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	return &tallyv1.QueryParamsResponse{Params: p}, nil
}

// Power returns what an account's vote would weigh now.
func (q queryServer) Power(ctx context.Context, r *tallyv1.QueryPowerRequest) (*tallyv1.QueryPowerResponse, error) {
	k := q.keeper
	a, err := essaim.ParseAddress(r.Address)
	if err != nil {
		return nil, ErrAddress.Wrap(err.Error())
	}
	var out tallyv1.QueryPowerResponse
	if out.Stake, err = k.owned(ctx, a); err != nil {
		return nil, err
	}
	if out.TotalStake, err = k.totalStake(ctx); err != nil {
		return nil, err
	}
	now, err := k.rateNow(ctx)
	if err != nil {
		return nil, err
	}
	own, err := k.units(ctx, a[:])
	if err != nil {
		return nil, err
	}
	all, err := k.totalUnits(ctx)
	if err != nil {
		return nil, err
	}
	out.Work, out.TotalWork = whole(own, now), whole(all, now)
	return &out, nil
}

// Outcome counts a proposal that is voted on, or returns the count with which it ended.
func (q queryServer) Outcome(ctx context.Context, r *tallyv1.QueryOutcomeRequest) (*tallyv1.QueryOutcomeResponse, error) {
	o, err := q.keeper.outcome(ctx, r.Proposal)
	if err != nil {
		return nil, err
	}
	return &tallyv1.QueryOutcomeResponse{Outcome: o}, nil
}

// outcome prefers the kept one: a proposal whose ballots are being swept has both.
func (k Keeper) outcome(ctx context.Context, proposal uint64) (tallyv1.Outcome, error) {
	kept, err := k.outcomes.Get(ctx, proposal)
	if !errors.Is(err, collections.ErrNotFound) {
		return kept, err
	}
	switch has, err := k.polls.Has(ctx, proposal); {
	case err != nil:
		return kept, err
	case !has:
		return kept, ErrNotFound.Wrapf("proposal %d", proposal)
	}
	c, err := k.count(ctx, proposal)
	return c.outcome, err
}

// Credits lists all accounts' credit.
func (q queryServer) Credits(ctx context.Context, r *tallyv1.QueryCreditsRequest) (*tallyv1.QueryCreditsResponse, error) {
	now, err := q.keeper.rateNow(ctx)
	if err != nil {
		return nil, err
	}
	list, page, err := query.CollectionPaginate(ctx, q.keeper.credits, r.Pagination, func(account []byte, units string) (tallyv1.Credit, error) {
		n, err := number(units)
		if err != nil {
			return tallyv1.Credit{}, err
		}
		return tallyv1.Credit{Address: sdk.AccAddress(account).String(), Work: whole(n, now)}, nil
	})
	if err != nil {
		return nil, err
	}
	return &tallyv1.QueryCreditsResponse{Credits: list, Pagination: page}, nil
}
