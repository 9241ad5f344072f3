package miner_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/transport"
)

// court is the ledger as a miner sees it.
type court struct {
	mu      sync.Mutex
	state   essaim.SessionState
	session essaim.Session // the rest of it
	line    essaim.Amount  // what the settlement says
	record  essaim.Record
	claims  []essaim.Ack
	refuses bool
	waiting essaim.Amount // of the settlement
	asked   int           // how often for what waits
	shown   []shown       // promises of a lapsed session
	first   func()        // called once before a session is told, if set
}

type shown struct {
	ack     essaim.Ack
	voucher essaim.Amount // 0: none
}

func (c *court) change(f func()) { c.mu.Lock(); defer c.mu.Unlock(); f() }

func (c *court) Session(_ context.Context, id essaim.SessionID) (essaim.Session, error) {
	c.mu.Lock()
	first := c.first
	c.first = nil
	c.mu.Unlock()
	if first != nil {
		first()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.session
	s.ID, s.State = id, c.state
	return s, nil
}

func (c *court) Line(_ context.Context, _ essaim.SessionID, m essaim.NodeKey, d essaim.Digest) (essaim.Line, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return essaim.Line{Miner: m, Model: d, Amount: c.line}, nil
}

func (c *court) Record(context.Context, essaim.NodeKey) (essaim.Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record, nil
}

func (c *court) ClaimUnpaid(_ context.Context, signed []byte) (essaim.Tx, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, _, err := essaim.OpenAck(signed)
	if err == nil && c.refuses {
		err = essaim.Errorf(essaim.CodeUnavailable, "", "not now")
	}
	if err == nil {
		c.claims = append(c.claims, a)
	}
	return essaim.Tx{Hash: "CLAIM"}, err
}

func (c *court) Waiting(context.Context, essaim.SessionID) (essaim.Amount, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return c.waiting, nil
}

func (c *court) ClaimLapsed(_ context.Context, signed, voucher []byte) (essaim.Tx, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s shown
	var err error
	if s.ack, _, err = essaim.OpenAck(signed); err != nil {
		return essaim.Tx{}, err
	}
	if voucher != nil {
		v, _, err := essaim.OpenVoucher(voucher)
		if err != nil {
			return essaim.Tx{}, err
		}
		s.voucher = v.Amount
	}
	if c.refuses {
		return essaim.Tx{}, essaim.Errorf(essaim.CodeUnavailable, "", "not now")
	}
	c.shown = append(c.shown, s)
	return essaim.Tx{Hash: "LAPSED"}, nil
}

func (c *court) lapsed() []shown {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]shown(nil), c.shown...)
}

func (c *court) claimed() []essaim.Ack {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]essaim.Ack(nil), c.claims...)
}

// earn lets the desk's miner do n tasks, all acknowledged.
func (d *desk) earn(c *transport.Conn, n uint64) {
	d.t.Helper()
	before := d.m.Stats().Acked
	for i := range n {
		o, _ := d.offer(1000+before+i, nil)
		s := d.send(c, o)
		last, _ := d.end(s)
		if last.Result == nil {
			d.t.Fatalf("failure %+v", last.Failure)
		}
		if err := s.Send(d.ack(last.Result.Receipt, nil)); err != nil {
			d.t.Fatal(err)
		}
		d.eventually("the receipt is acknowledged", func() bool { return d.m.Stats().Acked == before+i+1 })
	}
}

func newCourt(t *testing.T, state essaim.SessionState, change func(*miner.Config)) (*desk, *court) {
	d, l, _ := newSession(t, change)
	l.change(func() { l.state = state })
	return d, l
}

// newSession is an open session in which a miner has earned three times, and where it can be offered more.
func newSession(t *testing.T, change func(*miner.Config)) (*desk, *court, *transport.Conn) {
	l := &court{state: essaim.SessionOpen}
	d := newDesk(t, &fake{}, func(c *miner.Config) {
		c.Ledger, c.Poll = l, 10*time.Millisecond
		if change != nil {
			change(c)
		}
	})
	conn := d.conn()
	d.earn(conn, 3)
	return d, l, conn
}

func (d *desk) promises() []miner.Promise {
	d.t.Helper()
	b, err := miner.OpenBook(d.cfg.Receipts)
	if err != nil {
		d.t.Fatal(err)
	}
	defer b.Close()
	list, err := b.Promises(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return list
}

func TestPromisesThatWereKept(t *testing.T) {
	d, l := newCourt(t, essaim.SessionOpen, nil)
	p := d.promises()
	if len(p) != 1 || p[0].Acked != 3*price || p[0].Total != 3*price || p[0].Deadline != 100 || p[0].Outcome != miner.OutcomeOpen {
		t.Fatalf("promises %+v", p)
	}
	l.change(func() { l.state, l.line = essaim.SessionSettled, 3*price })
	d.eventually("the promise was kept", func() bool { return d.promises()[0].Outcome == miner.OutcomePaid })
	if len(l.claimed()) != 0 || d.m.Stats().Unpaid != 0 {
		t.Error("an honest coordinator was accused")
	}
}

// TestPromisesThatWereNotKept: the last acknowledgement says it all.
func TestPromisesThatWereNotKept(t *testing.T) {
	for _, state := range []essaim.SessionState{essaim.SessionExpired, essaim.SessionSettled} {
		t.Run(string(state), func(t *testing.T) {
			d, l := newCourt(t, state, nil)
			d.eventually("the promise was claimed", func() bool { return d.promises()[0].Outcome == miner.OutcomeClaimed })
			if c := l.claimed(); len(c) != 1 || c[0].Total != 3*price || c[0].Miner != essaim.NodeKeyOf(d.cfg.Key) || c[0].Model != model {
				t.Errorf("claims %+v", c)
			}
			if d.m.Stats().Unpaid != 1 {
				t.Errorf("stats %+v", d.m.Stats())
			}
			// And that coordinator is served no more, not after a restart either.
			d.stop()
			d.mine()
			d.eventually("the miner says why it does not serve", func() bool {
				return strings.Contains(d.logs.String(), "is blocked: it did not pay")
			})
		})
	}
}

// TestPromisesThatRise: what is acknowledged while the ledger is asked about a promise, or after it has said that
// it was kept, is not lost.
func TestPromisesThatRise(t *testing.T) {
	t.Run("meanwhile", func(t *testing.T) {
		d, l, c := newSession(t, nil)
		asked, rest := make(chan struct{}), make(chan struct{})
		l.change(func() { l.state, l.first = essaim.SessionSettled, func() { close(asked); <-rest } })
		<-asked
		d.earn(c, 1)
		close(rest)
		d.eventually("the promise was claimed", func() bool { return d.promises()[0].Outcome == miner.OutcomeClaimed })
		if c := l.claimed(); len(c) != 1 || c[0].Total != 4*price {
			t.Errorf("claims %+v", c)
		}
	})
	t.Run("afterwards", func(t *testing.T) {
		d, l, c := newSession(t, nil)
		l.change(func() { l.state, l.line = essaim.SessionSettled, 3*price })
		d.eventually("the promise was kept", func() bool { return d.promises()[0].Outcome == miner.OutcomePaid })
		d.earn(c, 1)
		d.eventually("the promise was claimed", func() bool { return d.promises()[0].Outcome == miner.OutcomeClaimed })
		if c := l.claimed(); len(c) != 1 || c[0].Total != 4*price || d.m.Stats().Unpaid != 1 {
			t.Errorf("claims %+v, %+v", c, d.m.Stats())
		}
	})
}

func TestAClaimThatFailsStaysToBeMade(t *testing.T) {
	d, l := newCourt(t, essaim.SessionOpen, nil)
	l.change(func() { l.state, l.refuses = essaim.SessionExpired, true })
	d.eventually("the promise is unpaid", func() bool { return d.promises()[0].Outcome == miner.OutcomeUnpaid })
	l.change(func() { l.refuses = false })
	d.eventually("the promise was claimed", func() bool { return d.promises()[0].Outcome == miner.OutcomeClaimed })
	if d.m.Stats().Unpaid != 1 {
		t.Error("counted more than once")
	}
}

// TestPromisesMustAddUp: a coordinator that acknowledges each receipt as if it were the
// only one has not acknowledged it.
func TestPromisesMustAddUp(t *testing.T) {
	d := newDesk(t, &fake{}, nil)
	c := d.conn()
	d.earn(c, 1)
	o, _ := d.offer(2, nil)
	s := d.send(c, o)
	last, _ := d.end(s)
	if err := s.Send(d.ack(last.Result.Receipt, func(a *essaim.Ack) { a.Total = price })); err != nil {
		t.Fatal(err)
	}
	d.eventually("the miner has noticed", func() bool { return strings.Contains(d.logs.String(), "promises 500 in all") })
	// It was claimed again, and then the promise added up.
	d.eventually("the receipt is acknowledged", func() bool { return d.m.Stats().Acked == 2 })
	if p := d.promises(); len(p) != 1 || p[0].Acked != 2*price || p[0].Total != 2*price {
		t.Errorf("promises %+v", p)
	}
}

// TestPromisesInAnyOrder: the answers to attempts that ran side by side overtake one
// another.
func TestPromisesInAnyOrder(t *testing.T) {
	d := newDesk(t, &fake{}, func(c *miner.Config) { c.Capacity = 2 })
	c := d.conn()
	var streams []*transport.Stream
	var answers []*transport.Acked
	for seq := range uint64(2) {
		o, _ := d.offer(seq+1, nil)
		s := d.send(c, o)
		last, _ := d.end(s)
		streams, answers = append(streams, s), append(answers, d.ack(last.Result.Receipt, nil))
	}
	for _, i := range []int{1, 0} {
		if err := streams[i].Send(answers[i]); err != nil {
			t.Fatal(err)
		}
		d.eventually("the receipt is acknowledged", func() bool { return d.m.Stats().Acked == uint64(2-i) })
	}
}

func TestBlockedCoordinators(t *testing.T) {
	t.Run("by the configuration", func(t *testing.T) {
		d := newDesk(t, &fake{}, func(c *miner.Config) {
			k, err := transport.AddrKey(c.Coordinators[0])
			if err != nil {
				t.Fatal(err)
			}
			c.Blocked = []essaim.NodeKey{k}
		})
		d.eventually("the miner says why", func() bool { return strings.Contains(d.logs.String(), "is blocked by the configuration") })
	})
	t.Run("while it is served", func(t *testing.T) {
		d := newDesk(t, &fake{}, nil)
		c := d.conn()
		d.earn(c, 1)
		b, err := miner.OpenBook(d.cfg.Receipts)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.Block(d.host.Key(), "it is slow"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Millisecond) // what another program has set counts within a tenth of a second
		o, _ := d.offer(50, nil)
		last, _ := d.end(d.send(c, o))
		if last.Failure == nil || last.Failure.Kind != transport.FailBusy || !strings.Contains(last.Failure.Refusal.Reason, "it is slow") {
			t.Errorf("report %+v, want busy because of the block", last)
		}
		if err := b.Unblock(d.host.Key()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Millisecond)
		d.earn(c, 1)
	})
}

// TestRecordsAreReadBeforeJoining: who was proven to leave work unpaid is not served,
// unless the miner's owner says so.
func TestRecordsAreReadBeforeJoining(t *testing.T) {
	bad := &court{state: essaim.SessionOpen, record: essaim.Record{Opened: 9, Settled: 8, Expired: 1, Unpaid: 1, Slashes: 1}}
	d := newDesk(t, &fake{}, func(c *miner.Config) { c.Ledger = bad })
	d.eventually("the miner says why", func() bool { return strings.Contains(d.logs.String(), "left acknowledged work unpaid, 1 times") })
	trusting := newDesk(t, &fake{}, func(c *miner.Config) {
		k, err := transport.AddrKey(c.Coordinators[0])
		if err != nil {
			t.Fatal(err)
		}
		c.Ledger, c.Trusted = bad, []essaim.NodeKey{k}
	})
	trusting.conn()
	if !strings.Contains(trusting.logs.String(), "opened=9") {
		t.Error("the record is not shown")
	}
}
