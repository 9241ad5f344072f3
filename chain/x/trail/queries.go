package trail

import (
	"context"

	"github.com/essaim/essaim/gen/chain/trailv1"
)

type queryServer struct{ Keeper }

var _ trailv1.QueryServer = queryServer{}

// Root returns the entry of one height.
func (q queryServer) Root(ctx context.Context, r *trailv1.QueryRootRequest) (*trailv1.QueryRootResponse, error) {
	e, ok, err := q.Entry(ctx, r.Height)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, ErrNotFound.Wrapf("height %d", r.Height)
	}
	return &trailv1.QueryRootResponse{Entry: e}, nil
}

// Roots lists entries in the order of their heights.
func (q queryServer) Roots(ctx context.Context, r *trailv1.QueryRootsRequest) (*trailv1.QueryRootsResponse, error) {
	limit := uint32(maxRoots)
	if r.Limit > 0 {
		limit = min(limit, r.Limit)
	}
	entries, err := q.Entries(ctx, r.From, int(limit))
	if err != nil {
		return nil, err
	}
	return &trailv1.QueryRootsResponse{Entries: entries}, nil
}

// Schema says what is recorded, and how.
func (q queryServer) Schema(context.Context, *trailv1.QuerySchemaRequest) (*trailv1.QuerySchemaResponse, error) {
	return &trailv1.QuerySchemaResponse{Version: Version, Prefix: Prefix, Types: others}, nil
}
