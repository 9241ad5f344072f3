package model

import (
	"context"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/essaim/essaim/gen/chain/modelv1"
)

type queryServer struct{ Keeper }

var _ modelv1.QueryServer = queryServer{}

// Model returns one model by its digest.
func (s queryServer) Model(ctx context.Context, r *modelv1.QueryModelRequest) (*modelv1.QueryModelResponse, error) {
	_, m, err := s.get(ctx, r.Digest)
	if err != nil {
		return nil, err
	}
	return &modelv1.QueryModelResponse{Model: m}, nil
}

// Models lists all models in the order of their digests.
func (s queryServer) Models(ctx context.Context, r *modelv1.QueryModelsRequest) (*modelv1.QueryModelsResponse, error) {
	models, page, err := query.CollectionPaginate(ctx, s.models, r.Pagination,
		func(_ []byte, m modelv1.Model) (modelv1.Model, error) { return m, nil })
	if err != nil {
		return nil, err
	}
	return &modelv1.QueryModelsResponse{Models: models, Pagination: page}, nil
}
