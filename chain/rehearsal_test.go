package chain

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/essaim/essaim"
)

// TestRehearsal stops a chain for an upgrade that adds a store, and goes on with the
// program that knows it, on the same database: first the old program, which stops at the
// height and leaves word, then the old one again, which stops again, then the new one,
// which adds the store, migrates and runs; at last the old one, which refuses.
func TestRehearsal(t *testing.T) {
	const name, due, added = "v2", 5, "library"
	db, home := dbm.NewMemDB(), t.TempDir()
	g := Genesis{ChainID: "rehearsal", Time: time.Unix(1_800_000_000, 0), Validators: []Validator{{
		Name: "v", Key: [32]byte{1}, Operator: essaim.Address{1}, Stake: 100 * essaim.AIM,
	}}}
	doc, err := g.Doc()
	if err != nil {
		t.Fatal(err)
	}
	run := func(a *App, h int64) error {
		if _, err := a.FinalizeBlock(&abci.RequestFinalizeBlock{Height: h, Time: g.Time.Add(time.Duration(h) * time.Second)}); err != nil {
			return err
		}
		_, err := a.Commit()
		return err
	}
	program := func(upgrades ...Upgrade) *App {
		t.Helper()
		a, err := New(Options{DB: db, Home: home, ChainID: g.ChainID, Upgrades: upgrades})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	old := program()
	params := doc.ConsensusParams.ToProto()
	if _, err := old.InitChain(&abci.RequestInitChain{ChainId: g.ChainID, Time: g.Time, InitialHeight: 1, ConsensusParams: &params, AppStateBytes: doc.AppState}); err != nil {
		t.Fatal(err)
	}
	if err := run(old, 1); err != nil {
		t.Fatal(err)
	}
	plan := &upgradetypes.MsgSoftwareUpgrade{
		Authority: authtypes.NewModuleAddress(govtypes.ModuleName).String(), Plan: upgradetypes.Plan{Name: name, Height: due},
	}
	//lint:ignore SA1019 the plan goes into the store as it is, without the block that a new context belongs to
	if _, err := old.MsgServiceRouter().Handler(plan)(old.NewUncachedContext(false, cmtproto.Header{Height: 1}), plan); err != nil {
		t.Fatal(err)
	}
	for h := int64(2); h < due; h++ {
		if err := run(old, h); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // stopped, it stops again
		if err := run(old, due); err == nil || !strings.Contains(err.Error(), "is due") {
			t.Fatalf("the old program at the height: %v", err)
		}
		old = program()
	}
	if old.LastBlockHeight() != due-1 {
		t.Fatal("the old program went on to", old.LastBlockHeight())
	}
	if _, err := os.Stat(filepath.Join(home, "data", upgradetypes.UpgradeInfoFilename)); err != nil {
		t.Fatal("no word left:", err)
	}

	migrated := 0
	next := Upgrade{Name: name, Stores: []string{added}, Migrate: func(ctx context.Context, a *App) error {
		migrated++
		return a.kv(added).OpenKVStore(ctx).Set([]byte("books"), []byte("3"))
	}}
	for h := int64(due); h < due+3; h++ {
		a := program(next) // restarted for each block
		if err := run(a, h); err != nil {
			t.Fatalf("the new program at height %d: %v", h, err)
		}
		got, err := a.kv(added).OpenKVStore(a.NewContext(true)).Get([]byte("books"))
		if err != nil || string(got) != "3" || a.LastBlockHeight() != h {
			t.Fatalf("height %d: the added store has %q, %v", h, got, err)
		}
	}
	if migrated != 1 {
		t.Errorf("migrated %d times", migrated)
	}
	if err := run(program(), due+3); err == nil || !strings.Contains(err.Error(), "start a newer one") {
		t.Errorf("the old program after the upgrade: %v", err)
	}
}
