// Package node runs the ledger inside the calling process: CometBFT, the application and
// their databases under one home folder, started by Start and stopped by Stop, as often
// as the caller likes on the same home.
//
// It decides nothing about the chain (that is package chain) and knows nothing of
// miners or coordinators. Callers reach a running node through chain/client.
//
// A home has config/ (genesis, the validator's, the beacon's and the peer's key, each private to this
// machine) and data/ (databases, and the record of what the validator last signed).
package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	cmtnode "github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/rpc/client/local"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"

	"github.com/cosmos/cosmos-sdk/server"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
)

// DefaultTimeoutCommit is the pause between two blocks of a devnet.
const DefaultTimeoutCommit = 200 * time.Millisecond

// Config describes a node. Only Home, and Genesis on a new home, must be given.
type Config struct {
	Home    string               // folder; made if need be
	Genesis *cmttypes.GenesisDoc // how the chain began; nil: the home has it
	Name    string               // shown to peers

	// Listen is where peers connect to, host:port; empty: no peers can. Peers are
	// those to dial and keep, ID@host:port. Of two nodes only one must list the other:
	// two that dial each other at the same moment can both hang up, for good.
	Listen string
	Peers  []string

	// RPC is where CometBFT's HTTP interface listens, host:port; empty: nowhere. It
	// has no access control beyond the address.
	RPC string

	TimeoutCommit  time.Duration // pause after a block; 0: DefaultTimeoutCommit
	TimeoutPropose time.Duration // how long to wait for a proposal; 0: CometBFT's default
	Log            *slog.Logger  // nil: silence
}

// Node is a running node.
type Node struct {
	app    *chain.App
	comet  *cmtnode.Node
	rpc    *local.Local
	stores stores

	mu      sync.RWMutex // held for reading during each call of the RPC methods
	stopped bool
	stop    sync.Once
}

// Start opens the home, making it if need be, and joins consensus. It returns when the
// node runs, which is before it has a block; wait with client.WaitHeight.
//
// Errors: CodeBadInput if there is no genesis, CodeConflict if the home belongs to another
// chain or to a running node.
func Start(c Config) (*Node, error) {
	if _, err := Init(c.Home); err != nil {
		return nil, err
	}
	doc, err := c.genesis()
	if err != nil {
		return nil, err
	}
	n := &Node{}
	if err := n.start(c, doc); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *Node) start(c Config, doc *cmttypes.GenesisDoc) error {
	cfg := c.comet()
	validator, err := loadValidator(c.Home)
	if err != nil {
		return err
	}
	prover, err := loadProver(c.Home, validator)
	if err != nil {
		return err
	}
	if n.app, err = open(c.Home, doc.ChainID, &prover); err != nil {
		return err
	}
	peer, err := p2p.LoadNodeKey(cfg.NodeKeyFile())
	if err != nil {
		return err
	}
	n.comet, err = cmtnode.NewNode(cfg, validator, peer, proxy.NewLocalClientCreator(server.NewCometABCIWrapper(n.app)),
		func() (*cmttypes.GenesisDoc, error) { return doc, nil },
		n.stores.provide, cmtnode.DefaultMetricsProvider(cfg.Instrumentation), newLogger(c.Log))
	if err != nil {
		return err
	}
	n.rpc = local.New(n.comet)
	return n.comet.Start()
}

// Stop leaves consensus and closes every database. Calls in progress end first, later
// ones get CodeUnavailable. The home can be started again. Removing the home of a running
// node panics inside CometBFT: Stop first.
func (n *Node) Stop() (err error) {
	n.stop.Do(func() {
		n.mu.Lock()
		n.stopped = true
		n.mu.Unlock()
		err = n.comet.Stop()
		n.comet.Wait()
		err = errors.Join(err, n.close())
	})
	return err
}

func (n *Node) close() error {
	err := n.stores.closeAll()
	if n.app != nil {
		err = errors.Join(err, n.app.Close())
	}
	return err
}

// Check recounts the books of a home that no node has open: every module's, and that all
// balances together are the supply.
func Check(home, chainID string) error {
	a, err := open(home, chainID, nil)
	if err != nil {
		return err
	}
	return errors.Join(a.CheckInvariants(), a.Close())
}

// open loads the application's state from a home that no other node has open.
func open(home, chainID string, prover *chain.Prover) (*chain.App, error) {
	// Pebble, not goleveldb: the SDK needs a replace directive for the latter.
	db, err := dbm.NewDB("application", dbm.PebbleDBBackend, filepath.Join(home, "data"))
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeConflict, "stop the other node on this home", "open %s: %w", home, err)
	}
	a, err := chain.New(chain.Options{DB: db, Home: home, ChainID: chainID, Prover: prover})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return a, nil
}

// genesis reads the home's genesis, or gives the home the one in the configuration.
func (c Config) genesis() (*cmttypes.GenesisDoc, error) {
	file := filepath.Join(c.Home, "config", "genesis.json")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		if c.Genesis == nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "copy the network's genesis.json there", "no genesis at %s", file)
		}
		return c.Genesis, c.Genesis.SaveAs(file)
	}
	doc, err := cmttypes.GenesisDocFromFile(file)
	if err != nil {
		return nil, err
	}
	if c.Genesis != nil && c.Genesis.ChainID != doc.ChainID {
		return nil, essaim.Errorf(essaim.CodeConflict, "use another home", "home %s belongs to chain %s, not %s", c.Home, doc.ChainID, c.Genesis.ChainID)
	}
	return doc, nil
}

// comet is CometBFT's configuration. The gossip pauses are for blocks of a fraction of a
// second; CometBFT's defaults are for several.
func (c Config) comet() *cmtcfg.Config {
	cfg := cmtcfg.DefaultConfig().SetRoot(c.Home)
	if c.Name != "" {
		cfg.Moniker = c.Name
	}
	cfg.RPC.ListenAddress = ""
	if c.RPC != "" {
		cfg.RPC.ListenAddress = "tcp://" + c.RPC
	}
	cfg.P2P.ListenAddress = "tcp://127.0.0.1:0"
	if c.Listen != "" {
		cfg.P2P.ListenAddress = "tcp://" + c.Listen
	}
	cfg.P2P.PersistentPeers = strings.Join(c.Peers, ",")
	cfg.P2P.AddrBookStrict, cfg.P2P.AllowDuplicateIP, cfg.P2P.PexReactor = false, true, false
	cfg.P2P.FlushThrottleTimeout = time.Millisecond
	cfg.Consensus.PeerGossipSleepDuration = 5 * time.Millisecond
	cfg.Consensus.TimeoutCommit = DefaultTimeoutCommit
	if c.TimeoutCommit > 0 {
		cfg.Consensus.TimeoutCommit = c.TimeoutCommit
	}
	if c.TimeoutPropose > 0 {
		cfg.Consensus.TimeoutPropose = c.TimeoutPropose
	}
	return cfg
}

// Export writes the state of a stopped home as the genesis of a chain that goes on from
// it; see chain.App.Export.
func Export(home, chainID string, at time.Time) (*cmttypes.GenesisDoc, error) {
	doc, err := Config{Home: home}.genesis()
	if err != nil {
		return nil, err
	}
	a, err := open(home, doc.ChainID, nil)
	if err != nil {
		return nil, err
	}
	out, err := a.Export(chainID, at)
	if err := errors.Join(err, a.Close()); err != nil {
		return nil, fmt.Errorf("export %s: %w", home, err)
	}
	return out, nil
}
