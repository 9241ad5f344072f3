package model

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/modelv1"
)

// Bank is what the module needs of x/bank.
type Bank interface {
	BlockedAddr(addr sdk.AccAddress) bool
}

// Keeper owns the module's state. Other modules read it through Model.
type Keeper struct {
	bank   Bank
	models collections.Map[[]byte, modelv1.Model] // by digest
}

// NewKeeper declares the state's layout; it panics if two collections clash.
func NewKeeper(cdc codec.BinaryCodec, stores store.KVStoreService, bank Bank) Keeper {
	sb := collections.NewSchemaBuilder(stores)
	k := Keeper{
		bank:   bank,
		models: collections.NewMap(sb, modelsPrefix, "models", collections.BytesKey, codec.CollValue[modelv1.Model](cdc)),
	}
	if _, err := sb.Build(); err != nil {
		panic(err)
	}
	return k
}

// Model returns a registered model; ok is false if there is none.
func (k Keeper) Model(ctx context.Context, d essaim.Digest) (m essaim.Model, ok bool, err error) {
	stored, err := k.models.Get(ctx, d[:])
	switch {
	case errors.Is(err, collections.ErrNotFound):
		return m, false, nil
	case err != nil:
		return m, false, err
	}
	if m, err = Word(stored); err != nil {
		return m, false, fmt.Errorf("stored model %s: %w", d, err)
	}
	return m, true, nil
}

// Word turns the stored form of a model into the network's word for it.
func Word(m modelv1.Model) (essaim.Model, error) {
	owner, err := essaim.ParseAddress(m.Owner)
	if err != nil {
		return essaim.Model{}, err
	}
	var data []essaim.DataShare
	for _, d := range m.Data {
		to, err := essaim.ParseAddress(d.Owner)
		if err != nil {
			return essaim.Model{}, err
		}
		data = append(data, essaim.DataShare{Owner: to, Royalty: essaim.Bps(d.RoyaltyBps)})
	}
	return essaim.Model{
		Digest: essaim.DigestOf(m.Manifest), Owner: owner, Manifest: m.Manifest,
		Name: m.Name, Kind: essaim.Kind(m.Kind), Engine: m.Engine, Licence: m.Licence,
		UnitPrice: essaim.Amount(m.UnitPrice), Royalty: essaim.Bps(m.RoyaltyBps), Data: data,
	}, nil
}

// get returns the stored form of a model by the text of its digest.
func (k Keeper) get(ctx context.Context, digest string) (essaim.Digest, modelv1.Model, error) {
	d, err := essaim.ParseDigest(digest)
	if err != nil {
		return d, modelv1.Model{}, ErrDigest
	}
	m, err := k.models.Get(ctx, d[:])
	if errors.Is(err, collections.ErrNotFound) {
		err = ErrNotFound.Wrap(d.String())
	}
	return d, m, err
}
