package market

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"
	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// Bank is what the module needs of x/bank.
type Bank interface {
	GetBalance(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
}

// Treasury receives the protocol fee: x/distribution's community pool, which x/gov spends.
type Treasury interface {
	FundCommunityPool(ctx context.Context, amount sdk.Coins, sender sdk.AccAddress) error
}

// Registry is what the module needs of x/registry.
type Registry interface {
	Actor(ctx context.Context, node essaim.NodeKey) (a essaim.Actor, ok bool, err error)

	// Cover is how many uaim of open deposits a coordinator's stake answers for.
	Cover(ctx context.Context, node essaim.NodeKey) (uint64, error)

	// Income gives an actor that Actor knows what it earned, out of this module's
	// account. fee is the protocol fee that was paid on the same work.
	Income(ctx context.Context, from string, node essaim.NodeKey, amount, fee uint64) error

	// Unpaid takes stake of a coordinator that did not keep its word, and returns the
	// slash's number.
	Unpaid(ctx context.Context, f Fault) (slash uint64, err error)

	// Convict takes stake of a coordinator that settled what is not true; fault says
	// what.
	Convict(ctx context.Context, f Fault, fault string) (slash uint64, err error)

	// Silent is told of a coordinator that did not answer the beacon. It fails only where
	// the state cannot be read: the end of a block asks.
	Silent(ctx context.Context, f Fault) (slash uint64, err error)
}

// Beacon is where draws come from: x/beacon.
type Beacon interface {
	// At is a height's random value; ok is false if it is not kept, or has not come.
	At(ctx context.Context, height int64) (v [32]byte, ok bool, err error)
}

// Models is what the module needs of x/model.
type Models interface {
	Model(ctx context.Context, d essaim.Digest) (m essaim.Model, ok bool, err error)
}

// Neighbours are the modules that this one calls.
type Neighbours struct {
	Bank     Bank
	Treasury Treasury
	Registry Registry
	Models   Models
	Beacon   Beacon
}

// Keeper owns the module's state.
type Keeper struct {
	Neighbours
	authority string // the account of governance

	params      collections.Item[marketv1.Params]
	next        collections.Sequence // the number of the next session, from 1
	sessions    collections.Map[uint64, marketv1.Session]
	payers      collections.KeySet[collections.Pair[[]byte, uint64]] // payer, session
	expiries    collections.KeySet[collections.Pair[uint64, uint64]] // expiry height, open session
	settlements collections.Map[uint64, marketv1.Settlement]         // by session
	totals      collections.Item[marketv1.Totals]

	open    collections.Map[[]byte, uint64]                      // node key of a coordinator to its open deposits
	records collections.Map[[]byte, marketv1.Record]             // by node key of the coordinator
	lines   collections.Map[ofSession, marketv1.SettledLine]     // of sessions that are over, while they can be contested
	claims  collections.Map[ofSession, marketv1.Claim]           // that were upheld, as long
	ends    collections.KeySet[collections.Pair[uint64, uint64]] // height from which lines and claims go, session

	releases    collections.KeySet[collections.Pair[uint64, uint64]]                   // height from which on what waits is paid, session
	asks        collections.KeySet[collections.Pair[uint64, uint64]]                   // height whose beacon decides, settled session
	draws       collections.Map[collections.Pair[uint64, uint32], marketv1.Draw]       // session, index; unanswered
	asked       collections.KeySet[collections.Pair[[]byte, uint64]]                   // node key of a coordinator, session with draws
	drawsDue    collections.KeySet[collections.Pair[uint64, uint64]]                   // height, session with draws
	convictions collections.Map[collections.Pair[uint64, uint64], marketv1.Conviction] // session, position of the leaf
	finals      collections.KeySet[collections.Pair[uint64, uint64]]                   // height, lapsed session
	lapses      collections.Map[uint64, marketv1.Lapse]                                // by lapsed session
}

// NewKeeper declares the state's layout; it panics if two collections clash.
func NewKeeper(cdc codec.BinaryCodec, stores store.KVStoreService, n Neighbours, authority string) Keeper {
	sb := collections.NewSchemaBuilder(stores)
	queue := collections.PairKeyCodec(collections.Uint64Key, collections.Uint64Key)
	k := Keeper{
		Neighbours: n, authority: authority,
		params:      collections.NewItem(sb, paramsPrefix, "params", codec.CollValue[marketv1.Params](cdc)),
		next:        collections.NewSequence(sb, nextPrefix, "next"),
		sessions:    collections.NewMap(sb, sessionsPrefix, "sessions", collections.Uint64Key, codec.CollValue[marketv1.Session](cdc)),
		payers:      collections.NewKeySet(sb, payersPrefix, "payers", collections.PairKeyCodec(collections.BytesKey, collections.Uint64Key)),
		expiries:    collections.NewKeySet(sb, expiriesPrefix, "expiries", queue),
		settlements: collections.NewMap(sb, settlementsPrefix, "settlements", collections.Uint64Key, codec.CollValue[marketv1.Settlement](cdc)),
		totals:      collections.NewItem(sb, totalsPrefix, "totals", codec.CollValue[marketv1.Totals](cdc)),
		open:        collections.NewMap(sb, openPrefix, "open", collections.BytesKey, collections.Uint64Value),
		records:     collections.NewMap(sb, recordsPrefix, "records", collections.BytesKey, codec.CollValue[marketv1.Record](cdc)),
		lines:       collections.NewMap(sb, linesPrefix, "lines", ofSessionKey, codec.CollValue[marketv1.SettledLine](cdc)),
		claims:      collections.NewMap(sb, claimsPrefix, "claims", ofSessionKey, codec.CollValue[marketv1.Claim](cdc)),
		ends:        collections.NewKeySet(sb, endsPrefix, "ends", queue),
		releases:    collections.NewKeySet(sb, releasesPrefix, "releases", queue),
		asks:        collections.NewKeySet(sb, asksPrefix, "asks", queue),
		draws:       collections.NewMap(sb, drawsPrefix, "draws", collections.PairKeyCodec(collections.Uint64Key, collections.Uint32Key), codec.CollValue[marketv1.Draw](cdc)),
		asked:       collections.NewKeySet(sb, askedPrefix, "asked", collections.PairKeyCodec(collections.BytesKey, collections.Uint64Key)),
		drawsDue:    collections.NewKeySet(sb, drawsDuePrefix, "draws_due", queue),
		convictions: collections.NewMap(sb, convictionsPrefix, "convictions", queue, codec.CollValue[marketv1.Conviction](cdc)),
		finals:      collections.NewKeySet(sb, finalsPrefix, "finals", queue),
		lapses:      collections.NewMap(sb, lapsesPrefix, "lapses", collections.Uint64Key, codec.CollValue[marketv1.Lapse](cdc)),
	}
	if _, err := sb.Build(); err != nil {
		panic(err)
	}
	return k
}

func (k Keeper) session(ctx context.Context, id uint64) (marketv1.Session, error) {
	s, err := k.sessions.Get(ctx, id)
	if errors.Is(err, collections.ErrNotFound) {
		err = ErrNotFound.Wrapf("%d", id)
	}
	return s, err
}

// put writes a session and its indexes: an open one is queued for its expiry, a closed
// one is not.
func (k Keeper) put(ctx context.Context, s marketv1.Session) error {
	payer, err := essaim.ParseAddress(s.Payer)
	if err != nil {
		return err
	}
	if err := k.sessions.Set(ctx, s.Id, s); err != nil {
		return err
	}
	if err := k.payers.Set(ctx, collections.Join(payer[:], s.Id)); err != nil {
		return err
	}
	due := collections.Join(uint64(s.Expiry), s.Id)
	if s.State == marketv1.State_STATE_OPEN {
		return k.expiries.Set(ctx, due)
	}
	return k.expiries.Remove(ctx, due)
}

// account moves the totals: a deposit raises what is escrowed, payments and refunds
// lower it. What is burned is part of what is paid.
func (k Keeper) account(ctx context.Context, deposited, paid, refunded, burned uint64) error {
	t, err := k.totals.Get(ctx)
	if err != nil {
		return err
	}
	in, out, back := math.NewIntFromUint64(deposited), math.NewIntFromUint64(paid), math.NewIntFromUint64(refunded)
	return k.totals.Set(ctx, marketv1.Totals{
		Deposited: t.Deposited.Add(in),
		Paid:      t.Paid.Add(out),
		Refunded:  t.Refunded.Add(back),
		Escrowed:  t.Escrowed.Add(in).Sub(out).Sub(back),
		Burned:    t.Burned.Add(math.NewIntFromUint64(burned)),
	})
}

// Word turns the stored form of a session into the network's word for it.
func Word(s marketv1.Session) (essaim.Session, error) {
	payer, err := essaim.ParseAddress(s.Payer)
	if err != nil {
		return essaim.Session{}, err
	}
	coordinator, err := essaim.ParseNodeKey(s.Coordinator)
	if err != nil {
		return essaim.Session{}, err
	}
	key, err := essaim.ParseNodeKey(s.SessionKey)
	return essaim.Session{
		ID: essaim.SessionID(s.Id), Payer: payer, Coordinator: coordinator, Deposit: essaim.Amount(s.Deposit),
		SessionKey: key, Opened: s.Opened, Expiry: s.Expiry, State: stateWords[s.State],
	}, err
}

var stateWords = map[marketv1.State]essaim.SessionState{
	marketv1.State_STATE_OPEN:    essaim.SessionOpen,
	marketv1.State_STATE_SETTLED: essaim.SessionSettled,
	marketv1.State_STATE_EXPIRED: essaim.SessionExpired,
	marketv1.State_STATE_LAPSED:  essaim.SessionLapsed,
}

// escrow is the address of the module account.
func escrow() sdk.AccAddress { return authtypes.NewModuleAddress(Name) }

// treasury is the address of the account that holds the community pool.
func treasury() sdk.AccAddress { return authtypes.NewModuleAddress(distrtypes.ModuleName) }

// coins are an amount of uaim in the bank's terms.
func coins(uaim uint64) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uaim)))
}
