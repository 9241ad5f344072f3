package dispute

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
	"github.com/essaim/essaim/gen/chain/disputev1"
)

// Bank is what the module needs of x/bank.
type Bank interface {
	GetBalance(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
}

// Fault is a wrong result, as x/registry needs it to take stake.
type Fault struct {
	Miner       essaim.NodeKey
	Receipt     essaim.Digest
	Height      int64 // when the dispute was opened
	Method      string
	Wronged     essaim.Address
	Restitution uint64
}

// Registry is what the module needs of x/registry.
type Registry interface {
	Actor(ctx context.Context, node essaim.NodeKey) (a essaim.Actor, ok bool, err error)

	// Wrong takes stake of a miner that signed a wrong result, and returns the slash's number.
	Wrong(ctx context.Context, f Fault) (slash uint64, err error)
}

// Models is what the module needs of x/model.
type Models interface {
	Model(ctx context.Context, d essaim.Digest) (m essaim.Model, ok bool, err error)
}

// Market is what the module needs of x/market.
type Market interface {
	// Paid is what a settled session, while it can be contested, paid a miner for a model's work, and who paid.
	Paid(ctx context.Context, session essaim.SessionID, miner essaim.NodeKey, model essaim.Digest) (payer essaim.Address, amount uint64, err error)

	// Restore notes that the payer gets back up to so much of it, and returns how much that may be.
	Restore(ctx context.Context, session essaim.SessionID, miner essaim.NodeKey, model essaim.Digest, want uint64) (uint64, error)
}

// Proofs is what the module needs to check proofs without the weights. What it says must follow from its arguments.
type Proofs interface {
	// Holds reports whether a proof is one of what a receipt says of a prompt; if not, why is what is wrong with it.
	//
	// Errors: the model's proofs are not known here.
	Holds(r essaim.Receipt, prompt string, proof []byte) (holds bool, why, err error)
}

// Neighbours are the modules that this one calls.
type Neighbours struct {
	Bank     Bank
	Registry Registry
	Models   Models
	Market   Market
	Proofs   Proofs
}

// Keeper owns the module's state.
type Keeper struct {
	Neighbours
	authority string // the account of governance

	params    collections.Item[disputev1.Params]
	next      collections.Sequence // the number of the next dispute, from 1
	disputes  collections.Map[uint64, disputev1.Dispute]
	receipts  collections.Map[[]byte, uint64]                      // digest of one that was found wrong, to the dispute
	deadlines collections.KeySet[collections.Pair[uint64, uint64]] // height, dispute that is played
}

// NewKeeper declares the state's layout; it panics if two collections clash.
func NewKeeper(cdc codec.BinaryCodec, stores store.KVStoreService, n Neighbours, authority string) Keeper {
	sb := collections.NewSchemaBuilder(stores)
	k := Keeper{
		Neighbours: n, authority: authority,
		params:    collections.NewItem(sb, paramsPrefix, "params", codec.CollValue[disputev1.Params](cdc)),
		next:      collections.NewSequence(sb, nextPrefix, "next"),
		disputes:  collections.NewMap(sb, disputesPrefix, "disputes", collections.Uint64Key, codec.CollValue[disputev1.Dispute](cdc)),
		receipts:  collections.NewMap(sb, receiptsPrefix, "receipts", collections.BytesKey, collections.Uint64Value),
		deadlines: collections.NewKeySet(sb, deadlinesPrefix, "deadlines", collections.PairKeyCodec(collections.Uint64Key, collections.Uint64Key)),
	}
	if _, err := sb.Build(); err != nil {
		panic(err)
	}
	return k
}

func (k Keeper) dispute(ctx context.Context, id uint64) (disputev1.Dispute, error) {
	d, err := k.disputes.Get(ctx, id)
	if errors.Is(err, collections.ErrNotFound) {
		err = ErrNotFound.Wrapf("%d", id)
	}
	return d, err
}

// put writes a dispute and, while it is played, its deadline; was is the deadline before.
func (k Keeper) put(ctx context.Context, d disputev1.Dispute, was int64) error {
	if was != 0 {
		if err := k.deadlines.Remove(ctx, collections.Join(uint64(was), d.Id)); err != nil {
			return err
		}
	}
	if d.Deadline != 0 {
		if err := k.deadlines.Set(ctx, collections.Join(uint64(d.Deadline), d.Id)); err != nil {
			return err
		}
	}
	return k.disputes.Set(ctx, d.Id, d)
}

// CheckInvariant reports whether the module account holds the bonds of the disputes that are played, and each has
// its deadline. It reads every dispute: for tests and for genesis.
func (k Keeper) CheckInvariant(ctx context.Context) error {
	bonds := math.ZeroInt()
	err := k.disputes.Walk(ctx, nil, func(id uint64, d disputev1.Dispute) (bool, error) {
		played := d.Verdict == disputev1.Verdict_VERDICT_UNSPECIFIED
		queued, err := k.deadlines.Has(ctx, collections.Join(uint64(d.Deadline), id))
		if err == nil && (played != queued || played != (len(d.Game) > 0)) {
			err = fmt.Errorf("dispute %d: played %v, queued %v, game of %d bytes", id, played, queued, len(d.Game))
		}
		if played {
			bonds = bonds.Add(math.NewIntFromUint64(d.Bond))
		}
		return false, err
	})
	if err != nil {
		return err
	}
	if held := k.Bank.GetBalance(ctx, authtypes.NewModuleAddress(Name), essaim.Denom).Amount; !held.Equal(bonds) {
		return fmt.Errorf("dispute: the module account holds %s, bonds are %s", held, bonds)
	}
	return nil
}

func height(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockHeight() }

// coins are an amount of uaim in the bank's terms.
func coins(uaim uint64) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uaim)))
}
