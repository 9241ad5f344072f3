package devnet

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// start brings the parts up in the order in which they need each other.
func (n *Network) start(ctx context.Context, parts *stack) (err error) {
	n.ports.free(rpcPort) // the ledger binds it itself, as the coordinator does the miners'
	if n.validator, err = parts.run(ctx, n.validatorConfig(), n.options()); err != nil {
		return fmt.Errorf("validator: %w", err)
	}
	if err := n.register(ctx); err != nil {
		return err
	}
	o := n.options()
	o.HTTP = n.ports.held[httpPort]
	n.ports.free(peersPort)
	if n.coordinator, err = parts.run(ctx, n.coordinatorConfig(), o); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	info, err := n.coordinator.Coordinator().Info(ctx)
	if err != nil {
		return err
	}
	n.info.Peers, n.info.Gateway, n.info.Ledger = info.PeerAddrs, n.ports.gatewayURL(), n.ports.ledgerURL()
	var miners []*node.Node
	for i := range n.info.Miners {
		cfg := n.minerConfig(i)
		if err := cfg.Save(); err != nil {
			return err
		}
		if n.cfg.External {
			continue
		}
		o := n.options()
		if n.cfg.Instead != nil {
			o.Engines = n.cfg.Instead(i)
		}
		m, err := parts.run(ctx, cfg, o)
		if err != nil {
			return fmt.Errorf("%s: %w", minerName(i), err)
		}
		miners = append(miners, m)
	}
	n.info.Own = ""
	if l := n.ports.held[ownPort]; l != nil && len(miners) > 0 {
		n.info.Own = url(n.ports.own)
		parts.begin(ctx, func(ctx context.Context) error { return node.ServeOwn(ctx, l, miners...) })
	}
	return n.writeInfo()
}

func (n *Network) options() node.Options {
	o := node.Options{Logger: n.log, Version: n.cfg.Version}
	if n.validator != nil {
		o.Chain = n.validator.Chain()
	}
	return o
}

func (n *Network) validatorConfig() node.Config {
	return node.Config{
		Role: node.RoleValidator, ChainID: n.info.ChainID, Dir: filepath.Join(n.cfg.Home, "validator"),
		Validator: &node.Validator{RPC: n.ports.rpc, P2P: "127.0.0.1:0", TimeoutCommit: node.Duration(n.cfg.BlockTime)},
	}
}

func (n *Network) coordinatorConfig() node.Config {
	return node.Config{
		Role: node.RoleCoordinator, ChainID: n.info.ChainID, Dir: filepath.Join(n.cfg.Home, "coordinator"), Ledger: n.ports.ledgerURL(),
		Coordinator: &node.Coordinator{HTTP: n.ports.http, Listen: []string{n.ports.peers}, Payer: operatorName, Keys: filepath.Join(n.cfg.Home, "keys"), Faucet: uint64(faucetGift), Audit: n.cfg.Audit, DB: n.cfg.DB},
	}
}

func (n *Network) minerConfig(i int) node.Config {
	return node.Config{
		Role: node.RoleMiner, ChainID: n.info.ChainID, Dir: filepath.Join(n.cfg.Home, minerName(i)), Ledger: n.ports.ledgerURL(),
		Miner: &node.Miner{
			Engines: n.info.Engines, Prices: n.info.Prices,
			Coordinators: n.info.Peers[:1], Price: uint64(minerPrice(i)), Capacity: 1, Pace: node.Duration(n.cfg.Pace),
			Poll: node.Duration(minerPoll * n.cfg.BlockTime), Submitter: minerName(i), Keys: filepath.Join(n.cfg.Home, "keys"),
		},
	}
}

// register puts the coordinator and the miners on the ledger, unless they are there:
// each owner signs for its node, and the node's key proves that it agrees.
func (n *Network) register(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return n.registerOne(ctx, "coordinator", essaim.Actor{Role: essaim.RoleCoordinator, Bond: coordinatorBond, Fee: coordinatorFee, URL: n.ports.gatewayURL(), CommissionChange: commissionChange})
	})
	for i := range n.info.Miners {
		var offers []essaim.Offer
		for _, m := range manifests() {
			offers = append(offers, essaim.Offer{Model: essaim.DigestOf(m), UnitPrice: minerPrice(i)})
		}
		offers = append(offers, n.foreign()...)
		g.Go(func() error {
			return n.registerOne(ctx, minerName(i), essaim.Actor{Role: essaim.RoleMiner, Bond: minerBond, Offers: offers, CommissionChange: commissionChange})
		})
	}
	return g.Wait()
}

func (n *Network) registerOne(ctx context.Context, name string, a essaim.Actor) error {
	keys, err := wallet.LoadNodeKeys(filepath.Join(n.cfg.Home, name))
	if err != nil {
		return err
	}
	chain := n.validator.Chain()
	_, err = chain.Actor(ctx, keys.ID())
	if err == nil || essaim.CodeOf(err) != essaim.CodeNotFound {
		return err
	}
	owner := n.accounts[name]
	a.NodeKey, a.Owner, a.HPKEKey = keys.ID(), owner.Address(), keys.HPKE.PublicKey()
	possession := ed25519.Sign(keys.Sign, essaim.PossessionBytes(n.info.ChainID, a.Owner, a.Role, a.NodeKey))
	submit := chain.RegisterMiner
	if a.Role == essaim.RoleCoordinator {
		submit = chain.RegisterCoordinator
	}
	if _, err := submit(ctx, owner, a, possession); err != nil {
		return fmt.Errorf("register %s: %w", name, err)
	}
	return nil
}

// stack is the running parts; they stop in reverse order.
type stack struct {
	parts []part
	ended chan error
}

type part struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    *error
}

// begin starts a part.
func (s *stack) begin(ctx context.Context, run func(context.Context) error) {
	if s.ended == nil {
		s.ended = make(chan error, 64)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := part{cancel, make(chan struct{}), new(error)}
	s.parts = append(s.parts, p)
	go func() {
		defer close(p.done)
		*p.err = run(ctx)
		s.ended <- *p.err
	}()
}

// run starts a node and waits until it is ready.
func (s *stack) run(ctx context.Context, cfg node.Config, o node.Options) (*node.Node, error) {
	if err := cfg.Save(); err != nil {
		return nil, err
	}
	n, err := node.New(cfg, o)
	if err != nil {
		return nil, err
	}
	s.begin(ctx, n.Run)
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	select {
	case <-n.Ready():
		return n, nil
	case err := <-s.ended:
		return nil, errors.Join(err, essaimEnded(err, cfg.Role))
	case <-limit.C:
		return nil, essaim.Errorf(essaim.CodeUnavailable, "run with --verbose to see what it does", "the %s is not ready after a minute", cfg.Role)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func essaimEnded(err error, role string) error {
	if err != nil {
		return nil
	}
	return essaim.Errorf(essaim.CodeInternal, "", "the %s ended before it was ready", role)
}

// wait returns when ctx ends (nil) or a part does by itself (why).
func (s *stack) wait(ctx context.Context) error {
	select {
	case err := <-s.ended:
		if err == nil {
			err = essaim.Errorf(essaim.CodeInternal, "", "a part of the network ended by itself")
		}
		return err
	case <-ctx.Done():
		return nil
	}
}

// stop ends all parts and says what failed besides first.
func (s *stack) stop(first error) error {
	errs := []error{first}
	for i := len(s.parts) - 1; i >= 0; i-- {
		p := s.parts[i]
		p.cancel()
		<-p.done
		if *p.err != nil && !errors.Is(*p.err, context.Canceled) && !errors.Is(first, *p.err) {
			errs = append(errs, *p.err)
		}
	}
	return errors.Join(errs...)
}
