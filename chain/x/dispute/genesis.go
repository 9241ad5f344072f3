package dispute

import (
	"encoding/json"
	"errors"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/disputev1"
	"github.com/essaim/essaim/quant/dispute"
)

// maxBond and maxMoveBlocks keep governance from closing the way to the judge.
const (
	maxBond       = 100_000 * uint64(essaim.AIM)
	maxMoveBlocks = 100_000
)

// DefaultParams give a side a hundred blocks for a move.
func DefaultParams() disputev1.Params {
	return disputev1.Params{Bond: 10 * uint64(essaim.AIM), MoveBlocks: 100}
}

func checkParams(p disputev1.Params) error {
	if p.Bond == 0 || p.Bond > maxBond || p.MoveBlocks < 2 || p.MoveBlocks > maxMoveBlocks {
		return ErrParams.Wrapf("a bond of %d uaim, want 1 to %d; %d blocks for a move, want 2 to %d", p.Bond, maxBond, p.MoveBlocks, maxMoveBlocks)
	}
	return nil
}

// DefaultGenesis has no disputes.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(&disputev1.GenesisState{Params: DefaultParams(), NextDispute: 1})
}

// ValidateGenesis refuses malformed and repeated entries.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g disputev1.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return err
	}
	return check(g)
}

func check(g disputev1.GenesisState) error {
	if err := checkParams(g.Params); err != nil {
		return err
	}
	ids := map[uint64]bool{}
	for _, d := range g.Disputes {
		_, miner := essaim.ParseNodeKey(d.Miner)
		_, signer := essaim.ParseNodeKey(d.Signer)
		_, challenger := essaim.ParseAddress(d.Challenger)
		_, payer := essaim.ParseAddress(d.Payer)
		played := d.Verdict == disputev1.Verdict_VERDICT_UNSPECIFIED
		var game error
		if played {
			_, game = dispute.DecodeGame(d.Game)
		}
		err := errors.Join(miner, signer, challenger, payer, game)
		if err != nil || d.Id == 0 || d.Id >= g.NextDispute || ids[d.Id] || len(d.Receipt) != 32 || len(d.Model) != 32 ||
			played != (d.Deadline > 0) || played != (len(d.Game) > 0) || d.Bond == 0 {
			return ErrState.Wrapf("dispute %d: %v", d.Id, err)
		}
		ids[d.Id] = true
	}
	return nil
}

// InitGenesis writes the entries.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g disputev1.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.keeper.load(ctx, g); err != nil {
		panic(err)
	}
}

func (k Keeper) load(ctx sdk.Context, g disputev1.GenesisState) error {
	if err := errors.Join(k.params.Set(ctx, g.Params), k.next.Set(ctx, g.NextDispute)); err != nil {
		return err
	}
	for _, d := range g.Disputes {
		if err := k.put(ctx, d, 0); err != nil {
			return err
		}
		if first, err := k.receipts.Has(ctx, d.Receipt); err != nil {
			return err
		} else if !first && d.Verdict == disputev1.Verdict_VERDICT_MINER_WRONG {
			if err := k.receipts.Set(ctx, d.Receipt, d.Id); err != nil {
				return err
			}
		}
	}
	return k.CheckInvariant(ctx)
}

// ExportGenesis writes everything.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	g, err := m.keeper.export(ctx)
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(g)
}

func (k Keeper) export(ctx sdk.Context) (*disputev1.GenesisState, error) {
	g := new(disputev1.GenesisState)
	var err error
	if g.Params, err = k.params.Get(ctx); err != nil {
		return nil, err
	}
	if g.NextDispute, err = k.next.Peek(ctx); err != nil {
		return nil, err
	}
	return g, k.disputes.Walk(ctx, nil, func(_ uint64, d disputev1.Dispute) (bool, error) {
		g.Disputes = append(g.Disputes, d)
		return false, nil
	})
}
