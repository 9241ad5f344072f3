package beacon

import (
	"context"

	"cosmossdk.io/collections"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/essaim/essaim/gen/chain/beaconv1"
)

type queryServer struct{ keeper Keeper }

var _ beaconv1.QueryServer = queryServer{}

// Params returns the parameters.
func (q queryServer) Params(ctx context.Context, _ *beaconv1.QueryParamsRequest) (*beaconv1.QueryParamsResponse, error) {
	p, err := q.keeper.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	return &beaconv1.QueryParamsResponse{Params: p}, nil
}

// Beacon returns the beacon of a height, or the newest.
func (q queryServer) Beacon(ctx context.Context, r *beaconv1.QueryBeaconRequest) (*beaconv1.QueryBeaconResponse, error) {
	height := r.Height
	if height == 0 {
		var err error
		if height, err = q.keeper.newest(ctx); err != nil {
			return nil, err
		}
	}
	b, ok, err := q.keeper.Beacon(ctx, height)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, ErrNotFound.Wrapf("height %d", height)
	}
	return &beaconv1.QueryBeaconResponse{Beacon: b}, nil
}

// newest is the height of the newest beacon; 0: there is none.
func (k Keeper) newest(ctx context.Context) (height int64, err error) {
	err = k.beacons.Walk(ctx, new(collections.Range[int64]).Descending(), func(h int64, _ beaconv1.Beacon) (bool, error) {
		height = h
		return true, nil
	})
	return height, err
}

// Keys lists the validators' keys.
func (q queryServer) Keys(ctx context.Context, r *beaconv1.QueryKeysRequest) (*beaconv1.QueryKeysResponse, error) {
	list, page, err := query.CollectionPaginate(ctx, q.keeper.keys, r.Pagination, func(_ []byte, key beaconv1.Key) (beaconv1.Key, error) {
		return key, nil
	})
	if err != nil {
		return nil, err
	}
	return &beaconv1.QueryKeysResponse{Keys: list, Pagination: page}, nil
}
