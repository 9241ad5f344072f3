package registry

import (
	"context"

	"cosmossdk.io/collections"
	"github.com/cosmos/cosmos-sdk/types/query"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

type queryServer struct{ Keeper }

var _ registryv1.QueryServer = queryServer{}

// Actor returns who holds a node key.
func (s queryServer) Actor(ctx context.Context, r *registryv1.QueryActorRequest) (*registryv1.QueryActorResponse, error) {
	a, err := s.get(ctx, r.NodeKey)
	if err != nil {
		return nil, err
	}
	if err := s.present(ctx, &a); err != nil {
		return nil, err
	}
	return &registryv1.QueryActorResponse{Actor: a}, nil
}

// Miners lists all miners by falling stake.
func (s queryServer) Miners(ctx context.Context, r *registryv1.QueryMinersRequest) (*registryv1.QueryMinersResponse, error) {
	actors, page, err := s.list(ctx, registryv1.Role_ROLE_MINER, r.Pagination)
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryMinersResponse{Miners: actors, Pagination: page}, nil
}

// Coordinators lists all coordinators by falling stake.
func (s queryServer) Coordinators(ctx context.Context, r *registryv1.QueryCoordinatorsRequest) (*registryv1.QueryCoordinatorsResponse, error) {
	actors, page, err := s.list(ctx, registryv1.Role_ROLE_COORDINATOR, r.Pagination)
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryCoordinatorsResponse{Coordinators: actors, Pagination: page}, nil
}

func (s queryServer) list(ctx context.Context, role registryv1.Role, page *query.PageRequest) ([]registryv1.Actor, *query.PageResponse, error) {
	return query.CollectionPaginate(ctx, s.ranks, page,
		func(key byRank, _ collections.NoValue) (registryv1.Actor, error) {
			a, err := s.actors.Get(ctx, key.K2().K2())
			if err != nil {
				return a, err
			}
			return a, s.present(ctx, &a)
		}, query.WithCollectionPaginationPairPrefix[uint32, ofNumber](uint32(role)))
}

// Delegations lists what an account has staked, with today's value and reward.
func (s queryServer) Delegations(ctx context.Context, r *registryv1.QueryDelegationsRequest) (*registryv1.QueryDelegationsResponse, error) {
	who, err := essaim.ParseAddress(r.Delegator)
	if err != nil {
		return nil, ErrOwner.Wrap(err.Error())
	}
	list, page, err := query.CollectionPaginate(ctx, s.holders, r.Pagination,
		func(key byHolder, _ collections.NoValue) (registryv1.StakeOf, error) {
			return s.stakeOf(ctx, key.K2(), who)
		},
		query.WithCollectionPaginationPairPrefix[[]byte, uint64](who[:]))
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryDelegationsResponse{Delegations: list, Pagination: page}, nil
}

// Delegators lists who backs an actor.
func (s queryServer) Delegators(ctx context.Context, r *registryv1.QueryDelegatorsRequest) (*registryv1.QueryDelegatorsResponse, error) {
	a, err := s.get(ctx, r.NodeKey)
	if err != nil {
		return nil, err
	}
	list, page, err := query.CollectionPaginate(ctx, s.stakes, r.Pagination,
		func(key ofActor, _ registryv1.Delegation) (registryv1.StakeOf, error) {
			return s.stakeOf(ctx, a.Id, essaim.Address(key.K2()))
		}, query.WithCollectionPaginationPairPrefix[uint64, []byte](a.Id))
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryDelegatorsResponse{Delegations: list, Pagination: page}, nil
}

func (s queryServer) stakeOf(ctx context.Context, actor uint64, who essaim.Address) (registryv1.StakeOf, error) {
	a, err := s.actors.Get(ctx, actor)
	if err != nil {
		return registryv1.StakeOf{}, err
	}
	d, err := s.stake(ctx, actor, who)
	if err != nil {
		return registryv1.StakeOf{}, err
	}
	p, pos := poolOf(a), positionOf(d)
	out := registryv1.StakeOf{Delegation: d, NodeKey: a.NodeKey, Value: p.Value(d.Shares), Reward: p.Take(&pos)}
	if a.Owner == d.Delegator {
		out.Reward += a.Earned
	}
	return out, nil
}

// Exits lists an account's stake on its way out.
func (s queryServer) Exits(ctx context.Context, r *registryv1.QueryExitsRequest) (*registryv1.QueryExitsResponse, error) {
	who, err := essaim.ParseAddress(r.Delegator)
	if err != nil {
		return nil, ErrOwner.Wrap(err.Error())
	}
	list, page, err := query.CollectionPaginate(ctx, s.exitsOf, r.Pagination,
		func(key byHolder, _ collections.NoValue) (registryv1.ExitOf, error) { return s.exitOf(ctx, key.K2()) },
		query.WithCollectionPaginationPairPrefix[[]byte, uint64](who[:]))
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryExitsResponse{Exits: list, Pagination: page}, nil
}

func (s queryServer) exitOf(ctx context.Context, id uint64) (out registryv1.ExitOf, err error) {
	if out.Exit, err = s.exits.Get(ctx, id); err != nil {
		return out, err
	}
	a, err := s.actors.Get(ctx, out.Exit.Actor)
	if err != nil {
		return out, err
	}
	out.NodeKey, out.Value = a.NodeKey, poolOf(a).Value(out.Exit.Shares)
	if out.Exit.To != 0 {
		to, err := or(s.actors.Get(ctx, out.Exit.To))
		if err != nil {
			return out, err
		}
		out.To = to.NodeKey
	}
	return out, nil
}

// Slash returns one slash.
func (s queryServer) Slash(ctx context.Context, r *registryv1.QuerySlashRequest) (*registryv1.QuerySlashResponse, error) {
	x, err := s.slash(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return &registryv1.QuerySlashResponse{Slash: x}, nil
}

// Slashes lists slashes, oldest first.
func (s queryServer) Slashes(ctx context.Context, r *registryv1.QuerySlashesRequest) (out *registryv1.QuerySlashesResponse, err error) {
	out = &registryv1.QuerySlashesResponse{}
	if r.NodeKey == "" {
		out.Slashes, out.Pagination, err = query.CollectionPaginate(ctx, s.slashes, r.Pagination,
			func(_ uint64, x registryv1.Slash) (registryv1.Slash, error) { return x, nil })
		return out, err
	}
	a, err := s.get(ctx, r.NodeKey)
	if err != nil {
		return nil, err
	}
	out.Slashes, out.Pagination, err = query.CollectionPaginate(ctx, s.slashesOf, r.Pagination,
		func(key ofNumber, _ collections.NoValue) (registryv1.Slash, error) {
			return s.slashes.Get(ctx, key.K2())
		},
		query.WithCollectionPaginationPairPrefix[uint64, uint64](a.Id))
	return out, err
}

// Emission returns where emission stands, and the closed epochs.
func (s queryServer) Emission(ctx context.Context, r *registryv1.QueryEmissionRequest) (*registryv1.QueryEmissionResponse, error) {
	state, err := s.emission.Get(ctx)
	if err != nil {
		return nil, err
	}
	epochs, page, err := query.CollectionPaginate(ctx, s.epochs, r.Pagination,
		func(_ uint64, e registryv1.Epoch) (registryv1.Epoch, error) { return e, nil })
	if err != nil {
		return nil, err
	}
	held := s.bank.GetBalance(ctx, authtypes.NewModuleAddress(EmissionName), essaim.Denom).Amount
	out := &registryv1.QueryEmissionResponse{State: state, Epochs: epochs, Pagination: page}
	if held.IsUint64() {
		out.Balance = held.Uint64()
	}
	return out, nil
}

// Totals returns the sum of all active stake.
func (s queryServer) Totals(ctx context.Context, _ *registryv1.QueryTotalsRequest) (*registryv1.QueryTotalsResponse, error) {
	total, err := s.TotalStake(ctx)
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryTotalsResponse{ActiveStake: total}, nil
}

// Params returns the parameters.
func (s queryServer) Params(ctx context.Context, _ *registryv1.QueryParamsRequest) (*registryv1.QueryParamsResponse, error) {
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	return &registryv1.QueryParamsResponse{Params: p}, nil
}
