package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/known"
	"github.com/essaim/essaim/standing"
)

// Standing tells how a task under way stands: its place, when it may be done, and which
// miners do not get it and why.
//
// Errors: CodeNotFound if it is not under way.
func (c *Coordinator) Standing(ctx context.Context, task essaim.Digest) (standing.Standing, error) {
	_, leave, err := c.enter(ctx)
	if err != nil {
		return standing.Standing{}, err
	}
	defer leave()
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.jobs[task]
	if j == nil {
		return standing.Standing{}, errNotUnderWay(task)
	}
	p := j.feed.Now()
	s := standing.Standing{Task: task, State: p.State, Since: j.since, WhyNot: []standing.Skipped{}}
	if p.State == essaim.TaskAssigned {
		s.Miner = p.Miner
	}
	if j.waiter != nil {
		s.Place, s.Waiting = c.queue.Place(j.who, j.waiter, func(w *waiter) bool { return w.job.task.Model == j.task.Model })
	}
	places := 0
	for _, m := range c.miners {
		if _, ok := m.models[j.task.Model]; !ok {
			s.Others++
			continue
		}
		places += m.capacity
		if why := c.whyNot(j, m); why != "" && m.key != s.Miner && len(s.WhyNot) < standing.MaxSkipped {
			s.WhyNot = append(s.WhyNot, standing.Skipped{Miner: m.key, Why: why})
		}
	}
	slices.SortFunc(s.WhyNot, func(a, b standing.Skipped) int { return cmp.Compare(a.Miner.String(), b.Miner.String()) })
	s.ETA = c.eta(j, s, places)
	return s, nil
}

func errNotUnderWay(task essaim.Digest) error {
	return essaim.Errorf(essaim.CodeNotFound, "`essaim task show` tells how it ended", "task %s is not under way", task.Short())
}

// eta is when a task may be delivered; zero: nobody knows. c.mu is held.
func (c *Coordinator) eta(j *job, s standing.Standing, places int) time.Time {
	takes := c.pace.Of(j.task.Model)
	switch {
	case takes == 0:
		return time.Time{}
	case s.Place > 0:
		return time.Now().Add(c.pace.Wait(j.task.Model, s.Place, places))
	}
	began := j.began
	if began.IsZero() { // it was handed in just now
		began = j.since
	}
	return began.Add(max(takes, time.Since(began)))
}

// later says with an error when a task of a model that is turned away may be tried again. c.mu is held.
func (c *Coordinator) later(model essaim.Digest, err error) error {
	places := 0
	for _, m := range c.miners {
		if _, ok := m.models[model]; ok {
			places += m.capacity
		}
	}
	return standing.Later(err, c.pace.Retry(model, c.queue.Len(), places))
}

// whyNot says why a miner that runs a job's model does not get it now; "": it could.
// c.mu is held.
func (c *Coordinator) whyNot(j *job, m *miner) string {
	info := m.models[j.task.Model]
	price := known.Price(info, j.task.Units())
	switch {
	case !j.only.IsZero() && j.only != m.key:
		return "the task is for another miner"
	case j.broken[m]:
		return "its connection broke with this task"
	case j.tried[m.key]:
		return "it has failed at this task"
	case info.Kind != j.task.Kind:
		return fmt.Sprintf("it does %q with the model, not %q", info.Kind, j.task.Kind)
	case price > j.task.MaxPrice:
		return fmt.Sprintf("it asks %d uaim, the task pays %d", price, j.task.MaxPrice)
	}
	if err := c.eligible(m, j.task.Model, price); err != nil {
		return err.Error() // first: that may be why no quote has named it
	}
	switch {
	case !m.sealID.IsRecipient(j.input):
		return "the input is not sealed to it"
	case !c.rounds.Free(j.task, j.digest, m.actor.Owner):
		return "its owner has another replica of the task"
	case m.full:
		return "it says that it has no room"
	case m.running >= m.capacity:
		return fmt.Sprintf("it is busy with %d of %d tasks", m.running, m.capacity)
	}
	return ""
}

// Cancel takes a task back and returns when it has ended. sig is by standing.SignCancel.
// Nothing is charged for it.
//
// Errors: CodeNotFound if it is not under way, CodeRefused for a wrong signature,
// CodeConflict if it was delivered first, or if a part of a text was shown already: that
// is paid for when it is finished.
func (c *Coordinator) Cancel(ctx context.Context, task essaim.Digest, sig []byte) error {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	j := c.job(task)
	if j == nil {
		return errNotUnderWay(task)
	}
	if err := standing.CheckCancel(c.cfg.ChainID, task, j.escrow.session.SessionKey, sig); err != nil {
		return err
	}
	if !j.feed.IfSilent(func() { j.cancel(standing.ErrCancelled) }) {
		return essaim.Errorf(essaim.CodeConflict, "wait for the rest", "a part of task %s was delivered", task.Short())
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	switch {
	case j.err == nil:
		return essaim.Errorf(essaim.CodeConflict, "its receipt says what it cost", "task %s was delivered first", task.Short())
	case errors.Is(j.err, standing.ErrCancelled):
		return nil
	}
	return j.err
}
