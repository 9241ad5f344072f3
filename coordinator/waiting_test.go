package coordinator_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/standing"
)

// submit hands a task in, in the background.
func (p *payer) submit(prompt string) (essaim.Digest, <-chan result[essaim.Delivery]) {
	p.n.t.Helper()
	s, err := p.prepare(prompt, nil)
	if err != nil {
		p.n.t.Fatal(err)
	}
	task, _, err := essaim.ReadTask(s.Task)
	if err != nil {
		p.n.t.Fatal(err)
	}
	done := wait(func() (essaim.Delivery, error) { return p.n.co.Submit(context.Background(), s, nil) })
	eventually(p.n.t, "the task is under way", func() bool {
		_, err := p.n.co.Standing(p.n.t.Context(), task.Digest())
		return err == nil
	})
	return task.Digest(), done
}

func (p *payer) cancel(task essaim.Digest) error {
	return p.n.co.Cancel(p.n.t.Context(), task, standing.SignCancel(chainID, task, p.key))
}

// TestStandingOfTheQueue: one miner with one place; the tasks behind the first have places, and
// are told why the miner does not take them.
func TestStandingOfTheQueue(t *testing.T) {
	n := newNetwork(t, nil)
	e, started, free := blocked()
	m := n.mine(e, func(c *miner.Config) { c.Capacity = 1 })
	p := n.payer(100 * unitPrice)
	first, firstDone := p.submit("first")
	within(t, started, "the first task runs")
	stand := func(task essaim.Digest) standing.Standing {
		s, err := n.co.Standing(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	second, secondDone := p.submit("second")
	eventually(t, "the second task has its place", func() bool { return stand(second).Place == 1 })
	third, thirdDone := p.submit("third")
	eventually(t, "the third task has its place", func() bool { return stand(third).Place == 2 })
	if s := stand(first); s.State != essaim.TaskAssigned || s.Miner != m.key || s.Place != 0 || len(s.WhyNot) != 0 {
		t.Errorf("the first: %+v", s)
	}
	for i, task := range []essaim.Digest{second, third} {
		s := stand(task)
		if s.State != essaim.TaskSubmitted || s.Place != i+1 || s.Waiting != 2 || !s.ETA.IsZero() || !s.Miner.IsZero() {
			t.Errorf("number %d in the queue: %+v", i+1, s)
		}
		if len(s.WhyNot) != 1 || s.WhyNot[0].Miner != m.key || s.WhyNot[0].Why != "it is busy with 1 of 1 tasks" {
			t.Errorf("why not: %+v", s.WhyNot)
		}
	}
	free()
	for _, done := range []<-chan result[essaim.Delivery]{firstDone, secondDone, thirdDone} {
		r := within(t, done, "a task is delivered")
		p.must(r.v, r.err)
	}
	if _, err := n.co.Standing(t.Context(), first); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("the standing of a task that is done: %v", err)
	}
	// The tasks that were done say how long the next will take.
	e.step = nil
	gate := make(chan struct{})
	e.step = func(context.Context, int) error { <-gate; return nil }
	last, lastDone := p.submit("last")
	if s := stand(last); !s.ETA.After(s.Since) {
		t.Errorf("no estimate, or one before it was handed in: %+v", s)
	}
	close(gate)
	within(t, lastDone, "the last task is delivered")
	p.settle(4)
}

// TestCancelRefunds takes back a task that waits and one that runs: nothing is charged, the money
// can be spent again, and no miner is blamed.
func TestCancelRefunds(t *testing.T) {
	n := newNetwork(t, nil)
	e, started, free := blocked()
	n.mine(e, func(c *miner.Config) { c.Capacity = 1 })
	p := n.payer(2 * unitPrice)
	running, runningDone := p.submit("running")
	within(t, started, "a task runs")
	waiting, waitingDone := p.submit("waiting")
	other := n.payer(unitPrice)
	if err := n.co.Cancel(t.Context(), waiting, standing.SignCancel(chainID, waiting, other.key)); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("somebody else cancels: %v", err)
	}
	for task, done := range map[essaim.Digest]<-chan result[essaim.Delivery]{waiting: waitingDone, running: runningDone} {
		if err := p.cancel(task); err != nil {
			t.Fatal(err)
		}
		if r := within(t, done, "the task ends"); essaim.CodeOf(r.err) != essaim.CodeConflict || !strings.Contains(r.err.Error(), "cancelled") {
			t.Errorf("a cancelled task ends with %v", r.err)
		}
		if r, err := n.co.Task(t.Context(), task); err != nil || r.State != essaim.TaskRefunded || r.Price != 0 {
			t.Errorf("record %+v, %v", r, err)
		}
		if err := p.cancel(task); essaim.CodeOf(err) != essaim.CodeNotFound {
			t.Errorf("cancelled twice: %v", err)
		}
	}
	free()
	for _, prompt := range []string{"again", "and again"} { // the whole deposit is there
		p.must(p.imagine(prompt, nil))
	}
	if s := n.co.Stats(); s.Lost != 0 || s.Rejected != 0 || s.Ended != 2 || s.Delivered != 2 {
		t.Errorf("%+v", s)
	}
	p.settle(2)
}

// TestMoreThanItTakes: beyond its limit a coordinator turns tasks away, and takes them again
// when there is room; none is lost.
func TestMoreThanItTakes(t *testing.T) {
	n := newNetwork(t, func(c *coordinator.Config) { c.MaxJobs = 2 })
	e, started, free := blocked()
	n.mine(e, func(c *miner.Config) { c.Capacity = 1 })
	p := n.payer(100 * unitPrice)
	_, first := p.submit("first")
	within(t, started, "the first task runs")
	_, second := p.submit("second")
	if _, err := p.imagine("third", nil); essaim.CodeOf(err) != essaim.CodeUnavailable || standing.After(err) < time.Second || standing.After(err) > time.Minute {
		t.Errorf("a third task: %v, after %v", err, standing.After(err))
	}
	free()
	for _, done := range []<-chan result[essaim.Delivery]{first, second} {
		r := within(t, done, "an accepted task is delivered")
		p.must(r.v, r.err)
	}
	p.must(p.imagine("third again", nil))
	p.settle(3)
}
