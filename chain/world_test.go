package chain_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

const chainID = "essaim-test-1"

// rich is what each account holds at the beginning.
const rich = 1_000_000 * essaim.AIM

// world is the whole application on a store in memory, with one block made. Messages run
// on it directly, without transactions: signatures of accounts are tested in
// chain/client, consensus in chain/node.
type world struct {
	app    *chain.App
	ctx    sdk.Context
	supply essaim.Amount // of the beginning
}

// account is one of the world's funded accounts.
func account(i int) essaim.Address { return essaim.Address{19: byte(i), 0: 0xac} }

const accounts = 8

// nodeKey is a deterministic node key.
func nodeKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(name string) essaim.NodeKey { return essaim.NodeKeyOf(nodeKey(name)) }

func manifest(name string) []byte {
	return fmt.Appendf(nil, `{"name":%q,"kind":"image","engine":"pixel","licence":"Apache-2.0","weights":"cid"}`, name)
}

func genesis() chain.Genesis {
	g := chain.Genesis{
		ChainID: chainID,
		Time:    time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
		Validators: []chain.Validator{{
			Name: "v0", Key: [32]byte(public("validator")), Operator: essaim.Address{0: 0xfe}, Stake: 100 * essaim.AIM, Balance: essaim.AIM,
		}},
		Models:   []chain.Model{{Manifest: manifest("first"), Owner: account(1), UnitPrice: 1000, Royalty: 500}},
		Registry: &registryv1.Params{MinBondMiner: 1000, MinBondCoordinator: 20_000, UnbondingBlocks: 10, Slashes: registry.DefaultParams().Slashes[:1]},
		Market:   &marketv1.Params{ProtocolFeeBps: 100, MaxSessionBlocks: 1000},
	}
	for i := range accounts {
		g.Accounts = append(g.Accounts, chain.Account{Address: account(i), Balance: rich})
	}
	return g
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, genesis())
}

// newWorldOf is a world that begins in another way.
func newWorldOf(t testing.TB, g chain.Genesis) *world {
	t.Helper()
	doc, err := g.Doc()
	if err != nil {
		t.Fatal(err)
	}
	app, err := chain.New(chain.Options{DB: dbm.NewMemDB(), ChainID: chainID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	params := doc.ConsensusParams.ToProto()
	if _, err := app.InitChain(&abci.RequestInitChain{
		ChainId: chainID, Time: doc.GenesisTime, InitialHeight: 1, ConsensusParams: &params, AppStateBytes: doc.AppState,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.FinalizeBlock(&abci.RequestFinalizeBlock{Height: 1, Time: doc.GenesisTime}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	w := &world{app: app, ctx: app.NewContext(true).WithChainID(chainID).WithBlockHeight(2)}
	w.supply = essaim.Amount(app.Bank.GetSupply(w.ctx, essaim.Denom).Amount.Uint64())
	return w
}

// branch is a copy of the world that can be spoilt.
func (w *world) branch() *world {
	ctx, _ := w.ctx.CacheContext()
	return &world{w.app, ctx, w.supply}
}

// do runs a message as a block would, but without the cache that undoes a failed one: our
// modules must check everything before they change anything.
func (w *world) do(msg sdk.Msg) (*sdk.Result, error) {
	return w.app.MsgServiceRouter().Handler(msg)(w.ctx.WithEventManager(sdk.NewEventManager()), msg)
}

func (w *world) must(t testing.TB, msg sdk.Msg) *sdk.Result {
	t.Helper()
	r, err := w.do(msg)
	if err != nil {
		t.Fatalf("%s: %v", sdk.MsgTypeURL(msg), err)
	}
	return r
}

// advance ends blocks up to a height, for our modules only.
func (w *world) advance(t testing.TB, height int64) {
	t.Helper()
	for w.ctx.BlockHeight() < height {
		if err := w.app.Beacon.Advance(w.ctx, nil); err != nil {
			t.Fatal(err)
		}
		if err := registry.NewModule(w.app.Registry).EndBlock(w.ctx); err != nil {
			t.Fatal(err)
		}
		if err := market.NewModule(w.app.Market).EndBlock(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.ctx = w.ctx.WithBlockHeight(w.ctx.BlockHeight() + 1)
	}
}

func (w *world) balance(a essaim.Address) essaim.Amount {
	return essaim.Amount(w.app.Bank.GetBalance(w.ctx, a[:], essaim.Denom).Amount.Uint64())
}

// fingerprint is all of the state that our modules and the bank hold.
func (w *world) fingerprint() string {
	state := map[string]json.RawMessage{
		market.Name:   market.NewModule(w.app.Market).ExportGenesis(w.ctx, w.app.Codec),
		registry.Name: registry.NewModule(w.app.Registry).ExportGenesis(w.ctx, w.app.Codec),
		"bank":        w.app.Codec.MustMarshalJSON(w.app.Bank.ExportGenesis(w.ctx)),
	}
	bz, err := json.Marshal(state)
	if err != nil {
		panic(err)
	}
	return string(bz)
}

// check asserts every invariant: escrow and bonds to the last uaim, and a constant supply.
func (w *world) check(t interface{ Fatal(...any) }) {
	if err := w.app.Market.CheckInvariant(w.ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.app.Registry.CheckInvariant(w.ctx); err != nil {
		t.Fatal(err)
	}
	burned := w.marketState(t).Totals.Burned.Uint64()
	if got := w.app.Bank.GetSupply(w.ctx, essaim.Denom).Amount.Uint64(); got+burned != uint64(w.supply) {
		t.Fatal("supply", got, "burned", burned, "want", uint64(w.supply))
	}
}

func possession(owner essaim.Address, role essaim.Role, name string) []byte {
	return ed25519.Sign(nodeKey(name), essaim.PossessionBytes(chainID, owner, role, public(name)))
}

func registerMiner(owner essaim.Address, name string) *registryv1.MsgRegisterMiner {
	return &registryv1.MsgRegisterMiner{
		Owner: owner.String(), NodeKey: public(name).String(), HpkeKey: []byte("hpke"), Bond: 1000,
		Offers:     []registryv1.Offer{{Model: essaim.DigestOf(manifest("first")).String(), UnitPrice: 900}},
		Possession: possession(owner, essaim.RoleMiner, name),
	}
}

func registerCoordinator(owner essaim.Address, name string) *registryv1.MsgRegisterCoordinator {
	return &registryv1.MsgRegisterCoordinator{
		Owner: owner.String(), NodeKey: public(name).String(), Bond: 20_000, FeeBps: 1000, Url: "https://gate.example",
		Possession: possession(owner, essaim.RoleCoordinator, name),
	}
}
