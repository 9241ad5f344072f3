package market

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
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

// Settlement returns what a settled session paid, and its lines while they are kept.
func (q queryServer) Settlement(ctx context.Context, r *marketv1.QuerySettlementRequest) (*marketv1.QuerySettlementResponse, error) {
	s, err := q.settlements.Get(ctx, r.Session)
	switch {
	case errors.Is(err, collections.ErrNotFound):
		return nil, ErrNotFound.Wrapf("%d is not settled", r.Session)
	case err != nil:
		return nil, err
	}
	out := &marketv1.QuerySettlementResponse{Settlement: s}
	session, err := q.session(ctx, r.Session)
	if err != nil || sdk.UnwrapSDKContext(ctx).BlockHeight() >= session.ContestUntil {
		return out, err // some lines may be gone already
	}
	return out, q.lines.Walk(ctx, collections.NewPrefixedTripleRange[uint64, []byte, []byte](r.Session), func(_ ofSession, l marketv1.SettledLine) (bool, error) {
		out.Lines = append(out.Lines, l.Line) // in the order of their keys: miner, then model
		return false, nil
	})
}

// Line returns what a settled session says that a miner earned with a model.
func (q queryServer) Line(ctx context.Context, r *marketv1.QueryLineRequest) (*marketv1.QueryLineResponse, error) {
	miner, err := essaim.ParseNodeKey(r.Miner)
	if err != nil {
		return nil, ErrPayee.Wrap(err.Error())
	}
	model, err := essaim.ParseDigest(r.Model)
	if err != nil {
		return nil, ErrModel.Wrap(err.Error())
	}
	switch s, err := q.session(ctx, r.Session); {
	case err != nil:
		return nil, err
	case s.State == marketv1.State_STATE_OPEN || s.State == marketv1.State_STATE_LAPSED:
		return nil, ErrNotFound.Wrapf("%d is not over", r.Session)
	case sdk.UnwrapSDKContext(ctx).BlockHeight() >= s.ContestUntil:
		return nil, ErrLate.Wrapf("%d", r.Session)
	}
	have, err := q.lines.Get(ctx, lineKey(r.Session, miner, model))
	if errors.Is(err, collections.ErrNotFound) {
		have, err = marketv1.SettledLine{Line: marketv1.Line{Miner: miner[:], Model: model[:]}}, nil
	}
	have.Line.Amount -= have.Voided
	return &marketv1.QueryLineResponse{Line: have.Line}, err
}

// CoordinatorRecord returns how a coordinator has kept its word.
func (q queryServer) CoordinatorRecord(ctx context.Context, r *marketv1.QueryCoordinatorRecordRequest) (*marketv1.QueryCoordinatorRecordResponse, error) {
	node, err := essaim.ParseNodeKey(r.Coordinator)
	if err != nil {
		return nil, ErrCoordinator.Wrap(err.Error())
	}
	record, err := q.record(ctx, node)
	if err != nil {
		return nil, err
	}
	record.OpenDeposits, err = q.deposits(ctx, node)
	return &marketv1.QueryCoordinatorRecordResponse{Record: record}, err
}

// Draws returns what a coordinator is asked to show.
func (q queryServer) Draws(ctx context.Context, r *marketv1.QueryDrawsRequest) (*marketv1.QueryDrawsResponse, error) {
	node, err := essaim.ParseNodeKey(r.Coordinator)
	if err != nil {
		return nil, ErrCoordinator.Wrap(err.Error())
	}
	out := &marketv1.QueryDrawsResponse{}
	return out, q.asked.Walk(ctx, collections.NewPrefixedPairRange[[]byte, uint64](node[:]), func(key collections.Pair[[]byte, uint64]) (bool, error) {
		draws, err := q.drawsOf(ctx, key.K2())
		out.Draws = append(out.Draws, draws...)
		return len(out.Draws) > drawsPerAnswer-MaxOpenings, err
	})
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
