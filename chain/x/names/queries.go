package names

import (
	"context"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/namesv1"
)

type queryServer struct{ Keeper }

var _ namesv1.QueryServer = queryServer{}

// Name returns a name that stands for somebody now: who pays to a name must never reach its
// former owner.
func (q queryServer) Name(ctx context.Context, r *namesv1.QueryNameRequest) (*namesv1.QueryNameResponse, error) {
	n, err := q.get(ctx, r.Name)
	if err == nil && sdk.UnwrapSDKContext(ctx).BlockHeight() >= n.Expires {
		err = ErrNotFound.Wrapf("%s has expired", n.Name)
	}
	return &namesv1.QueryNameResponse{Name: n}, err
}

// Names lists what an account owns, in the order of the alphabet.
func (q queryServer) Names(ctx context.Context, r *namesv1.QueryNamesRequest) (*namesv1.QueryNamesResponse, error) {
	owner, err := essaim.ParseAddress(r.Owner)
	if err != nil {
		return nil, ErrOwner.Wrap(err.Error())
	}
	out := &namesv1.QueryNamesResponse{}
	err = q.owners.Walk(ctx, collections.NewPrefixedPairRange[[]byte, string](owner[:]), func(key collections.Pair[[]byte, string]) (bool, error) {
		n, err := q.names.Get(ctx, key.K2())
		out.Names = append(out.Names, n)
		return len(out.Names) == listed, err
	})
	return out, err
}

// Quote says what a name costs, and which name stands in its way.
func (q queryServer) Quote(ctx context.Context, r *namesv1.QueryQuoteRequest) (*namesv1.QueryQuoteResponse, error) {
	if err := check(r.Name); err != nil {
		return nil, err
	}
	p, err := q.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	other, free, err := q.alike(ctx, r.Name)
	out := &namesv1.QueryQuoteResponse{Fee: price(p, r.Name)}
	if !free {
		out.Like = other.Name
	}
	return out, err
}

// Params returns the parameters.
func (q queryServer) Params(ctx context.Context, _ *namesv1.QueryParamsRequest) (*namesv1.QueryParamsResponse, error) {
	p, err := q.params.Get(ctx)
	return &namesv1.QueryParamsResponse{Params: p}, err
}
