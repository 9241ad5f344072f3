package coordinator_test

import (
	"context"
	"crypto/ed25519"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/transport"
)

// liar is a miner made by hand, which can break every rule.
type liar struct {
	n       *network
	key     ed25519.PrivateKey
	offers  chan *offer
	pace    time.Duration // of its beats, as it says
	places  uint32        // that it has, as it says
	mu      sync.Mutex    // one beat at a time
	host    *transport.Host
	control *transport.Stream // guarded by mu
}

type offer struct {
	transport.Offer
	task   essaim.Task
	stream *transport.Stream
	done   chan struct{} // closed by the test when it needs the stream no more
}

const (
	// slowBeat is of a liar that is to be missed: longer than a busy machine lets a test wait.
	slowBeat = 500 * time.Millisecond
	// calmBeat is of one that is never missed in the time of a test.
	calmBeat = 8 * time.Second
)

func (n *network) lie() *liar { return n.lieAt(calmBeat) }

func (n *network) lieAt(pace time.Duration) *liar { return n.lieWith(pace, 8) }

func (n *network) lieWith(pace time.Duration, places uint32) *liar {
	n.t.Helper()
	l := &liar{n: n, key: newKey(n.t), offers: make(chan *offer, 8), pace: pace, places: places}
	n.register(l.key, newSeal(n.t).PublicKey(), 100)
	l.dial()
	return l
}

// dial connects, says hello and is welcomed; it beats only when the test does.
func (l *liar) dial() {
	t := l.n.t
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.host, err = transport.New(transport.Config{Key: l.key}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.host.Close() })
	l.host.Handle(transport.ProtocolTask, func(ctx context.Context, s *transport.Stream) {
		o := &offer{stream: s, done: make(chan struct{})}
		if s.Receive(&o.Offer, patience) != nil {
			return
		}
		o.task, _, _ = essaim.OpenTask(o.Task)
		l.offers <- o
		select {
		case <-o.done:
		case <-ctx.Done():
		}
	})
	c, err := l.host.Dial(t.Context(), l.n.addr())
	if err != nil {
		t.Fatal(err)
	}
	if l.control, err = c.Open(t.Context(), transport.ProtocolControl); err != nil {
		t.Fatal(err)
	}
	before := l.n.co.Stats().Miners
	hello := transport.Hello{ChainID: chainID, Capacity: l.places, Beat: l.pace, Models: []essaim.ModelInfo{{
		Digest: modelDigest, Name: "fake", Kind: essaim.KindImage, UnitPrice: unitPrice, MinSteps: 1, MaxSteps: 8, Steps: 2,
	}}}
	if err := l.control.Send(hello); err != nil {
		t.Fatal(err)
	}
	var w transport.Welcome
	if err := l.control.Receive(&w, patience); err != nil || w.Refusal != nil {
		t.Fatalf("welcome: %v, %+v", err, w.Refusal)
	}
	eventually(t, "the miner is connected", func() bool { return l.n.co.Stats().Miners > before })
}

// live beats until the test ends or stop is called.
func (l *liar) live() (stop func()) {
	return background(l.n.t, func(ctx context.Context) error {
		tick := time.NewTicker(slowBeat / 8)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				_, _ = l.beat(nil)
			}
		}
	})
}

func (l *liar) beat(claim []byte) (transport.FromCoordinator, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out transport.FromCoordinator
	if err := l.control.Send(transport.FromMiner{Claim: claim}); err != nil {
		return out, err
	}
	return out, l.control.Receive(&out, patience)
}

// result makes a right result for an offer, and then lets the test spoil it.
func (l *liar) result(o *offer, spoil func(*essaim.Receipt)) transport.Result {
	l.n.t.Helper()
	sealed := []byte("sealed for " + o.task.Digest().String())
	r := essaim.NewReceipt(o.task)
	r.Attempt, r.Miner, r.Coordinator = o.Attempt, essaim.NodeKeyOf(l.key), essaim.NodeKeyOf(l.n.key)
	r.Width, r.Height, r.Steps, r.Output, r.Sealed = 32, 32, 2, essaim.DigestOf([]byte("picture")), essaim.DigestOf(sealed)
	r.Units, r.Price = 1, o.UnitPrice
	if spoil != nil {
		spoil(&r)
	}
	signed, err := essaim.SignReceipt(r, l.key)
	if err != nil {
		l.n.t.Fatal(err)
	}
	return transport.Result{Receipt: signed, Sealed: sealed}
}

func (o *offer) say(t testing.TB, r transport.Report) {
	t.Helper()
	if err := o.stream.Send(r); err != nil {
		t.Fatal(err)
	}
}

func TestStalledMinerIsGoneThoughItsConnectionStands(t *testing.T) {
	n := newNetwork(t, nil)
	l := n.lieAt(slowBeat)
	stop := l.live()
	p := n.payer(10 * unitPrice)
	var notes []string
	// The input is sealed to both miners, but the liar has it first.
	quick := n.mine(&fake{}, nil)
	var d <-chan result[essaim.Delivery]
	var o *offer
	delivered := uint64(0)
	for o == nil {
		d = wait(func() (essaim.Delivery, error) {
			return p.imagine("a sloe", func(pr essaim.Progress) { notes = append(notes, pr.Note) })
		})
		delivered++
		select {
		case r := <-d:
			p.must(r.v, r.err)
		case o = <-l.offers:
		case <-time.After(patience):
			t.Fatal("the task goes nowhere")
		}
	}
	o.say(t, transport.Report{Update: &transport.Update{Steps: 2}})
	stop() // no more beats; the connection and the stream stand
	got := within(t, d, "delivery by another miner")
	if r := p.must(got.v, got.err); r.Miner != quick.key || r.Attempt != 2 {
		t.Errorf("delivered by %s in attempt %d", r.Miner.Short(), r.Attempt)
	}
	if all := strings.Join(notes, "\n"); !strings.Contains(all, "heartbeats stopped") {
		t.Errorf("notes %q", all)
	}
	// What it says after that reaches nobody, and its receipt does not count.
	late := l.result(o, nil)
	_ = o.stream.Send(transport.Report{Result: &late})
	close(o.done)
	l.host.Close()
	eventually(t, "the stalled miner is gone", func() bool { return n.co.Stats().Miners == 1 })
	l.pace = calmBeat
	l.dial()
	answer, err := l.beat(late.Receipt)
	if err != nil || answer.Claim == nil || answer.Claim.Refusal == nil || answer.Claim.Refusal.Code != essaim.CodeConflict {
		t.Errorf("claim of a lost attempt: %+v, %v, want a conflict", answer.Claim, err)
	}
	p.settle(delivered)
}

// TestMinerThatIsHeardIsThere: beats that do not come in time, since a line or a machine is busy with the work itself,
// do not cost a miner its tasks while that work arrives.
func TestMinerThatIsHeardIsThere(t *testing.T) {
	n := newNetwork(t, nil)
	l := n.lieAt(slowBeat) // and no beat
	p := n.payer(10 * unitPrice)
	d := wait(func() (essaim.Delivery, error) { return p.imagine("a sloe", nil) })
	o := within(t, l.offers, "the offer arrives")
	tick := time.NewTicker(slowBeat / 8)
	defer tick.Stop()
	for range 4 * 8 {
		<-tick.C
		o.say(t, transport.Report{Update: &transport.Update{Step: 1, Steps: 2}})
	}
	right := l.result(o, nil)
	o.say(t, transport.Report{Result: &right})
	got := within(t, d, "the task is delivered")
	close(o.done)
	if got.err != nil {
		t.Fatal(got.err)
	}
	if s := n.co.Stats(); s.Lost != 0 || s.Miners != 1 {
		t.Errorf("%+v", s)
	}
}

func TestLostAcknowledgementIsGivenAgain(t *testing.T) {
	n := newNetwork(t, nil)
	l := n.lie()
	l.live()
	p := n.payer(unitPrice)
	d := wait(func() (essaim.Delivery, error) { return p.imagine("a rowan", nil) })
	o := within(t, l.offers, "offer")
	res := l.result(o, nil)
	o.say(t, transport.Report{Result: &res})
	if got := within(t, d, "delivery"); got.err != nil {
		t.Fatal(got.err)
	}
	l.host.Close() // the answer is never read
	close(o.done)
	check := func(what string) {
		t.Helper()
		answer, err := l.beat(res.Receipt)
		if err != nil || answer.Claim == nil {
			t.Fatalf("%s: %v, %+v", what, err, answer)
		}
		ack, signer, err := essaim.OpenAck(answer.Claim.Ack)
		if err != nil || signer != essaim.NodeKeyOf(n.key) || ack.Price != unitPrice || ack.Session != p.session {
			t.Errorf("%s: %+v by %s, %v", what, ack, signer.Short(), err)
		}
	}
	eventually(t, "the connection is gone", func() bool { return n.co.Stats().Miners == 0 })
	l.dial()
	check("claim after a reconnect")
	check("claim again")
	l.host.Close()
	n.stop()
	n.start()
	l.dial()
	check("claim after a restart of the coordinator")
	p.settle(1)
	eventually(t, "the connection answers", func() bool { _, err := l.beat(nil); return err == nil })
	check("claim after the settlement")
}

func TestWrongReceiptsAreRejected(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(*essaim.Receipt)
	}{
		{"price above the offer", func(r *essaim.Receipt) { r.Price++ }},
		{"more units", func(r *essaim.Receipt) { r.Units++ }},
		{"another coordinator", func(r *essaim.Receipt) { r.Coordinator[0]++ }},
		{"another attempt", func(r *essaim.Receipt) { r.Attempt++ }},
		{"another task", func(r *essaim.Receipt) { r.Task[0]++ }},
		{"another model", func(r *essaim.Receipt) { r.Model[0]++ }},
		{"another result", func(r *essaim.Receipt) { r.Sealed[0]++ }},
		{"another seed", func(r *essaim.Receipt) { r.Seed++ }},
		{"another miner", func(r *essaim.Receipt) { r.Miner[0]++ }},
		{"no output", func(r *essaim.Receipt) { r.Output = essaim.Digest{} }},
	}
	n := newNetwork(t, nil)
	l := n.lie()
	l.live()
	p := n.payer(essaim.Amount(len(cases)) * unitPrice)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := wait(func() (essaim.Delivery, error) { return p.imagine("a thorn", nil) })
			o := within(t, l.offers, "offer")
			res := l.result(o, c.spoil)
			o.say(t, transport.Report{Result: &res})
			var answer transport.Acked
			if err := o.stream.Receive(&answer, patience); err != nil || answer.Refusal == nil || answer.Ack != nil {
				t.Errorf("answer %+v, %v, want a refusal", answer, err)
			}
			close(o.done)
			wantCode(t, "submit", within(t, d, "the task ends").err, essaim.CodeUnavailable)
			if got := n.co.Stats().Rejected; got != uint64(i+1) {
				t.Errorf("%d receipts rejected, want %d", got, i+1)
			}
		})
	}
	p.settle(0)
}

func TestSilentMinerRunsIntoTheDeadline(t *testing.T) {
	n := newNetwork(t, nil)
	l := n.lie()
	l.live()
	p := n.payer(unitPrice)
	s, err := p.prepare("a reed", func(t *essaim.Task) { t.Deadline = time.Now().Add(time.Second).UnixMilli() })
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.co.Submit(t.Context(), s, nil)
	wantCode(t, "submit", err, essaim.CodeExpired)
	task, _, err := essaim.OpenTask(s.Task)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := n.co.Task(t.Context(), task.Digest()); err != nil || rec.State != essaim.TaskExpired {
		t.Errorf("Task = %+v, %v, want expired", rec, err)
	}
	o := within(t, l.offers, "offer")
	var none transport.Acked
	if err := o.stream.Receive(&none, patience); err == nil {
		t.Error("the offer was not withdrawn")
	}
	close(o.done)
	p.settle(0)
}

func TestInputSealedToNobodyHere(t *testing.T) {
	n := newNetwork(t, func(c *coordinator.Config) { c.Rejoin = 50 * time.Millisecond })
	n.mine(&fake{}, nil)
	p := n.payer(unitPrice)
	s, err := p.prepare("a moss", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Input, err = seal.Seal([]byte("x"), nil, newSeal(t).PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.co.Submit(t.Context(), s, nil)
	wantCode(t, "submit", err, essaim.CodeUnavailable)
	if essaim.HintOf(err) == "" {
		t.Error("no hint")
	}
}
