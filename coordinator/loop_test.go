package coordinator_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/miner"
)

func wantCode(t *testing.T, what string, err error, code essaim.Code) {
	t.Helper()
	if err == nil || essaim.CodeOf(err) != code {
		t.Errorf("%s: %v (%s), want %s", what, err, essaim.CodeOf(err), code)
	}
}

func TestTasksAreDeliveredAndSettledOnce(t *testing.T) {
	n := newNetwork(t, nil)
	m1, m2 := n.mine(&fake{}, nil), n.mine(&fake{}, nil)
	p := n.payer(100 * unitPrice)
	const tasks = 12
	byMiner := map[essaim.NodeKey]uint64{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range tasks {
		group.Go(func() {
			var last essaim.Progress
			d, err := p.imagine(fmt.Sprint("an apple ", i), func(pr essaim.Progress) { last = pr })
			if err != nil {
				t.Errorf("task %d: %v", i, err)
				return
			}
			r := p.must(d, err)
			if r.Coordinator != essaim.NodeKeyOf(n.key) || r.Price != unitPrice || r.Width != 32 || r.Steps != 2 {
				t.Errorf("receipt %+v", r)
			}
			if last.State != essaim.TaskDelivered || last.Miner != r.Miner {
				t.Errorf("last progress %+v", last)
			}
			mu.Lock()
			defer mu.Unlock()
			byMiner[r.Miner]++
		})
	}
	group.Wait()
	s := p.settle(tasks)
	for _, l := range s.Lines {
		if l.Tasks != byMiner[l.Miner] || l.Amount != unitPrice*essaim.Amount(l.Tasks) || l.Model != modelDigest {
			t.Errorf("line %+v, want %d tasks", l, byMiner[l.Miner])
		}
	}
	for _, m := range []*seat{m1, m2} {
		eventually(t, "all receipts are acknowledged", func() bool {
			return m.Stats().Acked == byMiner[m.key] && m.Stats().Earned == unitPrice*essaim.Amount(byMiner[m.key])
		})
	}
	if again, err := p.close(); err != nil || again.Root != s.Root || again.Tx.Hash == "" || n.ledger.payments != 1 {
		t.Errorf("closing again: %+v, %v, %d payments", again, err, n.ledger.payments)
	}
	_, err := p.imagine("too late", nil)
	wantCode(t, "submit to a settled session", err, essaim.CodeConflict)
}

func TestSubmitAgainReturnsWhatWasDelivered(t *testing.T) {
	n := newNetwork(t, nil)
	e, started, free := blocked()
	n.mine(e, nil)
	p := n.payer(10 * unitPrice)
	s, err := p.prepare("a pear", nil)
	if err != nil {
		t.Fatal(err)
	}
	submit := func() (essaim.Delivery, error) { return n.co.Submit(t.Context(), s, nil) }
	first := wait(submit)
	within(t, started, "the engine runs")
	second := wait(submit) // joins
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = n.co.Submit(impatient, s, nil)
	wantCode(t, "cancelled submit", err, essaim.CodeUnavailable)
	free()
	a, b := within(t, first, "delivery"), within(t, second, "delivery to the second caller")
	p.must(a.v, a.err)
	p.must(b.v, b.err)
	n.stop()
	n.start() // the answer survives a restart
	c, err := submit()
	p.must(c, err)
	if !bytes.Equal(a.v.Receipt, b.v.Receipt) || !bytes.Equal(a.v.Receipt, c.Receipt) {
		t.Error("the same task has several receipts")
	}
	rec, err := n.co.Task(t.Context(), a.v.Task)
	if err != nil || rec.State != essaim.TaskDelivered || rec.Price != unitPrice || rec.Attempts != 1 {
		t.Errorf("Task = %+v, %v", rec, err)
	}
	p.settle(1)
	if rec, err := n.co.Task(t.Context(), a.v.Task); err != nil || rec.State != essaim.TaskSettled {
		t.Errorf("after the settlement: %+v, %v", rec, err)
	}
}

func TestUnregisteredMinerIsRefused(t *testing.T) {
	n := newNetwork(t, nil)
	m, err := miner.New(miner.Config{
		Key: newKey(t), Seal: newSeal(t), ChainID: chainID, Coordinators: []string{n.addr()}, Engines: []engine.Engine{&fake{}},
		Offers: []essaim.Offer{{Model: modelDigest, UnitPrice: unitPrice}}, Receipts: filepath.Join(n.dir, "r.db"),
		MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond, Logger: n.logger("miner"),
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, m.Run)
	eventually(t, "the miner reads why", func() bool {
		return strings.Contains(n.logs.String(), "role=miner") && strings.Contains(n.logs.String(), "is not registered as a miner")
	})
	if n.co.Stats().Miners != 0 || m.Stats().Connected != 0 {
		t.Error("an unregistered miner is connected")
	}
	p := n.payer(unitPrice)
	_, err = p.imagine("a plum", nil)
	wantCode(t, "quote without miners", err, essaim.CodeUnavailable)
}

func TestMinerThatLosesItsRegistrationIsSentAway(t *testing.T) {
	n := newNetwork(t, nil)
	m := n.mine(&fake{}, nil)
	n.ledger.mu.Lock()
	a := n.ledger.actors[m.key]
	a.RetiredAt = 5
	n.ledger.actors[m.key] = a
	n.ledger.mu.Unlock()
	eventually(t, "the miner is sent away", func() bool { return n.co.Stats().Miners == 0 })
}

func TestOffersAreWhatRegistryAndMinerAgreeOn(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, func(c *miner.Config) { c.Offers[0].UnitPrice = unitPrice + 1 }) // dearer than registered
	_, err := n.payer(unitPrice).imagine("a fig", nil)
	wantCode(t, "no agreed offer", err, essaim.CodeUnavailable)
	n.mine(&fake{}, func(c *miner.Config) { c.Offers[0].UnitPrice = unitPrice - 1 })
	q, err := n.co.Quote(t.Context(), essaim.QuoteRequest{Model: modelDigest})
	if err != nil || q.MaxPrice != unitPrice-1 || len(q.Candidates) != 1 {
		t.Errorf("Quote = %+v, %v, want the cheaper miner only", q, err)
	}
	_, err = n.co.Quote(t.Context(), essaim.QuoteRequest{Model: modelDigest, Width: 33, Height: 33})
	wantCode(t, "quote of a size that nobody has", err, essaim.CodeBadInput)
}

func TestLostMinerIsReplacedAndPaidOnce(t *testing.T) {
	n := newNetwork(t, nil)
	e, started, free := blocked()
	defer free()
	stuck := n.mine(e, func(c *miner.Config) { c.Grace = time.Millisecond })
	p := n.payer(10 * unitPrice)
	good := n.mine(&fake{}, nil)
	// Until the task lands on the stuck miner, others are delivered by the good one.
	delivered := uint64(0)
	for {
		var notes []string
		d := wait(func() (essaim.Delivery, error) {
			return p.imagine("a quince", func(pr essaim.Progress) { notes = append(notes, pr.Note) })
		})
		delivered++
		select {
		case r := <-d:
			p.must(r.v, r.err)
			continue
		case <-started:
		case <-time.After(patience):
			t.Fatal("the task goes nowhere")
		}
		stuck.stop()
		got := within(t, d, "delivery by another miner")
		r := p.must(got.v, got.err)
		if r.Miner != good.key || r.Attempt != 2 {
			t.Errorf("delivered by %s in attempt %d", r.Miner.Short(), r.Attempt)
		}
		if !strings.Contains(strings.Join(notes, "\n"), "offering the task to another") {
			t.Errorf("notes %q", notes)
		}
		break
	}
	if n.co.Stats().Lost != 1 {
		t.Errorf("%d attempts lost, want 1", n.co.Stats().Lost)
	}
	p.settle(delivered)
}

func TestLostMinerMayComeBackForItsTask(t *testing.T) {
	n := newNetwork(t, nil)
	e, started, free := blocked()
	dir := t.TempDir()
	key, hpke := newKey(t), newSeal(t)
	same := func(c *miner.Config) {
		c.Key, c.Seal, c.Receipts, c.Grace = key, hpke, filepath.Join(dir, "r.db"), time.Millisecond
	}
	n.register(key, hpke.PublicKey(), 100)
	m := n.mine(e, same)
	p := n.payer(unitPrice)
	d := wait(func() (essaim.Delivery, error) { return p.imagine("a medlar", nil) })
	within(t, started, "the engine runs")
	m.stop()
	free()
	eventually(t, "the miner is gone", func() bool { return n.co.Stats().Miners == 0 })
	n.mine(e, same)
	got := within(t, d, "delivery after the miner is back")
	if r := p.must(got.v, got.err); r.Attempt != 2 {
		t.Errorf("attempt %d, want 2", r.Attempt)
	}
	p.settle(1)
}

func TestEngineErrors(t *testing.T) {
	n := newNetwork(t, nil)
	cause := errEngine
	n.mine(&fake{step: func(context.Context, int) error { return cause }}, nil)
	p := n.payer(10 * unitPrice)
	_, err := p.imagine(marker, nil)
	wantCode(t, "engine failed on the only miner", err, essaim.CodeUnavailable)
	if n.co.Stats().Tasks != 0 {
		t.Error("a failed task is still under way")
	}
	cause = fmt.Errorf("%w: cannot draw %s", engine.ErrBadRequest, marker)
	s, err := p.prepare(marker, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.co.Submit(t.Context(), s, nil)
	wantCode(t, "request that can never succeed", err, essaim.CodeBadInput)
	if strings.Contains(err.Error(), marker) {
		t.Errorf("the engine's words travel: %v", err)
	}
	task, _, err := essaim.OpenTask(s.Task)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := n.co.Task(t.Context(), task.Digest())
	if err != nil || rec.State != essaim.TaskRefunded || rec.Reason == "" || rec.Attempts != 1 {
		t.Errorf("Task = %+v, %v", rec, err)
	}
	p.settle(0) // an empty settlement gives the whole deposit back
}

func TestAdmission(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	p := n.payer(unitPrice + unitPrice/2)
	stranger := n.payer(unitPrice)
	stranger.session = p.session
	cases := []struct {
		name   string
		by     *payer
		change func(*essaim.Task)
		want   essaim.Code
	}{
		{"another chain", p, func(t *essaim.Task) { t.ChainID = "other" }, essaim.CodeRefused},
		{"another's session", stranger, nil, essaim.CodeRefused},
		{"no such session", p, func(t *essaim.Task) { t.Session = 99 }, essaim.CodeNotFound},
		{"deadline passed", p, func(t *essaim.Task) { t.Deadline = 1 }, essaim.CodeExpired},
		{"unknown model", p, func(t *essaim.Task) { t.Model[0]++ }, essaim.CodeUnavailable},
		{"price too low", p, func(t *essaim.Task) { t.MaxPrice = 1 }, essaim.CodeInsufficient},
		{"above the deposit", p, func(t *essaim.Task) { t.MaxPrice = 2 * unitPrice }, essaim.CodeInsufficient},
		{"verification", p, func(t *essaim.Task) { t.Verify = "oracle" }, essaim.CodeBadInput},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := c.by.prepare("a lime", c.change)
			if err != nil {
				t.Fatal(err)
			}
			_, err = n.co.Submit(t.Context(), s, nil)
			wantCode(t, "submit", err, c.want)
		})
	}
	r := p.must(p.imagine("a lime", nil))
	s, err := p.prepare("a lemon", func(t *essaim.Task) { t.Seq, t.MaxPrice = r.Seq, 1 })
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.co.Submit(t.Context(), s, nil)
	wantCode(t, "price", err, essaim.CodeInsufficient)
	_, err = p.imagine("a lemon", nil)
	wantCode(t, "the deposit is used up", err, essaim.CodeInsufficient)
	p.settle(1)
	notMine, err := essaim.SignClose(essaim.CloseRequest{ChainID: chainID, Session: p.session}, stranger.key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.co.Close(t.Context(), notMine)
	wantCode(t, "close by a stranger", err, essaim.CodeRefused)
}

func TestSequenceNumberIsUsedOnce(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	p := n.payer(10 * unitPrice)
	r := p.must(p.imagine("a date", nil))
	s, err := p.prepare("another date", func(t *essaim.Task) { t.Seq = r.Seq })
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.co.Submit(t.Context(), s, nil)
	wantCode(t, "number taken", err, essaim.CodeConflict)
	p.settle(1)
}

// TestTopUpIsSeen: what the payer adds to a deposit can be spent at once, and is settled.
func TestTopUpIsSeen(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	p := n.payer(unitPrice)
	p.must(p.imagine("a lime", nil))
	_, err := p.imagine("a lemon", nil)
	wantCode(t, "the deposit is used up", err, essaim.CodeInsufficient)
	n.ledger.mu.Lock()
	s := n.ledger.sessions[p.session]
	s.Deposit += 2 * unitPrice
	n.ledger.sessions[p.session] = s
	n.ledger.mu.Unlock()
	p.must(p.imagine("a lemon", nil))
	p.must(p.imagine("a grape", nil))
	_, err = p.imagine("a plum", nil)
	wantCode(t, "the top-up is used up", err, essaim.CodeInsufficient)
	p.settle(3)
}

func TestReservationsStayWithinTheDeposit(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	const fits = 5
	p := n.payer(fits*unitPrice + unitPrice - 1)
	var group sync.WaitGroup
	var mu sync.Mutex
	delivered := uint64(0)
	for range 4 * fits {
		group.Go(func() {
			_, err := p.imagine("a grape", nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				delivered++
			} else {
				wantCode(t, "beyond the deposit", err, essaim.CodeInsufficient)
			}
		})
	}
	group.Wait()
	if delivered != fits {
		t.Errorf("%d tasks delivered, want %d", delivered, fits)
	}
	p.settle(fits)
}

func TestCloseWaitsForTasksThenCancelsThem(t *testing.T) {
	n := newNetwork(t, func(c *coordinator.Config) { c.CloseGrace = 300 * time.Millisecond })
	e, started, _ := blocked()
	n.mine(e, nil)
	p := n.payer(10 * unitPrice)
	d := wait(func() (essaim.Delivery, error) { return p.imagine("a melon", nil) })
	within(t, started, "the engine runs")
	closed := wait(p.close)
	got := within(t, d, "the task ends")
	wantCode(t, "task of a closing session", got.err, essaim.CodeUnavailable)
	c := within(t, closed, "the session is settled")
	if c.err != nil || c.v.Root.Count() != 0 {
		t.Errorf("Close = %+v, %v, want an empty settlement", c.v, c.err)
	}
}

func TestSessionsSettleByThemselves(t *testing.T) {
	n := newNetwork(t, func(c *coordinator.Config) { c.IdleSettle = 200 * time.Millisecond })
	n.mine(&fake{}, nil)
	idle := n.payer(unitPrice)
	idle.must(idle.imagine("a cherry", nil))
	eventually(t, "the idle session is settled", func() bool { _, ok := n.ledger.settlement(idle.session); return ok })
	n.stop()
	n.cfg.IdleSettle = time.Hour
	n.start()
	n.mine(&fake{}, nil)
	old := n.payer(2 * unitPrice)
	old.must(old.imagine("an olive", nil))
	n.ledger.setHeight(985)
	eventually(t, "the session near its expiry is settled", func() bool { _, ok := n.ledger.settlement(old.session); return ok })
	_, err := old.imagine("too late", nil)
	if code := essaim.CodeOf(err); code != essaim.CodeConflict && code != essaim.CodeExpired {
		t.Errorf("submit near the expiry: %v", err)
	}
}

// TestSessionsWithoutADelivery are settled like any other, so that the payer does not wait
// for the expiry: by the run that knows them, or by the next.
func TestSessionsWithoutADelivery(t *testing.T) {
	broken := &fake{step: func(context.Context, int) error { return errEngine }}
	n := newNetwork(t, func(c *coordinator.Config) { c.IdleSettle, c.MaxAttempts = time.Hour, 1 })
	n.mine(broken, nil)
	p := n.payer(10 * unitPrice)
	if _, err := p.imagine("a fig", nil); err == nil {
		t.Fatal("the engine works")
	}
	n.stop()
	n.cfg.IdleSettle = 200 * time.Millisecond
	n.start()
	eventually(t, "the session of the run before is settled", func() bool { _, ok := n.ledger.settlement(p.session); return ok })
	n.mine(broken, nil)
	q := n.payer(10 * unitPrice)
	if _, err := q.imagine("a fig", nil); err == nil {
		t.Fatal("the engine works")
	}
	eventually(t, "the session of this run is settled", func() bool { _, ok := n.ledger.settlement(q.session); return ok })
	for _, id := range []essaim.SessionID{p.session, q.session} {
		if s, _ := n.ledger.settlement(id); s.Root.Sum() != 0 || len(s.Lines) != 0 {
			t.Errorf("session %s is settled with %d", id, s.Root.Sum())
		}
	}
}

func TestRestartEndsWhatWasNotDelivered(t *testing.T) {
	n := newNetwork(t, nil)
	e, started, free := blocked()
	n.mine(e, nil)
	p := n.payer(10 * unitPrice)
	s, err := p.prepare("a kiwi", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := wait(func() (essaim.Delivery, error) { return n.co.Submit(t.Context(), s, nil) })
	within(t, started, "the engine runs")
	addr := n.addr()
	n.stop()
	wantCode(t, "submit when the coordinator stops", within(t, d, "submit returns").err, essaim.CodeUnavailable)
	free()
	n.cfg.Listen = []string{strings.Split(addr, "/p2p/")[0]}
	n.start()
	task, _, err := essaim.OpenTask(s.Task)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := n.co.Task(t.Context(), task.Digest())
	if err != nil || rec.State != essaim.TaskRefunded || rec.Reason == "" {
		t.Errorf("Task = %+v, %v", rec, err)
	}
	eventually(t, "the miner has dialled again", func() bool { return n.co.Stats().Miners == 1 })
	p.must(n.co.Submit(t.Context(), s, nil)) // the same task again
	p.settle(1)
}

func TestPromptIsNowhere(t *testing.T) {
	n := newNetwork(t, nil)
	var files []string
	e := &fake{}
	n.mine(e, func(c *miner.Config) { files = append(files, c.Receipts) })
	p := n.payer(10 * unitPrice)
	p.must(p.imagine(marker, nil))
	e.step = func(context.Context, int) error { return errEngine }
	_, err := p.imagine(marker, nil)
	wantCode(t, "engine fails", err, essaim.CodeUnavailable)
	p.settle(1)
	if n.db == "" {
		files = append(files, n.cfg.Log)
	} else if found, err := filepath.Glob(filepath.Join(coordinator.Server().Dir(), "data", "pg_wal", "0*")); err != nil || len(found) == 0 {
		t.Fatal("the server's log is not found")
	} else {
		for _, f := range found { // all that was ever written
			if b, err := os.ReadFile(f); err != nil || bytes.Contains(b, []byte(marker)) {
				t.Errorf("%s holds the prompt: %v", f, err)
			}
		}
	}
	for _, f := range files {
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(f + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) == 0 || bytes.Contains(b, []byte(marker)) {
				t.Errorf("%s%s holds the prompt, or nothing", f, suffix)
			}
		}
	}
	if strings.Contains(n.logs.String(), marker) {
		t.Error("the log lines hold the prompt")
	}
}

func TestFewerPlacesThanTasksAreSharedFairly(t *testing.T) {
	n := newNetwork(t, nil)
	e, started, free := blocked()
	n.mine(e, func(c *miner.Config) { c.Capacity = 1 })
	greedy, modest := n.payer(100*unitPrice), n.payer(100*unitPrice)
	first := wait(func() (essaim.Delivery, error) { return greedy.imagine("0", nil) })
	within(t, started, "the engine runs")
	var mu sync.Mutex
	var order []essaim.SessionID
	var group sync.WaitGroup
	queue := func(p *payer) {
		before := n.co.Stats().Tasks
		group.Go(func() {
			r := p.must(p.imagine("x", nil))
			mu.Lock()
			defer mu.Unlock()
			order = append(order, r.Session)
		})
		eventually(t, "the task is queued", func() bool { return n.co.Stats().Tasks > before })
	}
	for range 4 {
		queue(greedy)
	}
	queue(modest)
	free()
	within(t, first, "the first task")
	group.Wait()
	if len(order) < 2 || order[0] != modest.session && order[1] != modest.session {
		t.Errorf("order of sessions %v: the modest one waited for all of the greedy one's", order)
	}
}
