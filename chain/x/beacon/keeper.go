package beacon

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/essaim/essaim/gen/chain/beaconv1"
)

// Validators is who may have a key: x/staking.
type Validators interface {
	GetValidator(ctx context.Context, operator sdk.ValAddress) (stakingtypes.Validator, error)
}

// Keeper owns the module's state.
type Keeper struct {
	validators Validators
	authority  string // the account of governance

	params  collections.Item[beaconv1.Params]
	keys    collections.Map[[]byte, beaconv1.Key]
	beacons collections.Map[int64, beaconv1.Beacon]
}

// NewKeeper declares the state's layout; it panics if two collections clash.
func NewKeeper(cdc codec.BinaryCodec, stores store.KVStoreService, validators Validators, authority string) Keeper {
	sb := collections.NewSchemaBuilder(stores)
	k := Keeper{
		validators: validators, authority: authority,
		params:  collections.NewItem(sb, paramsPrefix, "params", codec.CollValue[beaconv1.Params](cdc)),
		keys:    collections.NewMap(sb, keysPrefix, "keys", collections.BytesKey, codec.CollValue[beaconv1.Key](cdc)),
		beacons: collections.NewMap(sb, beaconsPrefix, "beacons", collections.Int64Key, codec.CollValue[beaconv1.Beacon](cdc)),
	}
	if _, err := sb.Build(); err != nil {
		panic(err)
	}
	return k
}

// Beacon returns what is known of a height's beacon; ok is false if it is not kept, or has
// not come.
func (k Keeper) Beacon(ctx context.Context, height int64) (b beaconv1.Beacon, ok bool, err error) {
	b, err = k.beacons.Get(ctx, height)
	switch {
	case errors.Is(err, collections.ErrNotFound):
		return b, false, nil
	case err == nil && len(b.Value) != 32:
		return b, false, ErrState.Wrapf("beacon of height %d has %d bytes", height, len(b.Value))
	}
	return b, err == nil, err
}

// At returns the value alone, for modules that draw from it. Those for which it matters
// that nobody knew it ask Beacon.
func (k Keeper) At(ctx context.Context, height int64) (v [32]byte, ok bool, err error) {
	b, ok, err := k.Beacon(ctx, height)
	if ok {
		copy(v[:], b.Value)
	}
	return v, ok, err
}

// previous is the beacon before a height; before the first, zeros.
func (k Keeper) previous(ctx context.Context, height int64) ([32]byte, error) {
	v, _, err := k.At(ctx, height-1)
	return v, err
}

// input is what validators prove over at a height.
func (k Keeper) input(ctx sdk.Context, height int64) ([]byte, error) {
	previous, err := k.previous(ctx, height)
	return Input(ctx.ChainID(), height, previous), err
}

// keyAt is the key that a validator proves with at a height.
func (k Keeper) keyAt(ctx context.Context, validator sdk.ConsAddress, height int64) (p Public, ok bool, err error) {
	e, err := k.keys.Get(ctx, validator)
	if errors.Is(err, collections.ErrNotFound) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	text := e.Key
	if height < e.From {
		text = e.Previous
	}
	if text == "" {
		return p, false, nil
	}
	p, err = ParsePublic(text)
	return p, err == nil, err
}

// Extend is the vote extension of a validator that holds a secret. It is empty if the
// secret is not the one that the ledger has for the height: a wrong proof would cost the
// validator its vote.
func (k Keeper) Extend(ctx sdk.Context, validator sdk.ConsAddress, secret Secret, height int64) ([]byte, error) {
	key, ok, err := k.keyAt(ctx, validator, height)
	if err != nil || !ok || key != secret.Public() {
		return nil, err
	}
	input, err := k.input(ctx, height)
	if err != nil {
		return nil, err
	}
	return secret.Prove(input), nil
}

// Acceptable tells whether a vote may carry an extension: none, or the validator's proof
// over the height's input. A validator that has lost its key must stay able to vote, or a
// third of them would stop the chain for good.
func (k Keeper) Acceptable(ctx sdk.Context, validator sdk.ConsAddress, height int64, extension []byte) (bool, error) {
	if len(extension) == 0 {
		return true, nil
	}
	input, err := k.input(ctx, height)
	if err != nil {
		return false, err
	}
	_, ok, err := k.output(ctx, validator, height, input, extension)
	return ok, err
}

func (k Keeper) output(ctx context.Context, validator sdk.ConsAddress, height int64, input, proof []byte) ([]byte, bool, error) {
	if len(proof) != ProofSize {
		return nil, false, nil
	}
	key, ok, err := k.keyAt(ctx, validator, height)
	if err != nil || !ok {
		return nil, false, err
	}
	out, ok := key.Verify(input, proof)
	return out, ok, nil
}

// Advance derives and keeps the beacon of the block that ctx is in, from the votes for the
// block before: none where votes carry no extensions. Who signed them is the caller's
// question. A wrong proof is passed over: a precommit that comes late enters the commit
// without anybody having looked at it.
func (k Keeper) Advance(ctx sdk.Context, votes []abci.ExtendedVoteInfo) error {
	height := ctx.BlockHeight()
	input, err := k.input(ctx, height-1)
	if err != nil {
		return err
	}
	b := beaconv1.Beacon{Height: height, Validators: uint32(len(votes))}
	var total, proved, strongest int64
	var outputs [][]byte
	for _, v := range votes {
		total += v.Validator.Power
		if v.BlockIdFlag != cmtproto.BlockIDFlagCommit {
			continue
		}
		out, ok, err := k.output(ctx, v.Validator.Address, height-1, input, v.VoteExtension)
		if err != nil {
			return err
		}
		if ok {
			proved += v.Validator.Power
			strongest = max(strongest, v.Validator.Power)
			outputs = append(outputs, out)
		}
	}
	slices.SortFunc(outputs, bytes.Compare)
	previous, err := k.previous(ctx, height)
	if err != nil {
		return err
	}
	v := value(ctx.ChainID(), height, previous, outputs)
	b.Value, b.Contributors, b.Unpredictable = v[:], uint32(len(outputs)), proved-strongest > total/3
	if err := k.beacons.Set(ctx, height, b); err != nil {
		return err
	}
	return k.prune(ctx, height)
}

// prune forgets some beacons that are too old, more than come: after the parameter has
// fallen it catches up over many blocks.
func (k Keeper) prune(ctx context.Context, height int64) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	var old []int64
	upTo := new(collections.Range[int64]).EndInclusive(height - int64(p.KeepBlocks))
	if err := k.beacons.Walk(ctx, upTo, func(h int64, _ beaconv1.Beacon) (bool, error) {
		old = append(old, h)
		return len(old) == prunesPerBlock, nil
	}); err != nil {
		return err
	}
	for _, h := range old {
		if err := k.beacons.Remove(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// Hooks tell the module of validators that are gone.
type Hooks struct {
	stakingtypes.MultiStakingHooks // an empty one, for what the module need not know
	keeper                         Keeper
}

// NewHooks is for the staking keeper's SetHooks.
func NewHooks(k Keeper) Hooks { return Hooks{keeper: k} }

// AfterValidatorRemoved forgets its key.
func (h Hooks) AfterValidatorRemoved(ctx context.Context, validator sdk.ConsAddress, _ sdk.ValAddress) error {
	return h.keeper.keys.Remove(ctx, validator)
}
