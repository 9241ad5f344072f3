package beacon

import (
	"encoding/json"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/beaconv1"
)

// DefaultParams keep beacons for about half a day of blocks of a few seconds.
func DefaultParams() beaconv1.Params { return beaconv1.Params{KeepBlocks: 10_000} }

// DefaultGenesis has no keys.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(&beaconv1.GenesisState{Params: DefaultParams()})
}

// ValidateGenesis refuses malformed and repeated entries.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g beaconv1.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return err
	}
	if err := checkParams(g.Params); err != nil {
		return err
	}
	operators, heights := map[essaim.Address]bool{}, map[int64]bool{}
	for _, k := range g.Keys {
		operator, err := essaim.ParseAddress(k.Operator)
		if err != nil {
			return ErrAddress.Wrap(err.Error())
		}
		if operators[operator] {
			return ErrAddress.Wrapf("%s twice", operator)
		}
		operators[operator] = true
		if _, err := ParsePublic(k.Key); err != nil {
			return err
		}
		if _, err := ParsePublic(k.Previous); err != nil && k.Previous != "" {
			return err
		}
	}
	for _, b := range g.Beacons {
		if b.Height < 1 || len(b.Value) != 32 || heights[b.Height] {
			return ErrState.Wrapf("beacon of height %d with %d bytes", b.Height, len(b.Value))
		}
		heights[b.Height] = true
	}
	return nil
}

// InitGenesis writes the entries. It comes after x/staking, which knows the validators.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g beaconv1.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.keeper.load(ctx, g); err != nil {
		panic(err)
	}
}

func (k Keeper) load(ctx sdk.Context, g beaconv1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	for _, key := range g.Keys {
		operator, err := essaim.ParseAddress(key.Operator)
		if err != nil {
			return err
		}
		validator, err := k.consensusOf(ctx, operator)
		if err != nil {
			return err
		}
		if err := k.keys.Set(ctx, validator, key); err != nil {
			return err
		}
	}
	for _, b := range g.Beacons {
		if err := k.beacons.Set(ctx, b.Height, b); err != nil {
			return err
		}
	}
	return nil
}

// ExportGenesis reads everything back.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	g, err := m.keeper.dump(ctx)
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(&g)
}

func (k Keeper) dump(ctx sdk.Context) (g beaconv1.GenesisState, err error) {
	if g.Params, err = k.params.Get(ctx); err != nil {
		return g, err
	}
	if err = k.keys.Walk(ctx, nil, func(_ []byte, key beaconv1.Key) (bool, error) {
		g.Keys = append(g.Keys, key)
		return false, nil
	}); err != nil {
		return g, err
	}
	err = k.beacons.Walk(ctx, nil, func(_ int64, b beaconv1.Beacon) (bool, error) {
		g.Beacons = append(g.Beacons, b)
		return false, nil
	})
	return g, err
}
