package names

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"
	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/namesv1"
)

// Bank is what the module needs of x/bank.
type Bank interface {
	BlockedAddr(addr sdk.AccAddress) bool
}

// Treasury is what the module needs of x/distribution.
type Treasury interface {
	FundCommunityPool(ctx context.Context, amount sdk.Coins, sender sdk.AccAddress) error
}

// Keeper owns the module's state.
type Keeper struct {
	bank      Bank
	treasury  Treasury
	authority string // governance

	params collections.Item[namesv1.Params]
	names  collections.Map[string, namesv1.Name]
	looks  collections.Map[string, string] // the name that has a look
	owners collections.KeySet[collections.Pair[[]byte, string]]
}

// NewKeeper declares the state's layout; it panics if two collections clash.
func NewKeeper(cdc codec.BinaryCodec, stores store.KVStoreService, bank Bank, treasury Treasury, authority string) Keeper {
	sb := collections.NewSchemaBuilder(stores)
	k := Keeper{
		bank: bank, treasury: treasury, authority: authority,
		params: collections.NewItem(sb, paramsPrefix, "params", codec.CollValue[namesv1.Params](cdc)),
		names:  collections.NewMap(sb, namesPrefix, "names", collections.StringKey, codec.CollValue[namesv1.Name](cdc)),
		looks:  collections.NewMap(sb, looksPrefix, "looks", collections.StringKey, collections.StringValue),
		owners: collections.NewKeySet(sb, ownersPrefix, "owners", collections.PairKeyCodec(collections.BytesKey, collections.StringKey)),
	}
	if _, err := sb.Build(); err != nil {
		panic(err)
	}
	return k
}

// get returns a name, whether it stands for somebody or not.
func (k Keeper) get(ctx context.Context, name string) (n namesv1.Name, err error) {
	if err := check(name); err != nil {
		return n, err
	}
	n, err = k.names.Get(ctx, name)
	if errors.Is(err, collections.ErrNotFound) {
		err = ErrNotFound.Wrap(name)
	}
	return n, err
}

// put writes a name and what is found by it.
func (k Keeper) put(ctx context.Context, n namesv1.Name) error {
	owner, err := essaim.ParseAddress(n.Owner)
	if err != nil {
		return ErrOwner.Wrap(err.Error())
	}
	if err := k.names.Set(ctx, n.Name, n); err != nil {
		return err
	}
	if err := k.looks.Set(ctx, Look(n.Name), n.Name); err != nil {
		return err
	}
	return k.owners.Set(ctx, collections.Join(owner[:], n.Name))
}

// drop removes a name and what is found by it.
func (k Keeper) drop(ctx context.Context, n namesv1.Name) error {
	owner, err := essaim.ParseAddress(n.Owner)
	if err != nil {
		return ErrOwner.Wrap(err.Error())
	}
	if err := k.names.Remove(ctx, n.Name); err != nil {
		return err
	}
	if err := k.looks.Remove(ctx, Look(n.Name)); err != nil {
		return err
	}
	return k.owners.Remove(ctx, collections.Join(owner[:], n.Name))
}

// alike returns the name that has the look of another, if it is not free again.
func (k Keeper) alike(ctx context.Context, name string) (n namesv1.Name, free bool, err error) {
	other, err := k.looks.Get(ctx, Look(name))
	if errors.Is(err, collections.ErrNotFound) {
		return n, true, nil
	}
	if err != nil {
		return n, false, err
	}
	if n, err = k.names.Get(ctx, other); err != nil {
		return n, false, err
	}
	p, err := k.params.Get(ctx)
	return n, sdk.UnwrapSDKContext(ctx).BlockHeight() >= n.Expires+p.GraceBlocks, err
}

// pay takes a period's fee.
func (k Keeper) pay(ctx context.Context, by essaim.Address, fee, most uint64) error {
	if fee > most {
		return ErrFee.Wrapf("it is %d uaim, at most %d were agreed to", fee, most)
	}
	if fee == 0 {
		return nil
	}
	return k.treasury.FundCommunityPool(ctx, sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(fee))), by[:])
}

// price is the fee of a name for a period: short names are few.
func price(p namesv1.Params, name string) uint64 {
	switch len(name) {
	case 3:
		return 100 * p.Fee
	case 4:
		return 10 * p.Fee
	}
	return p.Fee
}
