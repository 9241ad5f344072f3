// Package node composes one running node from its configuration: a validator, a
// coordinator with its gateway, or a miner. It is where the interfaces that roles
// declare meet the things that implement them, and it has no rule of its own.
//
// New starts nothing. Run returns when everything it started has ended; its context is
// the only way to stop it.
package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	chainclient "github.com/essaim/essaim/chain/client"
	chainnode "github.com/essaim/essaim/chain/node"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/coordinator/cluster"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/internal/tracing"
	"github.com/essaim/essaim/internal/tracing/otlp"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/verifier"
	"github.com/essaim/essaim/verifier/challenger"
	"github.com/essaim/essaim/wallet"
)

// Options are what the caller has and node.toml cannot say.
type Options struct {
	Logger  *slog.Logger        // nil: silence
	Version string              // of the program
	Chain   *chainclient.Client // the ledger in this process; nil: Config.Ledger is dialled
	Engines []engine.Engine     // of a miner; nil: those in the binary
	HTTP    net.Listener        // of a coordinator's gateway, or a miner's page, which closes it; nil: where Config says
}

// Node is one role. Make it with New.
type Node struct {
	cfg   Config
	opt   Options
	id    string
	key   essaim.NodeKey // none of a validator
	began time.Time
	ready chan struct{}

	tracer      *tracing.Tracer          // nil: nobody is told
	exporter    *otlp.Exporter           // with it
	chain       *chainclient.Client      // validator, coordinator; set before ready is closed
	coordinator *coordinator.Coordinator // coordinator only; set before ready is closed
	router      *cluster.Router          // of a coordinator that is one of several instances; set before ready is closed
	miner       *miner.Miner             // miner only; set before ready is closed
	verifier    *verifier.Verifier       // of a coordinator that audits; nil: it does not
	budget      *budget                  // what pays for that
	prosecutor  *prosecutor              // and from what the ledger cannot judge
	challenger  *challenger.Challenger   // what follows from it
}

// New reads the node's keys, making them in a new folder.
//
// Errors: CodeBadInput for a configuration or a key that cannot be used.
func New(cfg Config, o Options) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: cfg, opt: o, began: time.Now(), ready: make(chan struct{})}
	if cfg.Role == RoleValidator {
		id, err := chainnode.Init(cfg.Dir)
		n.id = id.Peer
		return n, err
	}
	keys, err := wallet.LoadNodeKeys(cfg.Dir)
	if err != nil {
		return nil, err
	}
	n.key = keys.ID()
	n.id = n.key.String()
	return n, n.openTracer()
}

// ID names the node: a node key in hex, or a validator's peer ID.
func (n *Node) ID() string { return n.id }

// Ready is closed when the role works: a validator has a block, a coordinator answers,
// a miner is connected.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Chain is a validator's or coordinator's view of the ledger, once it is ready.
func (n *Node) Chain() *chainclient.Client { return n.chain }

// Coordinator is a coordinator reached in this process, once it is ready.
func (n *Node) Coordinator() client.Coordinator {
	var c cluster.Local = n.coordinator
	if n.router != nil {
		c = n.router
	}
	if n.verifier != nil {
		return audited{c, n.verifier}
	}
	return c
}

// Miner is a miner in this process, once it is ready.
func (n *Node) Miner() *miner.Miner { return n.miner }

// Run runs the role until ctx ends.
//
// Errors: nil after ctx has ended; otherwise why the role cannot go on.
func (n *Node) Run(ctx context.Context) error {
	if n.exporter != nil {
		defer n.exporter.Close()
	}
	switch n.cfg.Role {
	case RoleValidator:
		return n.runValidator(ctx)
	case RoleCoordinator:
		return n.runCoordinator(ctx)
	default:
		return n.runMiner(ctx)
	}
}

func (n *Node) runValidator(ctx context.Context) error {
	v := n.cfg.Validator
	running, err := chainnode.Start(chainnode.Config{
		Home: n.cfg.Dir, Name: n.id[:8], Listen: v.P2P, Peers: v.Peers, RPC: v.RPC,
		TimeoutCommit: time.Duration(v.TimeoutCommit), Log: n.opt.Logger.With("role", RoleValidator),
	})
	if err != nil {
		return err
	}
	if n.chain, err = chainclient.Local(running); err != nil {
		return errors.Join(err, running.Stop())
	}
	err = n.chain.WaitHeight(ctx, 1)
	switch {
	case err == nil:
		close(n.ready)
		<-ctx.Done()
	case ctx.Err() != nil: // it was stopped, which is no fault
		err = nil
	}
	return errors.Join(err, running.Stop())
}

// poll asks until the answer is yes or ctx ends.
func poll(ctx context.Context, yes func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
