package registry

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"
	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Bank is what the module needs of x/bank.
type Bank interface {
	GetBalance(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
}

// Models is what the module needs of x/model.
type Models interface {
	Model(ctx context.Context, d essaim.Digest) (m essaim.Model, ok bool, err error)
}

// Keeper owns the module's state. Other modules read it through Actor.
type Keeper struct {
	bank      Bank
	models    Models
	authority string // the account of governance

	params   collections.Item[registryv1.Params]
	actors   collections.Map[[]byte, registryv1.Actor]            // by node key
	roles    collections.KeySet[collections.Pair[uint32, []byte]] // role, node key
	releases collections.KeySet[collections.Pair[uint64, []byte]] // release height, node key of a retired actor
}

// NewKeeper declares the state's layout; it panics if two collections clash.
func NewKeeper(cdc codec.BinaryCodec, stores store.KVStoreService, bank Bank, models Models, authority string) Keeper {
	sb := collections.NewSchemaBuilder(stores)
	k := Keeper{
		bank: bank, models: models, authority: authority,
		params:   collections.NewItem(sb, paramsPrefix, "params", codec.CollValue[registryv1.Params](cdc)),
		actors:   collections.NewMap(sb, actorsPrefix, "actors", collections.BytesKey, codec.CollValue[registryv1.Actor](cdc)),
		roles:    collections.NewKeySet(sb, rolesPrefix, "roles", collections.PairKeyCodec(collections.Uint32Key, collections.BytesKey)),
		releases: collections.NewKeySet(sb, releasesPrefix, "releases", collections.PairKeyCodec(collections.Uint64Key, collections.BytesKey)),
	}
	if _, err := sb.Build(); err != nil {
		panic(err)
	}
	return k
}

// Actor returns who holds a node key, retired or not, until its bond has gone back; ok
// is false if nobody does.
func (k Keeper) Actor(ctx context.Context, node essaim.NodeKey) (a essaim.Actor, ok bool, err error) {
	stored, err := k.actors.Get(ctx, node[:])
	switch {
	case errors.Is(err, collections.ErrNotFound):
		return a, false, nil
	case err != nil:
		return a, false, err
	}
	a, err = Word(stored)
	if err != nil {
		return a, false, fmt.Errorf("stored actor %s: %w", node, err)
	}
	return a, true, nil
}

// get returns the stored form of an actor by the text of its node key.
func (k Keeper) get(ctx context.Context, nodeKey string) (essaim.NodeKey, registryv1.Actor, error) {
	node, err := essaim.ParseNodeKey(nodeKey)
	if err != nil {
		return node, registryv1.Actor{}, ErrNodeKey
	}
	a, err := k.actors.Get(ctx, node[:])
	if errors.Is(err, collections.ErrNotFound) {
		err = ErrNotFound.Wrap(node.String())
	}
	return node, a, err
}

// put writes an actor and its indexes.
func (k Keeper) put(ctx context.Context, node essaim.NodeKey, a registryv1.Actor) error {
	if err := k.actors.Set(ctx, node[:], a); err != nil {
		return err
	}
	if err := k.roles.Set(ctx, collections.Join(uint32(a.Role), node[:])); err != nil {
		return err
	}
	if a.ReleaseAt == 0 {
		return nil
	}
	return k.releases.Set(ctx, collections.Join(uint64(a.ReleaseAt), node[:]))
}

// remove deletes an actor and its indexes.
func (k Keeper) remove(ctx context.Context, node essaim.NodeKey, a registryv1.Actor) error {
	return errors.Join(
		k.actors.Remove(ctx, node[:]),
		k.roles.Remove(ctx, collections.Join(uint32(a.Role), node[:])),
		k.releases.Remove(ctx, collections.Join(uint64(a.ReleaseAt), node[:])),
	)
}

// CheckInvariant reports whether the module account holds exactly the sum of all bonds.
// It reads every actor: for tests and for genesis.
func (k Keeper) CheckInvariant(ctx context.Context) error {
	bonds := math.ZeroInt()
	err := k.actors.Walk(ctx, nil, func(_ []byte, a registryv1.Actor) (bool, error) {
		bonds = bonds.Add(math.NewIntFromUint64(a.Bond))
		return false, nil
	})
	if err != nil {
		return err
	}
	if held := k.bank.GetBalance(ctx, authtypes.NewModuleAddress(Name), essaim.Denom); !held.Amount.Equal(bonds) {
		return fmt.Errorf("registry: bonds are %s%s, the module account holds %s", bonds, essaim.Denom, held)
	}
	return nil
}

// Word turns the stored form of an actor into the network's word for it.
func Word(a registryv1.Actor) (essaim.Actor, error) {
	node, err := essaim.ParseNodeKey(a.NodeKey)
	if err != nil {
		return essaim.Actor{}, err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return essaim.Actor{}, err
	}
	out := essaim.Actor{
		Role: roleWord(a.Role), NodeKey: node, Owner: owner, HPKEKey: a.HpkeKey, Bond: essaim.Amount(a.Bond),
		Fee: essaim.Bps(a.FeeBps), URL: a.Url, RetiredAt: a.RetiredAt,
	}
	for _, o := range a.Offers {
		d, err := essaim.ParseDigest(o.Model)
		if err != nil {
			return essaim.Actor{}, err
		}
		out.Offers = append(out.Offers, essaim.Offer{Model: d, UnitPrice: essaim.Amount(o.UnitPrice)})
	}
	return out, nil
}

func roleWord(r registryv1.Role) essaim.Role {
	if r == registryv1.Role_ROLE_COORDINATOR {
		return essaim.RoleCoordinator
	}
	return essaim.RoleMiner
}

// coins are an amount of uaim in the bank's terms.
func coins(uaim uint64) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uaim)))
}
