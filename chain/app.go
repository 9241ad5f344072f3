// Package chain is the ledger's application: the SDK's modules and ours, wired by hand.
//
// Read New from top to bottom, then keepers.go (who needs whom), modules.go (who runs
// when), ante.go (what a transaction passes first), trail.go (what a block leaves to be
// proven), beacon.go (what votes carry beside the vote), genesis.go and export.go (how a chain
// begins, and begins again). Running it is chain/node's business: this package starts no
// goroutine, opens no connection and reads no clock, because every validator must come
// to the same state.
package chain

import (
	"fmt"

	"cosmossdk.io/core/store"
	"cosmossdk.io/log/v2"
	dbm "github.com/cosmos/cosmos-db"

	"github.com/cosmos/cosmos-sdk/baseapp"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/x/tx/signing"

	"github.com/essaim/essaim/chain/eip191"
	"github.com/essaim/essaim/chain/encoding"
)

// Options are what New needs from outside.
type Options struct {
	DB      dbm.DB     // owned by the App: its Close closes it
	Home    string     // where x/upgrade leaves word of a planned upgrade; empty: the working directory
	ChainID string     // must be that of the genesis; empty for an App that never sees a block
	Logger  log.Logger // nil: silence
	Prover  *Prover    // of the validator whose node this is; nil: none

	// Upgrades are those that this program knows how to make. A program keeps the upgrades
	// that its chains have made: one it does not know, it takes for a newer program's.
	Upgrades []Upgrade
}

// App is the ledger's state machine, driven by CometBFT through ABCI.
type App struct {
	*baseapp.BaseApp
	encoding.Encoding
	Personal eip191.Handler // the text that MetaMask shows

	keepers
	stores   map[string]*storetypes.KVStoreKey
	modules  *module.Manager
	services module.Configurator
	basics   module.BasicManager
	block    *block
}

// New builds the application on a database and loads its last committed state.
func New(o Options) (*App, error) {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	a := &App{stores: storetypes.NewKVStoreKeys(allStores(o.Upgrades)...)}
	var err error
	a.Encoding, err = encoding.New(func(types codectypes.InterfaceRegistry) signing.SignModeHandler {
		a.Personal = eip191.NewHandler(types)
		return a.Personal
	})
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	a.BaseApp = baseapp.NewBaseApp("essaim", o.Logger, o.DB, a.Signed.TxDecoder(), baseapp.SetChainID(o.ChainID))
	a.SetInterfaceRegistry(a.Types)
	a.SetTxEncoder(a.Signed.TxEncoder())

	a.keepers = a.newKeepers(o)
	a.SetParamStore(a.consensus.ParamsStore)
	if err := a.wire(); err != nil {
		return nil, fmt.Errorf("modules: %w", err)
	}
	a.MountKVStores(a.stores)
	a.SetInitChainer(a.initChain)
	a.block = newBlock(a.Signed.TxDecoder())
	a.SetBlockSTMTxRunner(a.block) // the SDK's name for any runner; this one is serial
	a.SetPreBlocker(a.preBlock)
	a.SetBeginBlocker(a.beginBlock)
	a.SetEndBlocker(a.endBlock)
	a.SetAnteHandler(a.anteHandler())
	a.proveVotes(o.Prover)
	if err := a.setUpgrades(o.Upgrades); err != nil {
		return nil, fmt.Errorf("upgrades: %w", err)
	}
	if err := a.LoadLatestVersion(); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	return a, nil
}

// kv is a module's own part of the state.
func (a *App) kv(name string) store.KVStoreService { return runtime.NewKVStoreService(a.stores[name]) }
