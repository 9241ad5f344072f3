package names

import (
	"encoding/json"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/namesv1"
)

// DefaultParams: a name costs 1 AIM for about a year of blocks of six seconds, and its owner has
// about a month to think of it.
func DefaultParams() namesv1.Params {
	return namesv1.Params{Fee: uint64(essaim.AIM), PeriodBlocks: 5_000_000, GraceBlocks: 400_000}
}

// DefaultGenesis is an empty list.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(&namesv1.GenesisState{Params: DefaultParams()})
}

// ValidateGenesis refuses what Register would refuse.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g namesv1.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return err
	}
	if err := checkParams(g.Params); err != nil {
		return err
	}
	looks := map[string]string{}
	for _, n := range g.Names {
		if err := check(n.Name); err != nil {
			return err
		}
		if _, err := essaim.ParseAddress(n.Owner); err != nil {
			return ErrOwner.Wrap(err.Error())
		}
		if other, taken := looks[Look(n.Name)]; taken {
			return ErrAlike.Wrapf("%s looks like %s", n.Name, other)
		}
		looks[Look(n.Name)] = n.Name
	}
	return nil
}

// InitGenesis writes the names, and finds out again how they look.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g namesv1.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.keeper.params.Set(ctx, g.Params); err != nil {
		panic(err)
	}
	for _, n := range g.Names {
		if err := m.keeper.put(ctx, n); err != nil {
			panic(err)
		}
	}
}

// ExportGenesis reads every name back.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	p, err := m.keeper.params.Get(ctx)
	g := namesv1.GenesisState{Params: p}
	if err == nil {
		err = m.keeper.names.Walk(ctx, nil, func(_ string, n namesv1.Name) (bool, error) {
			g.Names = append(g.Names, n)
			return false, nil
		})
	}
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(&g)
}
