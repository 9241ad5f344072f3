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

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Bank is what the module needs of x/bank.
type Bank interface {
	GetBalance(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
	BlockedAddr(addr sdk.AccAddress) bool
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	SendCoinsFromModuleToModule(ctx context.Context, from, to string, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
}

// Models is what the module needs of x/model.
type Models interface {
	Model(ctx context.Context, d essaim.Digest) (m essaim.Model, ok bool, err error)
}

type (
	byHeight = collections.Pair[uint64, uint64] // a height, and the number of what is due then
	byHolder = collections.Pair[[]byte, uint64] // an account, and the number of what it holds
	ofActor  = collections.Pair[uint64, []byte] // an actor's number, and an account
	ofNumber = collections.Pair[uint64, uint64] // two numbers
	byRank   = collections.Pair[uint32, ofNumber]
)

// Keeper owns the module's state. Other modules read it through Actor, Cover, Owned and
// TotalStake, and write it through Income, Slash, Reverse and Missed.
type Keeper struct {
	bank      Bank
	models    Models
	authority string // the account of governance

	params     collections.Item[registryv1.Params]
	nextActor  collections.Sequence
	actors     collections.Map[uint64, registryv1.Actor] // by number
	keys       collections.Map[[]byte, uint64]           // node key to actor, replaced keys too
	ranks      collections.KeySet[byRank]                // role, falling stake, actor
	total      collections.Item[uint64]                  // active stake of all actors
	closing    collections.KeySet[uint64]                // actors whose delegators are being paid out
	keyEnds    collections.KeySet[ofActor]               // height, replaced node key
	nextExit   collections.Sequence
	exits      collections.Map[uint64, registryv1.Exit]
	exitsDue   collections.KeySet[byHeight]
	exitsOf    collections.KeySet[byHolder]
	holders    collections.KeySet[byHolder] // account, actor
	stakes     collections.Map[ofActor, registryv1.Delegation]
	nextSlash  collections.Sequence
	slashes    collections.Map[uint64, registryv1.Slash]
	slashesOf  collections.KeySet[ofNumber] // actor, slash
	slashesDue collections.KeySet[byHeight] // end of the window, held slash
	held       collections.KeySet[ofNumber] // actor, held slash
	windows    collections.Map[byHeight, registryv1.Window]
	credits    collections.Map[ofNumber, uint64] // epoch, actor: protocol fees
	epochs     collections.Map[uint64, registryv1.Epoch]
	emission   collections.Item[registryv1.EmissionState]
}

// NewKeeper declares the state's layout; it panics if two collections clash.
func NewKeeper(cdc codec.BinaryCodec, stores store.KVStoreService, bank Bank, models Models, authority string) Keeper {
	sb := collections.NewSchemaBuilder(stores)
	number, bytes := collections.Uint64Key, collections.BytesKey
	pair := collections.PairKeyCodec(number, number)
	holder, ofActor := collections.PairKeyCodec(bytes, number), collections.PairKeyCodec(number, bytes)
	k := Keeper{
		bank: bank, models: models, authority: authority,
		params:     collections.NewItem(sb, paramsPrefix, "params", codec.CollValue[registryv1.Params](cdc)),
		nextActor:  collections.NewSequence(sb, nextActorPrefix, "next_actor"),
		actors:     collections.NewMap(sb, actorsPrefix, "actors", number, codec.CollValue[registryv1.Actor](cdc)),
		keys:       collections.NewMap(sb, keysPrefix, "keys", bytes, collections.Uint64Value),
		ranks:      collections.NewKeySet(sb, ranksPrefix, "ranks", collections.PairKeyCodec(collections.Uint32Key, pair)),
		total:      collections.NewItem(sb, totalPrefix, "total", collections.Uint64Value),
		closing:    collections.NewKeySet(sb, closingPrefix, "closing", number),
		keyEnds:    collections.NewKeySet(sb, keyEndsPrefix, "key_ends", ofActor),
		nextExit:   collections.NewSequence(sb, nextExitPrefix, "next_exit"),
		exits:      collections.NewMap(sb, exitsPrefix, "exits", number, codec.CollValue[registryv1.Exit](cdc)),
		exitsDue:   collections.NewKeySet(sb, exitsDuePrefix, "exits_due", pair),
		exitsOf:    collections.NewKeySet(sb, exitsOfPrefix, "exits_of", holder),
		holders:    collections.NewKeySet(sb, holdersPrefix, "holders", holder),
		stakes:     collections.NewMap(sb, stakesPrefix, "stakes", ofActor, codec.CollValue[registryv1.Delegation](cdc)),
		nextSlash:  collections.NewSequence(sb, nextSlashPrefix, "next_slash"),
		slashes:    collections.NewMap(sb, slashesPrefix, "slashes", number, codec.CollValue[registryv1.Slash](cdc)),
		slashesOf:  collections.NewKeySet(sb, slashesOfPrefix, "slashes_of", pair),
		slashesDue: collections.NewKeySet(sb, slashesDuePrefix, "slashes_due", pair),
		held:       collections.NewKeySet(sb, heldPrefix, "held", pair),
		windows:    collections.NewMap(sb, windowsPrefix, "windows", pair, codec.CollValue[registryv1.Window](cdc)),
		credits:    collections.NewMap(sb, creditsPrefix, "credits", pair, collections.Uint64Value),
		epochs:     collections.NewMap(sb, epochsPrefix, "epochs", number, codec.CollValue[registryv1.Epoch](cdc)),
		emission:   collections.NewItem(sb, emissionPrefix, "emission", codec.CollValue[registryv1.EmissionState](cdc)),
	}
	if _, err := sb.Build(); err != nil {
		panic(err)
	}
	return k
}

// Actor returns who holds a node key, retired or not, until its bond has gone back; ok
// is false if nobody does. A replaced key still answers for a while: the NodeKey of the
// answer is then another one, which matching uses.
func (k Keeper) Actor(ctx context.Context, node essaim.NodeKey) (w essaim.Actor, ok bool, err error) {
	a, err := k.byKey(ctx, node)
	if errors.Is(err, ErrNotFound) {
		return w, false, nil
	}
	if err == nil {
		err = k.present(ctx, &a)
	}
	if err != nil {
		return w, false, err
	}
	w, err = Word(a)
	if err != nil {
		return w, false, fmt.Errorf("stored actor %s: %w", node, err)
	}
	return w, true, nil
}

// TotalStake is the sum of all actors' active stake, in uaim: what could vote.
func (k Keeper) TotalStake(ctx context.Context) (uint64, error) { return or(k.total.Get(ctx)) }

// Owned is what an account's active stake on all actors at work is worth, in uaim.
func (k Keeper) Owned(ctx context.Context, account essaim.Address) (sum uint64, err error) {
	ids, err := k.backed(ctx, account)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		a, err := k.actors.Get(ctx, id)
		if err != nil {
			return 0, err
		}
		d, err := k.stake(ctx, id, account)
		if err != nil {
			return 0, err
		}
		if a.RetiredAt == 0 {
			sum += poolOf(a).Value(d.Shares)
		}
	}
	return sum, nil
}

// byKey loads an actor whose bond has not gone back.
func (k Keeper) byKey(ctx context.Context, node essaim.NodeKey) (registryv1.Actor, error) {
	id, err := k.keys.Get(ctx, node[:])
	if errors.Is(err, collections.ErrNotFound) {
		return registryv1.Actor{}, ErrNotFound.Wrap(node.String())
	}
	if err != nil {
		return registryv1.Actor{}, err
	}
	a, err := k.actors.Get(ctx, id)
	if err == nil && a.Closed {
		err = ErrNotFound.Wrapf("%s is gone", node)
	}
	return a, err
}

// get loads an actor by the text of its node key.
func (k Keeper) get(ctx context.Context, nodeKey string) (registryv1.Actor, error) {
	node, err := essaim.ParseNodeKey(nodeKey)
	if err != nil {
		return registryv1.Actor{}, ErrNodeKey
	}
	return k.byKey(ctx, node)
}

// put writes an actor, its rank and the sum of all stake.
func (k Keeper) put(ctx context.Context, a registryv1.Actor) error {
	total, err := or(k.total.Get(ctx))
	if err != nil {
		return err
	}
	old, err := k.actors.Get(ctx, a.Id)
	switch {
	case err == nil:
		total -= activeStake(old)
		if err := k.ranks.Remove(ctx, rank(old)); err != nil {
			return err
		}
	case !errors.Is(err, collections.ErrNotFound):
		return err
	}
	if !a.Closed {
		if err := k.ranks.Set(ctx, rank(a)); err != nil {
			return err
		}
	}
	a.Bond, a.ActiveStake = 0, 0 // these are for answers
	if err := k.total.Set(ctx, total+activeStake(a)); err != nil {
		return err
	}
	return k.actors.Set(ctx, a.Id, a)
}

// rank sorts actors by role and falling stake.
func rank(a registryv1.Actor) byRank {
	return collections.Join(uint32(a.Role), collections.Join(^activeStake(a), a.Id))
}

// tidy forgets an actor that is gone and that nothing refers to any more. What no
// division could share goes to the owner. Its node keys are free again.
func (k Keeper) tidy(ctx context.Context, a registryv1.Actor) error {
	if !a.Closed || a.Pool.Shares > 0 || a.Obligations > 0 {
		return nil
	}
	if more, err := k.closing.Has(ctx, a.Id); err != nil || more {
		return err
	}
	p := poolOf(a)
	if err := k.pay(ctx, a.Owner, p.Sweep()+a.Earned); err != nil {
		return err
	}
	node, err := essaim.ParseNodeKey(a.NodeKey)
	if err != nil {
		return err
	}
	if a.OldKey != "" {
		if err := k.endKey(ctx, &a); err != nil {
			return err
		}
	}
	return errors.Join(k.keys.Remove(ctx, node[:]), k.actors.Remove(ctx, a.Id))
}

// least is the smallest bond for a role.
func least(p registryv1.Params, role registryv1.Role) uint64 {
	if role == registryv1.Role_ROLE_COORDINATOR {
		return p.MinBondCoordinator
	}
	return p.MinBondMiner
}

// escrow takes coins from an account into the module account.
func (k Keeper) escrow(ctx context.Context, from essaim.Address, uaim uint64) error {
	if uaim == 0 { // a devnet may ask for no bond
		return nil
	}
	return k.bank.SendCoinsFromAccountToModule(ctx, from[:], Name, coins(uaim))
}

// pay sends coins of the module account to an account.
func (k Keeper) pay(ctx context.Context, to string, uaim uint64) error {
	if uaim == 0 {
		return nil
	}
	account, err := essaim.ParseAddress(to)
	if err != nil {
		return err
	}
	return k.bank.SendCoinsFromModuleToAccount(ctx, Name, account[:], coins(uaim))
}

// coins are an amount of uaim in the bank's terms.
func coins(uaim uint64) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uaim)))
}

func height(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockHeight() }

// or turns what is not stored into the zero value.
func or[T any](v T, err error) (T, error) {
	if errors.Is(err, collections.ErrNotFound) {
		var zero T
		return zero, nil
	}
	return v, err
}
