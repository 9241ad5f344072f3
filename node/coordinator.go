package node

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/blob/dir"
	"github.com/essaim/essaim/blob/pack"
	"github.com/essaim/essaim/censor"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/coordinator/cluster"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/gateway"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/wallet"
)

const (
	// sessionBlocks is how many blocks a session should stay open at least. At the
	// devnet's five blocks a second that is ten minutes.
	sessionBlocks = 3_000

	// keysDeposit is what the coordinator puts into escrow at a time for the users of
	// its API keys.
	keysDeposit = 1 * essaim.AIM

	// KeysFile is where a coordinator's folder keeps API keys.
	KeysFile = "apikeys.db"

	// batchFolder is where it keeps the files of batches, sealed.
	batchFolder = "batches"

	// LogFile is where it keeps tasks, receipts and settlements.
	LogFile = "log.db"
)

func (n *Node) runCoordinator(ctx context.Context) (err error) {
	chain, err := n.ledger()
	if err != nil {
		return err
	}
	n.chain = chain
	account, err := wallet.Open(n.cfg.Coordinator.Keys).Load(n.cfg.Coordinator.Payer, "")
	if err != nil {
		return err
	}
	member, err := n.join(ctx)
	if err != nil {
		return err
	}
	blobs, err := n.openBlobs(member)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, blobs.Close())
		if member != nil {
			n.router.Idle()
			err = errors.Join(err, member.Close())
		}
	}()
	if member == nil {
		if err := atHome(n.cfg.Dir); err != nil {
			return err
		}
	}
	if n.coordinator, err = n.newCoordinator(chain, account, blobs, member); err != nil {
		return err
	}
	if member != nil {
		n.router = cluster.NewRouter(n.coordinator, member)
	}
	g, ctx := errgroup.WithContext(ctx)
	// The coordinator ends after gateway and verifier, which settle their sessions on the way
	// out.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g.Go(func() error {
		if err := n.coordinator.Run(life); life.Err() == nil || !errors.Is(err, context.Canceled) {
			return err
		}
		return nil // somebody else says why it had to end
	})
	g.Go(func() error {
		defer end()
		select {
		case <-n.coordinator.Ready():
		case <-ctx.Done():
			return nil
		}
		users, ctx := errgroup.WithContext(ctx)
		users.Go(func() error { return n.runGateway(ctx, chain, account, blobs, member) })
		users.Go(func() error { return profile(ctx, n.cfg.Coordinator.Pprof) })
		if n.verifier != nil {
			users.Go(func() error { return n.runVerifier(ctx) })
		}
		return users.Wait()
	})
	return g.Wait()
}

// join makes this process one of a coordinator's instances; nil: there is one only.
func (n *Node) join(ctx context.Context) (*cluster.Member, error) {
	c := n.cfg.Coordinator
	if c.DB == "" {
		return nil, nil
	}
	url := cmp.Or(c.URL, "http://"+c.HTTP)
	if c.URL == "" && c.HTTP == "" {
		return nil, essaim.Errorf(essaim.CodeBadInput, "set http, or url", "%s: the other instances cannot reach this one, which serves no HTTP", configName)
	}
	m, err := cluster.Join(ctx, cluster.Config{DB: c.DB, URL: url, Schema: pack.Schema, Logger: n.opt.Logger})
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "is the database running, and its URL right?", "share the coordinator's database: %w", err)
	}
	return m, nil
}

// openBlobs opens a node's blobs: small ones in one file, large ones beside it in files of
// their own; those of several instances in their database.
func (n *Node) openBlobs(m *cluster.Member) (*pack.Store, error) {
	if m != nil {
		return pack.On(m.Rows()), nil
	}
	return openBlobs(n.cfg.Dir)
}

func openBlobs(folder string) (*pack.Store, error) {
	root := filepath.Join(folder, "blobs")
	large, err := dir.Open(root)
	if err != nil {
		return nil, err
	}
	return pack.Open(filepath.Join(root, "small.db"), large)
}

func (n *Node) newCoordinator(chain *chainclient.Client, account *wallet.Account, blobs blob.Store, m *cluster.Member) (*coordinator.Coordinator, error) {
	keys, err := wallet.LoadNodeKeys(n.cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg := coordinator.Config{
		Key: keys.Sign, ChainID: n.cfg.ChainID, Listen: n.cfg.Coordinator.Listen, Ledger: settler{chain, account}, Blobs: blobs,
		Log: filepath.Join(n.cfg.Dir, LogFile), ExpiryAhead: sessionBlocks, Tracer: n.tracer, LedgerURL: n.cfg.Ledger, Version: n.opt.Version, Logger: n.opt.Logger,
	}
	if m != nil {
		cfg.Shared = m
	}
	if n.cfg.Coordinator.Audit != nil {
		if n.verifier, err = n.newVerifier(chain, account, keys, blobs); err != nil {
			return nil, err
		}
		cfg.Delivered, cfg.Barred = n.verifier.Finished, n.verifier.Barred
	}
	return coordinator.New(cfg)
}

// runGateway serves HTTP if the configuration says where; otherwise it only waits.
func (n *Node) runGateway(ctx context.Context, chain *chainclient.Client, account *wallet.Account, blobs blob.Store, member *cluster.Member) (err error) {
	if n.cfg.Coordinator.HTTP == "" && n.opt.HTTP == nil {
		close(n.ready)
		<-ctx.Done()
		return nil
	}
	keys, owners, err := n.openKeys(ctx, member)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	page, history, done, err := n.newPage(ctx, chain, account, member)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	cfg := gateway.Config{
		Tracer: n.tracer, Page: page, Owners: owners, Connections: n.cfg.Coordinator.Connections,
		Coordinator: n.Coordinator(), Blobs: blobs, Keys: keys, LedgerURL: n.cfg.Ledger,
		Payer:  keysPayer{client.Config{Coordinator: n.Coordinator(), Ledger: Payer(chain, account), ChainID: n.cfg.ChainID, Plan: engines.Plan, Proofs: builtin.Proofs{}}},
		Logger: n.opt.Logger, Registry: metrics(n.coordinator),
	}
	if cfg.Batches = filepath.Join(n.cfg.Dir, batchFolder); member != nil { // a folder is one instance's
		if cfg.BatchRows, err = member.Beside(ctx, batchSpace); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cfg.BatchRows.Close()) }()
	}
	if cfg.Filter, err = censor.Open(n.cfg.Coordinator.Filter); err != nil {
		return err
	}
	if c := n.cfg.Coordinator.Guests; c != nil {
		if cfg.Guests, err = desk.NewGuests(c.Key, c.PerHour); err != nil {
			return err
		}
		if member != nil {
			secret, err := n.derived("essaim guests")
			if err != nil {
				return err
			}
			cfg.Guests.Among(secret)
		}
	}
	if cfg.BatchKey, err = n.derived("essaim batches"); err != nil { // seals them
		return err
	}
	if cfg.Listener, cfg.PublicURL, err = n.listen(); err != nil {
		return err
	}
	g, err := gateway.New(cfg)
	if err != nil {
		return errors.Join(err, cfg.Listener.Close())
	}
	close(n.ready)
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return history.Run(ctx) })
	both.Go(func() error { return g.Run(ctx) })
	return both.Wait()
}

// listen opens the gateway's port, unless the caller has, and says how others call it: not at
// all if it listens on all of the machine's addresses.
//
// Errors: CodeConflict.
func (n *Node) listen() (l net.Listener, public string, err error) {
	if l = n.opt.HTTP; l == nil {
		if l, err = net.Listen("tcp", n.cfg.Coordinator.HTTP); err != nil {
			return nil, "", essaim.Errorf(essaim.CodeConflict, "choose another port", "port taken: %w", err)
		}
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsUnspecified() {
		return l, "", nil
	}
	return l, "http://" + l.Addr().String(), nil
}

// derived is a secret that all who have the node key have, so that nothing else is to be kept.
func (n *Node) derived(purpose string) ([]byte, error) {
	keys, err := wallet.LoadNodeKeys(n.cfg.Dir)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, keys.Sign.Seed(), nil, purpose, 32)
}

// keysPayer opens the sessions that pay for the users of API keys: the coordinator is
// its own customer there, and owes these users what their keys allow.
type keysPayer struct{ cfg client.Config }

func (p keysPayer) OpenSession(ctx context.Context) (*client.Session, error) {
	s, err := client.Open(ctx, p.cfg, keysDeposit)
	if err != nil {
		return nil, fmt.Errorf("open a session for API keys: %w", err)
	}
	return s, nil
}

func (p keysPayer) RestoreSession(ctx context.Context, saved []byte) (*client.Session, error) {
	return client.Restore(ctx, p.cfg, saved)
}

// ledger is the caller's, or the configured one.
func (n *Node) ledger() (*chainclient.Client, error) {
	if n.opt.Chain != nil {
		return n.opt.Chain, nil
	}
	if n.cfg.Ledger == "" {
		return nil, essaim.Errorf(essaim.CodeBadInput, "name the URL of a ledger node's RPC", "%s: ledger is missing", configName)
	}
	return chainclient.Dial(n.cfg.Ledger)
}
