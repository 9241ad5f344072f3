package registry

import (
	"context"

	"cosmossdk.io/collections"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/essaim/essaim/gen/chain/registryv1"
)

type queryServer struct{ Keeper }

var _ registryv1.QueryServer = queryServer{}

// Actor returns who holds a node key.
func (s queryServer) Actor(ctx context.Context, r *registryv1.QueryActorRequest) (*registryv1.QueryActorResponse, error) {
	_, a, err := s.get(ctx, r.NodeKey)
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryActorResponse{Actor: a}, nil
}

// Miners lists all miners in the order of their node keys.
func (s queryServer) Miners(ctx context.Context, r *registryv1.QueryMinersRequest) (*registryv1.QueryMinersResponse, error) {
	actors, page, err := s.list(ctx, registryv1.Role_ROLE_MINER, r.Pagination)
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryMinersResponse{Miners: actors, Pagination: page}, nil
}

// Coordinators lists all coordinators in the order of their node keys.
func (s queryServer) Coordinators(ctx context.Context, r *registryv1.QueryCoordinatorsRequest) (*registryv1.QueryCoordinatorsResponse, error) {
	actors, page, err := s.list(ctx, registryv1.Role_ROLE_COORDINATOR, r.Pagination)
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryCoordinatorsResponse{Coordinators: actors, Pagination: page}, nil
}

// Params returns the parameters.
func (s queryServer) Params(ctx context.Context, _ *registryv1.QueryParamsRequest) (*registryv1.QueryParamsResponse, error) {
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryParamsResponse{Params: p}, nil
}

func (s queryServer) list(ctx context.Context, role registryv1.Role, page *query.PageRequest) ([]registryv1.Actor, *query.PageResponse, error) {
	return query.CollectionPaginate(ctx, s.roles, page,
		func(key collections.Pair[uint32, []byte], _ collections.NoValue) (registryv1.Actor, error) {
			return s.actors.Get(ctx, key.K2())
		}, query.WithCollectionPaginationPairPrefix[uint32, []byte](uint32(role)))
}
