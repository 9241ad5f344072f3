package coordinator

import (
	"context"
	"fmt"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/outcome"
	"github.com/essaim/essaim/coordinator/quality"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/coordinator/vet"
	"github.com/essaim/essaim/internal/tracing"
	"github.com/essaim/essaim/transport"
	"github.com/essaim/essaim/verify"
)

// dispatch offers a task to one miner after the other until one delivers. The task's
// state is Delivered after success; after an error the caller ends it.
func (c *Coordinator) dispatch(ctx context.Context, j *job) (essaim.Amount, error) {
	var last error
	for made := 0; made < c.cfg.MaxAttempts; {
		m, err := c.acquire(ctx, j)
		if err != nil {
			if last != nil && ctx.Err() == nil {
				err = essaim.Errorf(essaim.CodeUnavailable, "ask for a new quote and try again", "no miner is left for the task; the last attempt: %w", last)
			}
			return 0, err
		}
		out := c.attempt(ctx, j, m)
		if out.Why != nil {
			c.exclude(j, m, out) // before its place is given to the next in the queue
		}
		c.vacate(m, j)
		if out.Why == nil {
			return out.Price, nil
		}
		last = out.Why
		if !out.Free {
			made++
		}
		switch {
		case out.Task == essaim.EventRefused:
			return 0, out.Why
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		}
		c.step(j, out.Task)
		j.feed.Tell(func(p *essaim.Progress) {
			p.Step, p.Steps = 0, 0
			p.Note = fmt.Sprintf("miner %s: %v; offering the task to another", m.key.Short(), out.Why)
		})
	}
	return 0, essaim.Errorf(essaim.CodeUnavailable, "try again later", "%d attempts failed; the last: %w", c.cfg.MaxAttempts, last)
}

// maxRebuffs is how often a task is offered to miners that say they are busy before
// they are left out.
const maxRebuffs = 16

// exclude keeps a miner from getting the same task again. One that was lost may have
// it when it has connected again, a busy one when a beat says that it has room.
func (c *Coordinator) exclude(j *job, m *miner, out outcome.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case out.Task == essaim.EventMinerLost:
		j.lost++
		j.broken[m] = true
	case out.Busy && j.rebuffs < maxRebuffs:
		j.rebuffs++
		m.full = true
	default:
		j.tried[m.key] = true
	}
}

// attempt is one execution of a task on one miner.
func (c *Coordinator) attempt(ctx context.Context, j *job, m *miner) outcome.Outcome {
	c.mu.Lock()
	unit := m.models[j.task.Model].UnitPrice
	j.began = time.Now()
	c.mu.Unlock()
	if err := c.book.line(j.escrow, receiptlog.Payee{Miner: m.key, Model: j.task.Model}); err != nil {
		return outcome.Outcome{Task: essaim.EventRefused, Why: err}
	}
	c.step(j, essaim.EventOffered)
	var number uint64
	j.feed.Tell(func(p *essaim.Progress) {
		p.Attempt++
		p.Miner, p.Step, p.Steps = m.key, 0, 0
		number = p.Attempt
	})
	began := time.Now()
	until := began.Add(c.cfg.AttemptTimeout)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(m.ctx, func() { cancel(outcome.Lost{Cause: m.why()}) })()
	if d, ok := ctx.Deadline(); ok && !until.Before(d) {
		until = d // the task's own deadline comes first, and says so itself
	} else {
		var free context.CancelFunc
		ctx, free = context.WithDeadlineCause(ctx, until, outcome.ErrTooSlow)
		defer free()
	}

	_, span := c.cfg.Tracer.Start(tracing.In(ctx, j.span), "coordinator attempt", tracing.Client)
	out := c.converse(ctx, j, m, transport.Offer{
		Task: j.signed, Input: j.input, Attempt: number, UnitPrice: unit, Deadline: until.UnixMilli(), Trace: span.Header(),
	})
	span.Set("essaim.miner", m.key.String())
	span.End(out.Why)
	switch out.Task {
	case essaim.EventMinerLost:
		c.lost.Add(1)
	case essaim.EventReceiptRejected:
		c.rejected.Add(1)
	}
	if r, counts := result(out); counts {
		c.judge(m, j, r, time.Since(began))
	}
	c.log.Info("attempt ended", "task", j.digest.Short(), "attempt", number, "miner", m.key.Short(), "event", string(out.Attempt), "reason", out.Why)
	return out
}

// result is what an outcome says of the miner, if it says anything.
func result(out outcome.Outcome) (r quality.Result, counts bool) {
	switch {
	case out.Why == nil:
		return quality.Done, true
	case out.Task == essaim.EventReceiptRejected:
		return quality.Wrong, out.Blame
	}
	return quality.Failed, out.Blame
}

// converse makes the offer and listens until the attempt has ended. The stream is
// reset when ctx ends, which withdraws the offer.
func (c *Coordinator) converse(ctx context.Context, j *job, m *miner, o transport.Offer) outcome.Outcome {
	state := essaim.AttemptOffered
	happened := func(e essaim.Event) {
		next, err := state.Next(e)
		if err != nil {
			c.log.Error("impossible event", "task", j.digest.Short(), "err", err)
		}
		state = next
	}
	end := func(out outcome.Outcome) outcome.Outcome { happened(out.Attempt); return out }
	s, r, undo, err := c.propose(ctx, m, o)
	if err != nil {
		return end(outcome.Broken(ctx))
	}
	defer func() { undo() }()
	for first := true; ; first = false {
		if !first {
			r = transport.Report{}
			if err := s.Receive(&r, 0); err != nil {
				_ = s.Reset()
				return end(outcome.Broken(ctx))
			}
		}
		if r.Failure == nil && state == essaim.AttemptOffered {
			happened(essaim.EventStarted)
			c.step(j, essaim.EventStarted)
		}
		switch {
		case r.Commit != nil:
			if err := c.rounds.Commit(ctx, j.task, j.digest, m.key, r.Commit.Commitment); err != nil {
				_ = s.Reset()
				return end(outcome.Late(ctx, err))
			}
			if err := s.Send(transport.Acked{Reveal: true}); err != nil {
				_ = s.Reset()
				return end(outcome.Broken(ctx))
			}
		case r.Result != nil:
			out, answer := c.accept(j, m, o, *r.Result)
			happened(out.Attempt)
			intact := undo() // the attempt is over; its end withdraws nothing
			c.answer(m, s, answer, intact)
			return out
		case r.Failure != nil:
			_ = s.Close()
			return end(outcome.Failed(*r.Failure))
		case r.Update != nil:
			j.feed.Tell(func(p *essaim.Progress) {
				p.Step, p.Steps, p.Part = int(r.Update.Step), int(r.Update.Steps), r.Update.Part
			})
		}
	}
}

// propose makes the offer and waits for the first report. A stream that has carried
// another attempt before may have ended meanwhile: then a new one is tried. undo keeps the
// end of ctx from resetting the stream, and reports whether it was in time.
func (c *Coordinator) propose(ctx context.Context, m *miner, o transport.Offer) (s *transport.Stream, r transport.Report, undo func() bool, err error) {
	for {
		r = transport.Report{}
		s := m.spare()
		used := s != nil
		if !used {
			if s, err = m.conn.Open(ctx, transport.ProtocolTask); err != nil {
				return nil, r, nil, err
			}
		}
		undo := context.AfterFunc(ctx, func() { _ = s.Reset() })
		if err = s.Send(&o); err == nil {
			err = s.Receive(&r, 0)
		}
		if err == nil {
			return s, r, undo, nil
		}
		undo()
		_ = s.Reset()
		if !used || ctx.Err() != nil || m.ctx.Err() != nil {
			return nil, r, nil, err
		}
	}
}

// answer tells a miner about its receipt, beside the task's own way: a miner that
// does not read must not keep the client waiting. One that misses the answer claims
// it again. Then the stream may carry another attempt.
func (c *Coordinator) answer(m *miner, s *transport.Stream, a *transport.Acked, intact bool) {
	c.callers.Add(1) // the task that calls is counted, so the gate's wait is not over
	go func() {
		defer c.callers.Done()
		undo := context.AfterFunc(c.life, func() { _ = s.Reset() })
		if err := s.Send(a); undo() && err == nil && intact && m.put(s) {
			return
		}
		_ = s.Close()
	}()
}

// accept checks a result and, if it stands, makes it durable. The answer is for the
// miner.
func (c *Coordinator) accept(j *job, m *miner, o transport.Offer, res transport.Result) (outcome.Outcome, *transport.Acked) {
	r, err := vet.Receipt(c.key, j.task, m.key, o, res)
	if err == nil && j.task.Replicated() {
		err = c.rounds.Reveal(j.task, j.digest, m.key, r.Digest(), essaim.Salt(append(res.Salt, make([]byte, 32)...)[:32]))
	}
	if err != nil {
		return outcome.Rejected(err),
			&transport.Acked{Refusal: transport.Refuse(err)}
	}
	// From here on nothing is withdrawn any more: the work is done and is stored.
	err = c.keep(context.WithoutCancel(c.life), j, r, res)
	if err != nil {
		c.log.Error("result cannot be stored", "task", j.digest.Short(), "err", err)
		err = essaim.Errorf(essaim.CodeInternal, "try again later", "the coordinator cannot store the result")
		return outcome.Outcome{Attempt: essaim.EventReceiptRejected, Task: essaim.EventRefused, Why: err},
			&transport.Acked{Refusal: transport.Refuse(err)}
	}
	c.expose(r.Miner, r.Session, r.Price)
	c.step(j, essaim.EventReceiptAccepted)
	j.feed.Tell(func(p *essaim.Progress) { p.Step = p.Steps })
	j.delivery = essaim.Delivery{Task: j.digest, Receipt: res.Receipt, Sealed: res.Sealed}
	c.cfg.Delivered(verify.Work{Task: j.task, Receipt: r, File: essaim.ReceiptFile{Task: j.signed, Receipt: res.Receipt}, Input: j.input, Consent: j.consent})
	return outcome.Outcome{Attempt: essaim.EventReceiptAccepted, Task: essaim.EventReceiptAccepted, Price: r.Price},
		c.acknowledgeEarned(j.escrow, r)
}

// maxInLog is the size of the largest sealed result that the log keeps, in bytes: it is
// stored in the same moment as its receipt. Larger ones are blobs.
const maxInLog = 72 << 10

func (c *Coordinator) keep(ctx context.Context, j *job, r essaim.Receipt, res transport.Result) error {
	to, err := j.feed.Now().State.Next(essaim.EventReceiptAccepted)
	if err != nil {
		return err
	}
	inLog := res.Sealed
	if len(inLog) > maxInLog {
		inLog = nil
		if _, err := c.cfg.Blobs.Put(ctx, res.Sealed); err != nil {
			return fmt.Errorf("store blob: %w", err)
		}
	}
	f := essaim.ReceiptFile{Task: j.signed, Receipt: res.Receipt}
	if j.entry == nil {
		return c.store.Accept(j.digest, r, f, inLog, to)
	}
	return j.entry.Accept(r, f, inLog, to)
}
