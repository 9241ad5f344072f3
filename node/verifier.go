package node

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/coordinator/cluster"
	"github.com/essaim/essaim/engine"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/verifier"
	"github.com/essaim/essaim/verifier/challenger"
	"github.com/essaim/essaim/verify/rerun"
	"github.com/essaim/essaim/wallet"
)

const (
	// VerifierFile is where a coordinator's folder keeps what was checked.
	VerifierFile = "verifier.db"

	// DisputesFile is where it keeps what it disputes.
	DisputesFile = "disputes.db"
)

// audited is a coordinator that says what is checked of its receipts.
type audited struct {
	cluster.Local
	auditor
}

// auditor is client.Auditor without the names that both have.
type auditor = client.Auditor

func (n *Node) newVerifier(chain *chainclient.Client, account *wallet.Account, keys wallet.NodeKeys, blobs blob.Store) (*verifier.Verifier, error) {
	list, err := engines.Engines()
	if err != nil {
		return nil, err
	}
	exact, runs := map[essaim.Digest]bool{}, map[essaim.Digest]engine.Engine{}
	for _, e := range list {
		models, err := e.Models(context.Background())
		if err != nil {
			return nil, err
		}
		for _, m := range models {
			exact[m.Digest], runs[m.Digest] = m.Exact, e
		}
	}
	a := n.cfg.Coordinator.Audit
	n.budget = &budget{node: n, ledger: Payer(chain, account), deposit: essaim.Amount(a.Budget), own: map[essaim.SessionID]bool{}, retired: map[essaim.SessionID]*client.Session{}}
	n.challenger, err = challenger.New(challenger.Config{
		File: filepath.Join(n.cfg.Dir, DisputesFile), Seal: keys.HPKE, Ledger: Court(chain, account), Engines: runs, Settle: n.budget.settle,
		Poll: time.Duration(a.Poll), Logger: n.opt.Logger,
	})
	if err != nil {
		return nil, err
	}
	n.prosecutor = &prosecutor{chain: chain, account: account, submit: a.Propose, cases: make(chan verifier.Accusation, maxCases), log: n.opt.Logger}
	return verifier.New(verifier.Config{
		Accuse: n.prosecutor.accuse,
		Key:    keys.Sign, Seal: keys.HPKE, ChainID: n.cfg.ChainID, Ledger: chain, Budget: n.budget, Book: filepath.Join(n.cfg.Dir, VerifierFile),
		Words: func(model essaim.Digest) []string {
			if w, ok := runs[model].(interface{ Words() []string }); ok {
				return w.Words()
			}
			return nil
		},
		Fault: n.challenger.Take, Exact: func(model essaim.Digest) bool { return exact[model] },
		Connected: func(m essaim.NodeKey) bool { return n.coordinator.Connected(m) },
		Known:     rerun.Method{Runner: rerun.With(list...)}, Evidence: blobs, Canaries: essaim.Bps(a.Canaries), Patience: time.Duration(a.Patience), Poll: time.Duration(a.Poll), Logger: n.opt.Logger,
	})
}

func (n *Node) runVerifier(ctx context.Context) error {
	both, running := errgroup.WithContext(ctx)
	both.Go(func() error { return n.verifier.Run(running) })
	both.Go(func() error { return n.challenger.Run(running) })
	both.Go(func() error { return n.prosecutor.run(running) })
	err := both.Wait()
	return errors.Join(err, n.budget.close(context.WithoutCancel(ctx)))
}

// budget pays for reruns: in sessions with the coordinator itself, of an account of its
// operator's, one after the other.
type budget struct {
	node    *Node
	ledger  client.Ledger
	deposit essaim.Amount

	mu      sync.Mutex
	own     map[essaim.SessionID]bool
	session *client.Session
	retired map[essaim.SessionID]*client.Session // to be settled before their time
}

// Own reports whether a session is of this run's budget.
func (b *budget) Own(id essaim.SessionID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.own[id]
}

// Rerun runs a task again. A session that is over or used up is replaced once.
func (b *budget) Rerun(ctx context.Context, r verifier.Rerun) (verifier.Rerunning, error) {
	for last := false; ; last = true {
		s, err := b.current(ctx)
		if err != nil {
			return verifier.Rerunning{}, err
		}
		receipt, d, task, err := s.Repeat(ctx, client.Repeat{Task: r.Task, Input: r.Input, Miner: r.By.NodeKey, Price: r.Price})
		code := essaim.CodeOf(err)
		if err == nil || last || code != essaim.CodeConflict && code != essaim.CodeInsufficient {
			return verifier.Rerunning{Receipt: receipt, File: essaim.ReceiptFile{Task: task, Receipt: d.Receipt}, Sealed: d.Sealed}, err
		}
		b.drop(s)
	}
}

// current is the session that pays, which is opened if there is none.
func (b *budget) current(ctx context.Context) (*client.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != nil {
		return b.session, nil
	}
	s, err := client.Open(ctx, client.Config{Coordinator: b.node.coordinator, Ledger: b.ledger, ChainID: b.node.cfg.ChainID}, b.deposit)
	if err == nil {
		b.session, b.own[s.Record().ID] = s, true
	}
	return s, err
}

// drop takes a session out of use. The coordinator settles it when it has been idle.
func (b *budget) drop(s *client.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session == s {
		b.session = nil
	}
}

// settle has a session of the budget settled, so that what was wrong in it can be disputed: the next rerun is in another
// one. done: nothing is left to do for it here; while tasks run in it, it must be asked again.
func (b *budget) settle(ctx context.Context, id essaim.SessionID) (done bool) {
	b.mu.Lock()
	if s := b.session; s != nil && s.Record().ID == id {
		b.retired[id], b.session = s, nil
	}
	s := b.retired[id]
	b.mu.Unlock()
	if s == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := s.Close(ctx); err != nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.retired, id)
	return true
}

// close settles the session that is open, with a voucher for all that was accepted.
func (b *budget) close(ctx context.Context) error {
	b.mu.Lock()
	s := b.session
	b.session = nil
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := s.Close(ctx)
	if code := essaim.CodeOf(err); code == essaim.CodeConflict || code == essaim.CodeUnavailable {
		err = nil // the coordinator settles it before it expires
	}
	return err
}
