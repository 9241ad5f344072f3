package tally

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim/gen/chain/tallyv1"
)

type msgServer struct{ Keeper }

var _ tallyv1.MsgServer = msgServer{}

// UpdateParams replaces the parameters. A new half-life holds from now on: what credit is
// worth today stays.
func (s msgServer) UpdateParams(ctx context.Context, m *tallyv1.MsgUpdateParams) (*tallyv1.MsgUpdateParamsResponse, error) {
	if m.Authority != s.authority {
		return nil, ErrAuthority.Wrapf("%s is not %s", m.Authority, s.authority)
	}
	if err := checkParams(m.Params); err != nil {
		return nil, err
	}
	old, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	if old.HalfLifeBlocks != m.Params.HalfLifeBlocks {
		now, err := s.rateNow(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.scale.Set(ctx, rebase(now, sdk.UnwrapSDKContext(ctx).BlockHeight(), m.Params.HalfLifeBlocks)); err != nil {
			return nil, err
		}
	}
	return &tallyv1.MsgUpdateParamsResponse{}, s.params.Set(ctx, m.Params)
}

func checkParams(p tallyv1.Params) error {
	switch {
	case p.CapBps < MinCap || p.CapBps > MaxCap:
		return ErrParams.Wrapf("cap_bps is %d, want %d to %d", p.CapBps, MinCap, MaxCap)
	case p.HalfLifeBlocks == 0 || p.HalfLifeBlocks > MaxHalfLife:
		return ErrParams.Wrapf("half_life_blocks is %d, want 1 to %d", p.HalfLifeBlocks, uint64(MaxHalfLife))
	case p.MinBlockMs == 0 || p.MinBlockMs > MaxBlockMS:
		return ErrParams.Wrapf("min_block_ms is %d, want 1 to %d", p.MinBlockMs, MaxBlockMS)
	}
	return nil
}
