package chain_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// crowd is a ledger with many actors and delegations: actor i is owned by account i, and
// each account backs its own actor and the next ones in the ring. The first actor is
// backed by every account.
type crowd struct {
	*world
	actors, each int
}

const crowdStake = 2_000 * uint64(essaim.AIM) // one delegation

func crowdAccount(i int) essaim.Address {
	h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("account"), uint64(i)))
	return essaim.Address(h[:20])
}

func crowdKey(i int) essaim.NodeKey {
	return essaim.NodeKey(sha256.Sum256(binary.BigEndian.AppendUint64([]byte("node"), uint64(i))))
}

// genesis writes the crowd as an exported ledger would have it, which the registry checks
// when it reads it. An epoch has just closed in which every miner has earned credit.
func (c crowd) genesis(p registryv1.Params) registryv1.GenesisState {
	g := registryv1.GenesisState{Params: p, NextActor: uint64(c.actors) + 1}
	pools := make([]registryv1.Pool, c.actors)
	back := func(who, actor int) {
		g.Delegations = append(g.Delegations, registryv1.Delegation{Actor: uint64(actor) + 1, Delegator: crowdAccount(who).String(), Shares: crowdStake})
		pools[actor].Stake += crowdStake
		pools[actor].Shares += crowdStake
	}
	for who := range c.actors {
		for i := range c.each {
			back(who, (who+i)%c.actors)
		}
		if who != 0 && who+c.each <= c.actors {
			back(who, 0)
		}
	}
	for i := range c.actors {
		a := registryv1.Actor{
			Id: uint64(i) + 1, Role: registryv1.Role_ROLE_MINER, NodeKey: crowdKey(i).String(), Owner: crowdAccount(i).String(),
			HpkeKey: []byte("hpke"), Pool: pools[i], CommissionBps: 1000, CommissionEpoch: 1, Obligations: 1,
		}
		g.Actors = append(g.Actors, a)
		g.Credits = append(g.Credits, registryv1.Credit{Epoch: 1, Actor: a.Id, Fee: 1000})
	}
	fees := 1000 * uint64(c.actors)
	g.Epochs = []registryv1.Epoch{{Number: 1, Fees: fees, Emission: fees * 8 / 10}}
	g.Emission = registryv1.EmissionState{Epoch: 2, NextPaid: 1, StartedAt: 1, Promised: fees * 8 / 10}
	return g
}

// newCrowd starts a chain from that genesis, on disk.
func newCrowd(b *testing.B, actors, each int) *crowd {
	c := crowd{actors: actors, each: each}
	p := registry.DefaultParams()
	p.EpochBlocks = 2
	state := c.genesis(p)
	stake := uint64(len(state.Delegations)) * crowdStake
	g := genesis()
	g.Registry, g.Emission = &p, 1000*essaim.AIM
	for i := range actors {
		g.Accounts = append(g.Accounts, chain.Account{Address: crowdAccount(i), Balance: essaim.AIM})
	}
	doc, err := g.Doc()
	if err != nil {
		b.Fatal(err)
	}
	db, err := dbm.NewDB("crowd", dbm.PebbleDBBackend, b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	app, err := chain.New(chain.Options{DB: db, ChainID: chainID})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { app.Close() })
	var modules map[string]json.RawMessage
	if err := json.Unmarshal(doc.AppState, &modules); err != nil {
		b.Fatal(err)
	}
	modules[registry.Name] = app.Codec.MustMarshalJSON(&state)
	var bank banktypes.GenesisState
	app.Codec.MustUnmarshalJSON(modules[banktypes.ModuleName], &bank)
	held := sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(stake)))
	bank.Balances = append(bank.Balances, banktypes.Balance{Address: authtypes.NewModuleAddress(registry.Name).String(), Coins: held})
	bank.Supply = bank.Supply.Add(held...)
	modules[banktypes.ModuleName] = app.Codec.MustMarshalJSON(&bank)
	bz, err := json.Marshal(modules)
	if err != nil {
		b.Fatal(err)
	}
	params := doc.ConsensusParams.ToProto()
	if _, err := app.InitChain(&abci.RequestInitChain{ChainId: chainID, Time: doc.GenesisTime, InitialHeight: 1, ConsensusParams: &params, AppStateBytes: bz}); err != nil {
		b.Fatal(err)
	}
	if _, err := app.FinalizeBlock(&abci.RequestFinalizeBlock{Height: 1, Time: doc.GenesisTime}); err != nil {
		b.Fatal(err)
	}
	if _, err := app.Commit(); err != nil {
		b.Fatal(err)
	}
	c.world = &world{app: app, ctx: app.NewContext(true).WithChainID(chainID).WithBlockHeight(2)}
	return &c
}

// query asks as a client does.
func (c *crowd) query(b *testing.B, path string, req interface{ Marshal() ([]byte, error) }) []byte {
	bz, err := req.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	r, err := c.app.Query(b.Context(), &abci.RequestQuery{Path: path, Data: bz})
	if err != nil || r.Code != 0 {
		b.Fatal(err, r)
	}
	return r.Value
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStake measures what a large network costs: the figures are in
// bench/README.md.
func BenchmarkStake(b *testing.B) {
	for _, size := range []struct{ actors, each int }{{1000, 10}, {10_000, 98}} {
		var c *crowd
		b.Run(fmt.Sprintf("actors=%d/delegations=%d", size.actors, size.actors*size.each+size.actors-size.each), func(b *testing.B) {
			if c == nil {
				c = newCrowd(b, size.actors, size.each)
			}
			c.bench(b)
		})
	}
}

func (c *crowd) bench(b *testing.B) {
	actor := func(i int) string { return crowdKey(i % c.actors).String() }
	who := func(i int) string { return crowdAccount(i % c.actors).String() }
	b.Run("query=actors", func(b *testing.B) {
		for b.Loop() {
			c.query(b, "/essaim.registry.v1.Query/Miners", &registryv1.QueryMinersRequest{Pagination: &query.PageRequest{Limit: 100}})
		}
	})
	b.Run("query=delegations", func(b *testing.B) {
		for b.Loop() {
			c.query(b, "/essaim.registry.v1.Query/Delegations", &registryv1.QueryDelegationsRequest{Delegator: who(7), Pagination: &query.PageRequest{Limit: 100}})
		}
	})
	n := 0
	message := func(name string, make func(int) sdk.Msg) {
		b.Run("message="+name, func(b *testing.B) {
			w := c.branch()
			for b.Loop() {
				n++
				w.must(b, make(n))
			}
		})
	}
	message("delegate", func(i int) sdk.Msg {
		return &registryv1.MsgDelegate{Delegator: who(i), NodeKey: actor(i), Amount: 10}
	})
	message("claim-all", func(i int) sdk.Msg { return &registryv1.MsgClaim{Delegator: who(i)} })
	b.Run("slash", func(b *testing.B) { // of the actor that every account backs
		for b.Loop() {
			w := c.branch()
			if _, err := w.app.Registry.Slash(w.ctx, registry.Slash{Node: crowdKey(0), Cause: registry.CauseWrongResult, Evidence: []string{"bafk"}, Method: "rerun"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("epoch", func(b *testing.B) {
		for b.Loop() {
			w := c.branch()
			c.blocks(b, w, 3+c.actors/100)
			if owed := w.emission(b).NextPaid; owed < 2 {
				b.Fatal("the epoch is not paid")
			}
		}
	})
	b.Run("retired", func(b *testing.B) { // the actor that every account backs
		for b.Loop() {
			w := c.branch()
			w.must(b, &registryv1.MsgRetire{Owner: who(0), NodeKey: actor(0)})
			w.ctx = w.ctx.WithBlockHeight(w.ctx.BlockHeight() + int64(registry.DefaultParams().UnbondingBlocks))
			c.blocks(b, w, 20)
		}
	})
}

func (w *world) emission(b *testing.B) registryv1.EmissionState {
	var r registryv1.QueryEmissionResponse
	handler := w.app.GRPCQueryRouter().Route("/essaim.registry.v1.Query/Emission")
	out, err := handler(w.ctx, &abci.RequestQuery{})
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Unmarshal(out.Value); err != nil {
		b.Fatal(err)
	}
	return r.State
}

// blocks ends blocks and reports the most processor time of one.
func (c *crowd) blocks(b *testing.B, w *world, n int) {
	var most time.Duration
	for range n {
		began := cpu(b)
		if err := registry.NewModule(w.app.Registry).EndBlock(w.ctx); err != nil {
			b.Fatal(err)
		}
		most = max(most, cpu(b)-began)
		w.ctx = w.ctx.WithBlockHeight(w.ctx.BlockHeight() + 1)
	}
	b.ReportMetric(float64(most.Microseconds())/1000, "cpu-ms/worst-block")
}
