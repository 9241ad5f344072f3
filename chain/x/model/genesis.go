package model

import (
	"encoding/json"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/modelv1"
)

// DefaultGenesis is an empty list.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(&modelv1.GenesisState{})
}

// ValidateGenesis refuses what RegisterModel would refuse.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g modelv1.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return err
	}
	seen := map[essaim.Digest]bool{}
	for _, m := range g.Models {
		_, digest, err := parse(registration(m))
		switch {
		case err != nil:
			return err
		case seen[digest]:
			return ErrRegistered.Wrap(digest.String())
		}
		seen[digest] = true
	}
	return nil
}

// InitGenesis writes the models. What the ledger shows of a manifest is read from it
// again.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g modelv1.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	for _, stored := range g.Models {
		model, digest, err := parse(registration(stored))
		if err != nil {
			panic(err)
		}
		if err := m.keeper.models.Set(ctx, digest[:], model); err != nil {
			panic(err)
		}
	}
}

// ExportGenesis reads every model back.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	var g modelv1.GenesisState
	err := m.keeper.models.Walk(ctx, nil, func(_ []byte, model modelv1.Model) (bool, error) {
		g.Models = append(g.Models, model)
		return false, nil
	})
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(&g)
}

func registration(m modelv1.Model) *modelv1.MsgRegisterModel {
	return &modelv1.MsgRegisterModel{Owner: m.Owner, Manifest: m.Manifest, UnitPrice: m.UnitPrice, RoyaltyBps: m.RoyaltyBps, Data: m.Data}
}
