package dispute

import (
	"context"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/essaim/essaim/gen/chain/disputev1"
)

type queryServer struct{ Keeper }

var _ disputev1.QueryServer = queryServer{}

// Params returns the parameters.
func (q queryServer) Params(ctx context.Context, _ *disputev1.QueryParamsRequest) (*disputev1.QueryParamsResponse, error) {
	p, err := q.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	return &disputev1.QueryParamsResponse{Params: p}, nil
}

// Dispute returns one dispute.
func (q queryServer) Dispute(ctx context.Context, r *disputev1.QueryDisputeRequest) (*disputev1.QueryDisputeResponse, error) {
	d, err := q.dispute(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return &disputev1.QueryDisputeResponse{Dispute: d}, nil
}

// Disputes lists all disputes, oldest first.
func (q queryServer) Disputes(ctx context.Context, r *disputev1.QueryDisputesRequest) (*disputev1.QueryDisputesResponse, error) {
	all, page, err := query.CollectionPaginate(ctx, q.disputes, r.Pagination,
		func(_ uint64, d disputev1.Dispute) (disputev1.Dispute, error) { return d, nil })
	if err != nil {
		return nil, err
	}
	return &disputev1.QueryDisputesResponse{Disputes: all, Pagination: page}, nil
}
