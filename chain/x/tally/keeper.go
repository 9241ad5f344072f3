package tally

import (
	"context"
	"errors"
	"math/big"
	"math/bits"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// Stakes is a place where accounts hold stake. Owned must cost no more than the account's
// own positions, TotalStake nothing that grows with the chain.
type Stakes interface {
	// Owned is the stake that an account itself owns, in uaim, without what is leaving.
	Owned(ctx context.Context, account essaim.Address) (uint64, error)
	// TotalStake is the sum over all accounts.
	TotalStake(ctx context.Context) (uint64, error)
}

// Keeper owns the module's state.
type Keeper struct {
	stakes    []Stakes
	authority string // the account of governance

	params   collections.Item[tallyv1.Params]
	scale    collections.Item[tallyv1.Scale]
	credits  collections.Map[[]byte, string] // account to units
	total    collections.Item[string]        // units of all accounts
	ballots  collections.Map[collections.Pair[uint64, []byte], tallyv1.Ballot]
	rank     collections.KeySet[collections.Triple[uint64, uint64, []byte]] // proposal, stake, voter
	polls    collections.Map[uint64, tallyv1.Poll]
	outcomes collections.Map[uint64, tallyv1.Outcome]
	cursor   collections.Item[uint64] // the poll that the last block looked at
}

// NewKeeper declares the state's layout; it panics if two collections clash.
func NewKeeper(cdc codec.BinaryCodec, stores store.KVStoreService, authority string, stakes ...Stakes) Keeper {
	sb := collections.NewSchemaBuilder(stores)
	k := Keeper{
		stakes: stakes, authority: authority,
		params:   collections.NewItem(sb, paramsPrefix, "params", codec.CollValue[tallyv1.Params](cdc)),
		scale:    collections.NewItem(sb, scalePrefix, "scale", codec.CollValue[tallyv1.Scale](cdc)),
		credits:  collections.NewMap(sb, creditsPrefix, "credits", collections.BytesKey, collections.StringValue),
		total:    collections.NewItem(sb, totalPrefix, "total", collections.StringValue),
		ballots:  collections.NewMap(sb, ballotsPrefix, "ballots", collections.PairKeyCodec(collections.Uint64Key, collections.BytesKey), codec.CollValue[tallyv1.Ballot](cdc)),
		rank:     collections.NewKeySet(sb, rankPrefix, "rank", collections.TripleKeyCodec(collections.Uint64Key, collections.Uint64Key, collections.BytesKey)),
		polls:    collections.NewMap(sb, pollsPrefix, "polls", collections.Uint64Key, codec.CollValue[tallyv1.Poll](cdc)),
		outcomes: collections.NewMap(sb, outcomesPrefix, "outcomes", collections.Uint64Key, codec.CollValue[tallyv1.Outcome](cdc)),
		cursor:   collections.NewItem(sb, cursorPrefix, "cursor", collections.Uint64Value),
	}
	if _, err := sb.Build(); err != nil {
		panic(err)
	}
	return k
}

// Params returns the parameters.
func (k Keeper) Params(ctx context.Context) (tallyv1.Params, error) { return k.params.Get(ctx) }

// Credit records that a settlement paid fee, the protocol's, on work of the account's
// miners.
func (k Keeper) Credit(ctx context.Context, account essaim.Address, fee uint64) error {
	if fee == 0 {
		return nil
	}
	now, err := k.rateNow(ctx)
	if err != nil {
		return err
	}
	earned := now.Mul(now, new(big.Int).SetUint64(fee))
	own, err := k.units(ctx, account[:])
	if err != nil {
		return err
	}
	all, err := k.totalUnits(ctx)
	if err != nil {
		return err
	}
	if err := k.credits.Set(ctx, account[:], own.Add(own, earned).String()); err != nil {
		return err
	}
	return k.total.Set(ctx, all.Add(all, earned).String())
}

// units is an account's credit as it is stored.
func (k Keeper) units(ctx context.Context, account []byte) (*big.Int, error) {
	s, err := k.credits.Get(ctx, account)
	return stored(s, err)
}

func (k Keeper) totalUnits(ctx context.Context) (*big.Int, error) {
	s, err := k.total.Get(ctx)
	return stored(s, err)
}

// stored reads a number that is 0 where nothing is stored.
func stored(s string, err error) (*big.Int, error) {
	switch {
	case errors.Is(err, collections.ErrNotFound):
		return new(big.Int), nil
	case err != nil:
		return nil, err
	}
	return number(s)
}

// rateNow is how many units one uaim of fee adds in this block.
func (k Keeper) rateNow(ctx context.Context) (*big.Int, error) {
	p, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	s, err := k.scale.Get(ctx)
	if err != nil {
		return nil, err
	}
	base, err := number(s.Base)
	if err != nil {
		return nil, err
	}
	return rate(base, s.Since, sdk.UnwrapSDKContext(ctx).BlockHeight(), p.HalfLifeBlocks), nil
}

// owned is an account's stake in all places.
func (k Keeper) owned(ctx context.Context, account essaim.Address) (sum uint64, err error) {
	return k.add(func(s Stakes) (uint64, error) { return s.Owned(ctx, account) })
}

// totalStake is everybody's stake in all places.
func (k Keeper) totalStake(ctx context.Context) (uint64, error) {
	return k.add(func(s Stakes) (uint64, error) { return s.TotalStake(ctx) })
}

func (k Keeper) add(read func(Stakes) (uint64, error)) (sum uint64, err error) {
	for _, s := range k.stakes {
		n, err := read(s)
		if err != nil {
			return 0, err
		}
		var carry uint64
		if sum, carry = bits.Add64(sum, n, 0); carry != 0 {
			return 0, ErrState.Wrap("stake is above 2^64 uaim")
		}
	}
	return sum, nil
}
