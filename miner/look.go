package miner

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/transport"
)

// Job is an attempt under way, as the miner's owner looks at it.
type Job struct {
	Task        essaim.Digest
	Coordinator essaim.NodeKey
	Model       string
	Price       essaim.Amount // at most
	Step, Steps int           // Steps 0: not known
	Since       time.Time

	engine int // the miner's own number of it: an engine need not be comparable
}

// Look is how a miner is doing at this moment.
type Look struct {
	Stats
	Capacity int
	Models   int // that the engines here run and that are on offer
	Jobs     []Job
	Paused   bool   // in maintenance: no new attempts
	Draining bool   // Run is ending
	Idle     string // why nothing runs; "": something does
}

// Look tells how the miner is doing.
func (m *Miner) Look(ctx context.Context) Look {
	l := Look{Stats: m.Stats(), Capacity: m.cfg.Capacity, Paused: m.paused(ctx)}
	m.mu.Lock()
	defer m.mu.Unlock()
	l.Models, l.Draining = len(m.models), m.draining
	for j := range m.jobs {
		l.Jobs = append(l.Jobs, *j)
	}
	slices.SortFunc(l.Jobs, func(a, b Job) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Task.String(), b.Task.String()))
	})
	switch {
	case len(l.Jobs) > 0:
	case l.Draining:
		l.Idle = "it is stopping"
	case l.Paused:
		l.Idle = "it is in maintenance"
	case l.Connected == 0 && m.trouble != nil:
		l.Idle = "no coordinator: " + m.trouble.Error()
	case l.Connected == 0:
		l.Idle = "no coordinator has answered yet"
	case m.why != "":
		l.Idle = "its coordinator says: " + m.why
	default:
		l.Idle = "no task is waiting for it"
	}
	return l
}

// working notes an attempt; what it returns notes its end.
func (m *Miner) working(a *attempt) (*Job, func()) {
	j := &Job{
		Task: a.task.Digest(), Coordinator: a.link.peer, Model: a.runner.model.Name, Price: a.price, Steps: a.request.Steps, Since: time.Now(),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(a.runner.others) > 0 {
		busy := map[int]int{}
		for j := range m.jobs {
			busy[j.engine]++
		}
		for _, e := range a.runner.others {
			if busy[e] < busy[a.runner.at] {
				a.runner.at = e
			}
		}
		a.runner.engine = m.cfg.Engines[a.runner.at]
	}
	j.engine = a.runner.at
	m.jobs[j] = struct{}{}
	return j, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.jobs, j)
	}
}

func (m *Miner) advance(j *Job, p engine.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j.Step, j.Steps = p.Step, p.Steps
}

// serveOne is attend, and notes why the connection has ended.
func (m *Miner) serveOne(ctx context.Context, c *transport.Conn) error {
	err := m.attend(ctx, c)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble = err
	return err
}

// everybody is who is blocked by a miner in maintenance.
var everybody essaim.NodeKey

// paused reports whether the miner is in maintenance.
func (m *Miner) paused(ctx context.Context) bool {
	_, paused, err := m.receipts.blocked(ctx, everybody)
	return err == nil && paused
}

// Toggle begins or ends maintenance.
func (m *Miner) Toggle(ctx context.Context) error {
	b := &Book{file: m.receipts}
	if m.paused(ctx) {
		return b.Resume()
	}
	return b.Pause()
}

// Pause puts a miner into maintenance, whether it runs or not: it finishes what it has and
// takes nothing new until Resume.
func (b *Book) Pause() error { return b.Block(everybody, "maintenance") }

// Resume ends the maintenance.
func (b *Book) Resume() error { return b.Unblock(everybody) }
