// Package devnet is a whole network on one machine: a validator, a coordinator with
// its gateway, and miners of as many owners, all from one home folder. `essaim up`,
// `essaim imagine` without a network, `essaim demo` and the end-to-end tests run it.
//
// Its parts are the real ones and talk as they do elsewhere: miners dial the
// coordinator over libp2p, owners register with signed transactions. What is not real
// is the trust: one validator, all keys in one folder without a passphrase, coins
// without value. The package composes; it must hold no rule of its own about tasks or
// money.
//
// Open starts nothing; Run runs everything and returns when all of it has ended.
package devnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/essaim/essaim/chain"
	chainclient "github.com/essaim/essaim/chain/client"
	chainnode "github.com/essaim/essaim/chain/node"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// Config says what to run.
type Config struct {
	Home      string        // made if it is not there
	Miners    int           // of a new home; an old one keeps its number
	Serve     bool          // let other processes in: gateway, ledger RPC, miners' port
	HTTP      string        // with Serve: host:port of the gateway; the next three ports are the ledger's, the miners' and that of the page for the miners' owner, if they run here. Port 0: any
	External  bool          // miners are processes of their own: `essaim node` with each of MinerDirs
	BlockTime time.Duration // pause between blocks; 0: 200 ms
	Pace      time.Duration // miners wait this long before each step; 0: they do not
	Audit     *node.Audit   // the coordinator has receipts checked; nil: it does not
	DB        string        // postgres://… that the coordinator shares with other instances of itself, which are processes of their own; "": it is alone
	Engines   []string      // of a new home's miners besides those built in: DRIVER=ADDRESS, as node.Miner has them; they must run
	Funds     []Fund        // accounts of a new home besides those that every devnet has

	// Instead are all engines of miner 0, 1, ... if it runs in this process; nil, or nil from it: those that it is configured with.
	Instead func(miner int) []engine.Engine

	// Genesis changes how a new home's chain begins, such as its periods; nil: nothing.
	Genesis func(*chain.Genesis)

	Logger  *slog.Logger
	Version string
}

// Fund is an account with a key in the home.
type Fund struct {
	Name string
	Has  essaim.Amount
}

// User is the key name of the account that a person plays with.
const User = "user"

// Info is what HOME/network.json says.
type Info struct {
	ChainID string   `json:"chain_id"`
	Home    string   `json:"home"`
	Miners  int      `json:"miners"`
	Gateway string   `json:"gateway"` // URL; "": not served
	Ledger  string   `json:"ledger"`  // URL of the RPC; "": not served
	Peers   []string `json:"peers"`   // multiaddresses that miners dial
	Own     string   `json:"own"`     // URL of the page for the miners' owner; "": not served

	Engines []string          `json:"engines,omitempty"` // of the miners, besides those built in
	Prices  map[string]uint64 `json:"prices,omitempty"`  // uaim a unit, of the models that these engines had when the home was made, by digest
}

const infoName = "network.json"

// ReadInfo reads what the network of a home said of itself when it last ran.
//
// Errors: CodeNotFound if the home has no network, CodeBadInput if the file is damaged.
func ReadInfo(home string) (Info, error) {
	var i Info
	name := filepath.Join(home, infoName)
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return i, essaim.Errorf(essaim.CodeNotFound, "start one with `essaim up`", "there is no network in %s", home)
	}
	if err != nil {
		return i, err
	}
	if err := unmarshalInfo(b, &i); err != nil {
		return i, essaim.Errorf(essaim.CodeBadInput, "restore the home from a backup, or start anew in another --home", "%s is damaged: %w", name, err)
	}
	return i, nil
}

// Network is a devnet. Its methods may be called once Ready is closed, unless they say
// otherwise.
type Network struct {
	cfg      Config
	info     Info
	log      *slog.Logger
	accounts map[string]*wallet.Account
	ports    ports

	ready chan struct{}
	done  chan struct{}

	validator   *node.Node
	coordinator *node.Node
}

// Open makes a home or reads one, and holds the ports that it needs until Run has used
// them. It starts nothing.
//
// Errors: CodeBadInput for a damaged home, CodeConflict if a port is taken.
func Open(cfg Config) (*Network, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.BlockTime == 0 {
		cfg.BlockTime = 200 * time.Millisecond
	}
	home, err := filepath.Abs(cfg.Home)
	if err != nil {
		return nil, err
	}
	cfg.Home = home
	n := &Network{cfg: cfg, log: cfg.Logger, ready: make(chan struct{}), done: make(chan struct{})}
	if n.ports, err = choosePorts(cfg); err != nil {
		return nil, err
	}
	n.info, err = ReadInfo(home)
	switch {
	case essaim.CodeOf(err) == essaim.CodeNotFound:
		err = n.create()
	case err == nil:
		err = n.reopen()
	}
	if err != nil {
		n.ports.free(httpPort, rpcPort, peersPort, ownPort)
		return nil, err
	}
	return n, nil
}

// Ready is closed when every part runs and every miner is connected; miners that run
// as processes of their own are not waited for.
func (n *Network) Ready() <-chan struct{} { return n.ready }

// Done is closed when Run returns.
func (n *Network) Done() <-chan struct{} { return n.done }

// Info says where the network listens.
func (n *Network) Info() Info { return n.info }

// Account is one of the home's accounts by its key name; nil if there is none.
func (n *Network) Account(name string) *wallet.Account { return n.accounts[name] }

// Accounts are the addresses of the home's accounts by key name.
func (n *Network) Accounts() map[string]essaim.Address {
	out := map[string]essaim.Address{}
	for name, a := range n.accounts {
		out[name] = a.Address()
	}
	return out
}

// Coordinator is the coordinator, reached in this process.
func (n *Network) Coordinator() client.Coordinator { return n.coordinator.Coordinator() }

// Chain is the ledger, reached in this process.
func (n *Network) Chain() *chainclient.Client { return n.validator.Chain() }

// MinerDirs are the miners' folders, for `essaim node`.
func (n *Network) MinerDirs() []string {
	dirs := make([]string, n.info.Miners)
	for i := range dirs {
		dirs[i] = filepath.Join(n.cfg.Home, minerName(i))
	}
	return dirs
}

// Check recounts the books of a home whose network has stopped: every module's, and that
// all balances together are the supply.
func Check(home string) error {
	info, err := ReadInfo(home)
	if err != nil {
		return err
	}
	return chainnode.Check(filepath.Join(home, "validator"), info.ChainID)
}

// NodeKey is the public key of the node in a folder.
func NodeKey(dir string) (essaim.NodeKey, error) {
	k, err := wallet.LoadNodeKeys(dir)
	if err != nil {
		return essaim.NodeKey{}, err
	}
	return k.ID(), nil
}

func minerName(i int) string { return fmt.Sprintf("miner-%d", i+1) }

// Payer binds an account to the ledger, as package client wants it.
func Payer(chain *chainclient.Client, account *wallet.Account) client.Ledger {
	return node.Payer(chain, account)
}

// Run runs the network until ctx ends.
//
// Errors: nil after ctx has ended and everything has stopped; otherwise what failed.
func (n *Network) Run(ctx context.Context) error {
	defer close(n.done)
	defer n.ports.free(httpPort, rpcPort, peersPort, ownPort)
	var parts stack
	err := n.start(ctx, &parts)
	if err == nil {
		n.log.Info("network is ready", "home", n.cfg.Home, "gateway", n.info.Gateway)
		close(n.ready)
		err = parts.wait(ctx)
	}
	return parts.stop(err)
}
