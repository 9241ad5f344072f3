package market

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

type queryServer struct{ Keeper }

var _ marketv1.QueryServer = queryServer{}

// Session returns one session.
func (q queryServer) Session(ctx context.Context, r *marketv1.QuerySessionRequest) (*marketv1.QuerySessionResponse, error) {
	s, err := q.session(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return &marketv1.QuerySessionResponse{Session: s}, nil
}

// Sessions lists a payer's sessions, oldest first.
func (q queryServer) Sessions(ctx context.Context, r *marketv1.QuerySessionsRequest) (*marketv1.QuerySessionsResponse, error) {
	payer, err := essaim.ParseAddress(r.Payer)
	if err != nil {
		return nil, ErrPayer.Wrap(err.Error())
	}
	sessions, page, err := query.CollectionPaginate(ctx, q.payers, r.Pagination,
		func(key collections.Pair[[]byte, uint64], _ collections.NoValue) (marketv1.Session, error) {
			return q.sessions.Get(ctx, key.K2())
		}, query.WithCollectionPaginationPairPrefix[[]byte, uint64](payer[:]))
	if err != nil {
		return nil, err
	}
	return &marketv1.QuerySessionsResponse{Sessions: sessions, Pagination: page}, nil
}

// Settlement returns what a settled session paid.
func (q queryServer) Settlement(ctx context.Context, r *marketv1.QuerySettlementRequest) (*marketv1.QuerySettlementResponse, error) {
	s, err := q.settlements.Get(ctx, r.Session)
	switch {
	case errors.Is(err, collections.ErrNotFound):
		return nil, ErrNotFound.Wrapf("%d is not settled", r.Session)
	case err != nil:
		return nil, err
	}
	return &marketv1.QuerySettlementResponse{Settlement: s}, nil
}

// Totals returns the sums over all sessions.
func (q queryServer) Totals(ctx context.Context, _ *marketv1.QueryTotalsRequest) (*marketv1.QueryTotalsResponse, error) {
	t, err := q.totals.Get(ctx)
	if err != nil {
		return nil, err
	}
	return &marketv1.QueryTotalsResponse{Totals: t}, nil
}

// Params returns the parameters.
func (q queryServer) Params(ctx context.Context, _ *marketv1.QueryParamsRequest) (*marketv1.QueryParamsResponse, error) {
	p, err := q.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	return &marketv1.QueryParamsResponse{Params: p}, nil
}
