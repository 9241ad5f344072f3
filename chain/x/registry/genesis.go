package registry

import (
	"encoding/json"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// DefaultParams suit a public network with blocks of a few seconds.
func DefaultParams() registryv1.Params {
	return registryv1.Params{
		MinBondMiner:       uint64(1_000 * essaim.AIM),
		MinBondCoordinator: uint64(20_000 * essaim.AIM),
		UnbondingBlocks:    300_000,
	}
}

// DefaultGenesis has no actors.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(&registryv1.GenesisState{Params: DefaultParams()})
}

// ValidateGenesis refuses malformed and repeated actors.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g registryv1.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return err
	}
	if err := checkParams(g.Params); err != nil {
		return err
	}
	seen := map[essaim.NodeKey]bool{}
	for i := range g.Actors {
		a := &g.Actors[i]
		node, err := check(a)
		switch {
		case err != nil:
			return err
		case seen[node]:
			return ErrRegistered.Wrap(a.NodeKey)
		case (a.RetiredAt == 0) != (a.ReleaseAt == 0):
			return ErrRetired.Wrapf("%s is retired at %d but released at %d", a.NodeKey, a.RetiredAt, a.ReleaseAt)
		}
		seen[node] = true
	}
	return nil
}

// InitGenesis writes the actors; x/bank's genesis must hold their bonds already.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g registryv1.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.keeper.params.Set(ctx, g.Params); err != nil {
		panic(err)
	}
	for _, a := range g.Actors {
		node, err := check(&a)
		if err != nil {
			panic(err)
		}
		if err := m.keeper.put(ctx, node, a); err != nil {
			panic(err)
		}
	}
	if err := m.keeper.CheckInvariant(ctx); err != nil {
		panic(err)
	}
}

// ExportGenesis reads parameters and actors back.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	params, err := m.keeper.params.Get(ctx)
	if err != nil {
		panic(err)
	}
	g := registryv1.GenesisState{Params: params}
	err = m.keeper.actors.Walk(ctx, nil, func(_ []byte, a registryv1.Actor) (bool, error) {
		g.Actors = append(g.Actors, a)
		return false, nil
	})
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(&g)
}
