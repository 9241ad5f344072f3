package coordinator_test

import (
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/miner"
)

// TestMaintenance: a miner in maintenance finishes what it has and gets nothing new, those who
// wait are told, and it is served again when the maintenance is over.
func TestMaintenance(t *testing.T) {
	n := newNetwork(t, nil)
	e, started, free := blocked()
	m := n.mine(e, func(c *miner.Config) { c.Capacity = 2 })
	p := n.payer(100 * unitPrice)
	running, runningDone := p.submit("running")
	within(t, started, "a task runs")
	if l := m.Look(t.Context()); len(l.Jobs) != 1 || l.Jobs[0].Task != running || l.Jobs[0].Model != "fake" || l.Idle != "" || l.Paused || l.Models != 1 {
		t.Errorf("at work: %+v", l)
	}
	if err := m.Toggle(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting, waitingDone := p.submit("waiting")
	eventually(t, "who waits is told", func() bool {
		s, err := n.co.Standing(t.Context(), waiting)
		return err == nil && s.Place == 1 && len(s.WhyNot) == 1 && strings.Contains(s.WhyNot[0].Why, "no room")
	})
	free()
	r := within(t, runningDone, "the task that ran is delivered")
	p.must(r.v, r.err)
	eventually(t, "the miner is idle", func() bool {
		l := m.Look(t.Context())
		return len(l.Jobs) == 0 && l.Paused && l.Idle == "it is in maintenance"
	})
	if s, err := n.co.Standing(t.Context(), waiting); err != nil || s.State != essaim.TaskSubmitted {
		t.Errorf("while the miner is in maintenance: %+v, %v", s, err)
	}
	if err := m.Toggle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r = within(t, waitingDone, "the task that waited is delivered")
	p.must(r.v, r.err)
	p.settle(2)
}
