package devnet

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/node"
)

const patience = 2 * time.Minute // for what must happen; generous, the machine may be busy

// running is a network whose parts a test can stop one by one.
type running struct {
	*Network
	t     *testing.T
	parts stack
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	cfg.Home, cfg.BlockTime = t.TempDir(), 100*time.Millisecond
	n, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Network: n, t: t}
	t.Cleanup(func() {
		if err := r.parts.stop(nil); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := Check(cfg.Home); err != nil {
			t.Errorf("the books do not add up: %v", err)
		}
	})
	if err := n.start(t.Context(), &r.parts); err != nil {
		t.Fatal(err)
	}
	return r
}

// stopCoordinator ends it for good; it was started after the validator.
func (r *running) stopCoordinator() {
	p := r.parts.parts[1]
	p.cancel()
	<-p.done
}

func (r *running) eventually(what string, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			r.t.Fatalf("did not happen: %s", what)
		}
	}
}

// soon is a payer's ledger whose sessions expire after so many blocks.
type soon struct {
	client.Ledger
	blocks int64
}

func (s soon) OpenSession(ctx context.Context, coordinator essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, _ int64) (essaim.SessionID, essaim.Tx, error) {
	height, err := s.Height(ctx)
	if err != nil {
		return 0, essaim.Tx{}, err
	}
	return s.Ledger.OpenSession(ctx, coordinator, deposit, key, height+s.blocks)
}

func (r *running) open(deposit essaim.Amount, blocks int64) *client.Session {
	r.t.Helper()
	s, err := client.Open(r.t.Context(), client.Config{
		Coordinator: r.Coordinator(), Ledger: soon{Payer(r.Chain(), r.Account(User)), blocks}, ChainID: r.info.ChainID,
		Plan: engines.Plan,
	}, deposit)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *running) draw(s *client.Session, count int) {
	r.t.Helper()
	for i := range count {
		if _, err := s.Draw(r.t.Context(), client.Request{Model: essaim.DigestOf(pixel.Manifest()), Prompt: "a lamp", Seed: uint64(i)}, nil); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *running) balance(name string) essaim.Amount {
	r.t.Helper()
	b, err := r.Chain().Balance(r.t.Context(), r.Account(name).Address())
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *running) state(id essaim.SessionID) essaim.SessionState {
	r.t.Helper()
	s, err := r.Chain().Session(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return s.State
}

// kept is what the first miner's file has: its only promise, and the voucher to it.
func (r *running) kept() (p miner.Promise, voucher essaim.Amount) {
	r.t.Helper()
	b, err := miner.OpenBook(filepath.Join(r.MinerDirs()[0], node.ReceiptsFile))
	if err != nil {
		r.t.Fatal(err)
	}
	defer b.Close()
	list, err := b.Promises(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if len(list) == 0 {
		return p, 0
	}
	p = list[0]
	if voucher, _, err = b.Voucher(r.t.Context(), p.Coordinator, p.Session); err != nil {
		r.t.Fatal(err)
	}
	return p, voucher
}

// paid is what the ledger has paid the first miner of a session, gross.
func (r *running) paid(p miner.Promise) essaim.Amount {
	r.t.Helper()
	key, err := NodeKey(r.MinerDirs()[0])
	if err != nil {
		r.t.Fatal(err)
	}
	line, err := r.Chain().Line(r.t.Context(), p.Session, key, p.Model)
	if err != nil {
		r.t.Fatal(err)
	}
	return line.Amount
}

// TestCoordinatorIsGone for good, with work that is delivered and not settled. What the
// payer has acknowledged the miner gets out of the session, what it has not out of the
// coordinator's stake, and the payer gets the rest: to the last coin.
func TestCoordinatorIsGone(t *testing.T) {
	r := start(t, Config{Miners: 1})
	before := r.balance(User)
	s := r.open(1*essaim.AIM, 200)
	id, price := s.Record().ID, minerPrice(0)
	r.draw(s, 3)
	if err := s.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.eventually("the miner has the voucher", func() bool { _, v := r.kept(); return v == 3*price })
	r.draw(s, 1) // which no voucher covers
	r.eventually("the miner has the promise", func() bool { p, _ := r.kept(); return p.Total == 4*price })
	r.stopCoordinator()
	r.eventually("the session lapses", func() bool { return r.state(id) == essaim.SessionLapsed })
	r.eventually("the promise is shown", func() bool { p, _ := r.kept(); return p.Outcome == miner.OutcomeLapsed })
	r.eventually("the session is over", func() bool { return r.state(id) == essaim.SessionExpired })
	if got := r.balance(User); got != before-3*price {
		t.Errorf("the payer has %d uaim of %d, acknowledged were %d", got, before, 3*price)
	}
	p, _ := r.kept()
	if got := r.paid(p); got != 3*price {
		t.Errorf("the miner was paid %d, acknowledged were %d", got, 3*price)
	}
	r.eventually("the rest is claimed", func() bool { p, _ := r.kept(); return p.Outcome == miner.OutcomeClaimed })
	if record, err := r.Chain().Record(t.Context(), p.Coordinator); err != nil || record.Unpaid != 1 || record.Slashes != 1 {
		t.Errorf("record %+v: %v", record, err)
	}
}
