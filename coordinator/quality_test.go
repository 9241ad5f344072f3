package coordinator_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/miner"
)

// TestFailingMinerIsLeftOut: after three failures in a row a miner gets nothing for a while, the others do what it
// would have got, and who waits is told why it does not.
func TestFailingMinerIsLeftOut(t *testing.T) {
	n := newNetwork(t, func(c *coordinator.Config) { c.Pause = time.Hour })
	var tried atomic.Int32
	bad := n.mine(&fake{step: func(context.Context, int) error { tried.Add(1); return errEngine }}, nil)
	p := n.payer(100 * unitPrice)
	for range 3 {
		if _, err := p.imagine("a sloe", nil); err == nil {
			t.Fatal("a broken engine delivers")
		}
	}
	_, err := p.imagine("a sloe", nil)
	if essaim.CodeOf(err) != essaim.CodeUnavailable || !strings.Contains(err.Error(), "has failed 3 times in a row") || strings.Contains(err.Error(), marker) {
		t.Errorf("the fourth task: %v", err)
	}
	eventually(t, "the miner knows why it is idle", func() bool { return strings.Contains(bad.Look(t.Context()).Idle, "has failed 3 times in a row") })
	e, started, free := blocked()
	good := n.mine(e, func(c *miner.Config) { c.Capacity = 1 })
	task, done := p.submit("a plum")
	within(t, started, "the other miner has it")
	s, err := n.co.Standing(t.Context(), task)
	if err != nil || len(s.WhyNot) != 1 || s.WhyNot[0].Miner != bad.key || !strings.Contains(s.WhyNot[0].Why, "gets no task of this model for") {
		t.Errorf("standing %+v, %v", s, err)
	}
	free()
	r := within(t, done, "it is delivered")
	if got := p.must(r.v, r.err).Miner; got != good.key {
		t.Errorf("by %s", got.Short())
	}
	for range 8 {
		p.must(p.imagine("a pear", nil))
	}
	if tried.Load() != 3 || n.co.Stats().LeftOut != 1 {
		t.Errorf("tried %d times, %d left out", tried.Load(), n.co.Stats().LeftOut)
	}
}

// TestAConversationStays: tasks of one conversation go to the miner that has had it, while that one is free; and to
// another when it is not.
func TestAConversationStays(t *testing.T) {
	n := newNetwork(t, nil)
	gate := make(chan struct{})
	close(gate)
	var closed atomic.Pointer[chan struct{}]
	closed.Store(&gate)
	began := make(chan struct{}, 64)
	engine := func() *fake {
		return &fake{step: func(context.Context, int) error { began <- struct{}{}; <-*closed.Load(); return nil }, steps: 1}
	}
	one := func(c *miner.Config) { c.Capacity = 1 }
	n.mine(engine(), one)
	n.mine(engine(), one)
	p := n.payer(1000 * unitPrice)
	talk := func(conversation string) essaim.Receipt {
		t.Helper()
		s, err := p.prepareIn(conversation, "on and on")
		if err != nil {
			t.Fatal(err)
		}
		r := p.must(n.co.Submit(t.Context(), s, nil))
		<-began
		return r
	}
	first := talk("mine").Miner
	for range 20 {
		if got := talk("mine").Miner; got != first {
			t.Fatalf("the conversation moved from %s to %s", first.Short(), got.Short())
		}
	}
	elsewhere := false
	for i := 0; i < 200 && !elsewhere; i++ {
		elsewhere = talk("").Miner != first
	}
	if !elsewhere {
		t.Fatal("all others go to one miner, too")
	}
	busy := make(chan struct{})
	closed.Store(&busy)
	held, err := p.prepareIn("mine", "on")
	if err != nil {
		t.Fatal(err)
	}
	holds := wait(func() (essaim.Delivery, error) { return n.co.Submit(context.Background(), held, nil) })
	within(t, began, "the miner is busy")
	s, err := p.prepareIn("mine", "meanwhile")
	if err != nil {
		t.Fatal(err)
	}
	closed.Store(&gate)
	if got := p.must(n.co.Submit(t.Context(), s, nil)).Miner; got == first {
		t.Error("a busy miner was waited for")
	}
	close(busy)
	r := within(t, holds, "the held task")
	p.must(r.v, r.err)
	s, err = p.prepareIn(strings.Repeat("x", 65), "too long")
	if err == nil {
		_, err = n.co.Submit(t.Context(), s, nil)
	}
	wantCode(t, "a long name", err, essaim.CodeBadInput)
}

func (p *payer) prepareIn(conversation, prompt string) (essaim.Submission, error) {
	s, err := p.prepare(prompt, nil)
	s.Conversation = conversation
	return s, err
}

// tagged is an engine that cannot be compared.
type tagged struct {
	*fake
	names []string
}

func (e tagged) Name() string { return e.names[0] }

// TestEnginesShareWork: of two engines of a miner that have the same model, each has a task at the same time.
func TestEnginesShareWork(t *testing.T) {
	n := newNetwork(t, nil)
	one, first, freeOne := blocked()
	two, second, freeTwo := blocked()
	n.mine(one, func(c *miner.Config) {
		c.Capacity, c.Engines = 2, []engine.Engine{tagged{one, []string{"one"}}, tagged{two, []string{"two"}}}
	})
	p := n.payer(10 * unitPrice)
	_, a := p.submit("a pear")
	_, b := p.submit("a plum")
	within(t, first, "one engine works")
	within(t, second, "and the other")
	freeOne()
	freeTwo()
	for _, done := range []<-chan result[essaim.Delivery]{a, b} {
		r := within(t, done, "a task is delivered")
		p.must(r.v, r.err)
	}
	p.settle(2)
}
