package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/affinity"
	"github.com/essaim/essaim/coordinator/feed"
	"github.com/essaim/essaim/coordinator/known"
	"github.com/essaim/essaim/coordinator/line"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/internal/tracing"
	"github.com/essaim/essaim/receipts"
)

// maxInput bounds a sealed input, in bytes: a prompt of up to 64 KiB with its padding, and
// some dozens of recipients.
const maxInput = 128 << 10

// reasonRestarted is why a task ended; it is shown to users and kept in the log.
const reasonRestarted = "the coordinator restarted before the task was delivered"

var (
	errDeadline = &essaim.Error{Code: essaim.CodeExpired, Msg: "the task's deadline has passed", Hint: "submit it again with a later deadline"}
	errClosing  = &essaim.Error{Code: essaim.CodeUnavailable, Msg: "the session was settled before the task was delivered", Hint: "open a new session"}
)

// job is a task under way.
type job struct {
	task    essaim.Task
	digest  essaim.Digest
	signed  []byte         // the task, COSE_Sign1; a copy, for the log keeps it when the message it came in is long done
	input   []byte         // sealed; never stored
	consent []byte         // likewise, sealed to this coordinator; nil: none
	only    essaim.NodeKey // may have the task; zero: any
	escrow  *escrow
	who     line.Who      // whose turn it takes
	span    *tracing.Span // ended by its goroutine
	// conversation is what it goes on with; "": none.
	conversation string
	// voucher came with the task, and goes into the log with it; nil: none.
	voucher *receiptlog.Voucher
	cancel  context.CancelCauseFunc // set before the job is shared

	tried  map[essaim.NodeKey]bool // miners that could not; guarded by Coordinator.mu
	broken map[*miner]bool         // connections that failed; guarded by Coordinator.mu
	lost   int                     // attempts whose miner was lost; of the job's goroutine
	waiter *waiter                 // the last time that it waited; guarded by Coordinator.mu
	began  time.Time               // when the last attempt was offered; guarded by Coordinator.mu
	since  time.Time               // when it was handed in
	entry  *receiptlog.Entry       // nil: the log has it from the beginning; of the job's goroutine
	// rebuffs counts offers to miners that said they were busy; of the job's goroutine.
	rebuffs int
	// promised is the price with the miner that has the job now; guarded by Coordinator.mu.
	promised essaim.Amount

	done     chan struct{} // closed when the task has ended; then these two are set
	delivery essaim.Delivery
	err      error

	feed *feed.Feed
}

// Submit runs a task and returns when it is delivered or has ended otherwise.
// progress may be nil; it is called from Submit's goroutine and may be slow, in which
// case it misses steps. A task that was submitted before is not run twice: Submit
// joins it, or returns what was delivered. The task goes on if ctx ends.
//
// Errors: CodeBadInput or CodeRefused for a task that may not run, CodeInsufficient
// if the session's deposit does not suffice, CodeConflict for a session that is over
// or a sequence number that is taken, CodeExpired after the deadline, CodeUnavailable
// if no miner can do it now. Nothing is charged for any of them.
func (c *Coordinator) Submit(ctx context.Context, s essaim.Submission, progress func(essaim.Progress)) (essaim.Delivery, error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return essaim.Delivery{}, err
	}
	defer leave()
	task, signature, err := essaim.ReadTask(s.Task)
	if err == nil {
		err = signature.CheckOnce()
	}
	if err != nil {
		return essaim.Delivery{}, err
	}
	digest := task.Digest()
	j := c.job(digest)
	if j == nil {
		j, err = c.start(ctx, task, signature.Signer(), digest, s)
	}
	var d essaim.Delivery
	if err == nil {
		d, err = j.follow(ctx, progress)
	}
	if err == nil {
		return d, nil
	}
	// A new task is not looked for in the log: one that is there does not begin again.
	if have, missing := c.store.Task(context.WithoutCancel(ctx), digest); missing == nil && have.Receipt != nil {
		return c.redeliver(ctx, have)
	}
	return d, err
}

// redeliver hands out what was delivered before.
func (c *Coordinator) redeliver(ctx context.Context, have essaim.TaskRecord) (essaim.Delivery, error) {
	at, sealed, err := c.store.Result(ctx, have.Digest)
	if err != nil {
		return essaim.Delivery{}, fmt.Errorf("read task %s: %w", have.Digest.Short(), err)
	}
	if sealed == nil {
		sealed, err = c.cfg.Blobs.Get(ctx, at)
	}
	if err != nil {
		return essaim.Delivery{}, fmt.Errorf("result of task %s: %w", have.Digest.Short(), err)
	}
	return essaim.Delivery{Task: have.Digest, Receipt: have.Receipt, Sealed: sealed}, nil
}

// start admits a task: every check that needs no miner, then its maximum price is
// reserved and its goroutine begins.
func (c *Coordinator) start(ctx context.Context, t essaim.Task, signer essaim.NodeKey, digest essaim.Digest, s essaim.Submission) (*job, error) {
	deadline, err := c.admissible(t, s)
	if err != nil {
		return nil, err
	}
	height, err := c.currentHeight()
	if err != nil {
		return nil, err
	}
	e, err := c.escrow(ctx, t.Session)
	if err != nil {
		return nil, err
	}
	if err := e.checkSession(signer, height, c.cfg.ExpiryMargin); err != nil {
		return nil, err
	}
	voucher, err := c.enclosed(ctx, e, s.Voucher)
	if err != nil {
		return nil, err
	}
	c.refill(ctx, e, t.MaxPrice)
	j := &job{
		voucher: voucher,
		task:    t, digest: digest, signed: bytes.Clone(s.Task), input: s.Input, consent: s.Consent, only: s.Only, escrow: e, conversation: s.Conversation, who: line.Who{Payer: e.session.Payer, For: s.For, Last: s.Last}, since: time.Now(), done: make(chan struct{}),
		tried: map[essaim.NodeKey]bool{}, broken: map[*miner]bool{},
		feed: feed.New(essaim.Progress{Task: digest, State: essaim.TaskSubmitted}),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if running := c.jobs[digest]; running != nil {
		return running, nil // submitted twice in the same moment
	}
	if len(c.jobs) >= c.cfg.MaxJobs {
		return nil, c.later(t.Model, essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "the coordinator has %d tasks under way, as many as it takes", len(c.jobs)))
	}
	if err := c.rounds.Join(t, digest); err != nil {
		return nil, err
	}
	if len(c.able(j)) == 0 {
		c.rounds.Leave(t, digest)
		return nil, c.whyNobody(j)
	}
	if err := c.book.reserve(e, t.MaxPrice, c.cfg.MaxTasks); err != nil {
		c.rounds.Leave(t, digest)
		if errors.Is(err, errBusy) {
			err = c.later(t.Model, err)
		}
		return nil, err
	}
	life, cancel := context.WithCancelCause(c.life)
	j.cancel = cancel
	_, j.span = c.cfg.Tracer.Start(ctx, "coordinator task", tracing.Internal)
	c.traces.Note(digest, j.span.Trace())
	life, free := context.WithDeadlineCause(life, deadline, errDeadline)
	c.jobs[digest] = j
	c.callers.Add(1) // the caller of Submit is counted, so the gate is not closed yet
	go func() {
		defer c.callers.Done()
		defer free()
		defer cancel(nil)
		c.run(life, j)
	}()
	return j, nil
}

// admissible checks what the task says by itself.
func (c *Coordinator) admissible(t essaim.Task, s essaim.Submission) (deadline time.Time, err error) {
	deadline = time.Now().Add(c.cfg.TaskTimeout)
	if t.Deadline != 0 {
		if own := time.UnixMilli(t.Deadline); own.Before(deadline) {
			deadline = own
		}
	}
	switch {
	case t.ChainID != c.cfg.ChainID:
		return deadline, essaim.Errorf(essaim.CodeRefused, "check the coordinator's address", "the task is for chain %q, this coordinator works for %q", t.ChainID, c.cfg.ChainID)
	case len(s.Task) > receipts.MaxSigned:
		return deadline, essaim.Errorf(essaim.CodeBadInput, "leave out what no task needs", "a signed task of %d bytes, at most %d", len(s.Task), receipts.MaxSigned)
	case len(s.Input) == 0 || len(s.Input) > maxInput || len(s.Consent) > maxInput:
		return deadline, essaim.Errorf(essaim.CodeBadInput, "seal the input to the quote's candidates", "a sealed input of %d bytes, want 1 to %d", len(s.Input), maxInput)
	case len(s.Conversation) > affinity.Longest:
		return deadline, essaim.Errorf(essaim.CodeBadInput, "choose a shorter name", "a conversation's name of %d bytes, at most %d", len(s.Conversation), affinity.Longest)
	case !time.Now().Before(deadline):
		return deadline, errDeadline
	}
	return deadline, nil
}

// whyNobody says why no miner can do a job. c.mu is held.
func (c *Coordinator) whyNobody(j *job) error {
	lowest, found := essaim.Amount(0), false
	var makes essaim.ModelInfo
	var barred error
	for _, m := range c.miners {
		info, ok := m.models[j.task.Model]
		if !ok {
			continue
		}
		price := known.Price(info, j.task.Units())
		if !found || price < lowest {
			lowest, found, makes = price, true, info
		}
		if m.sealID.IsRecipient(j.input) {
			barred = cmp.Or(barred, c.eligible(m, j.task.Model, price))
		}
	}
	switch {
	case !found:
		return errNoMiner(j.task.Model)
	case j.task.Kind != makes.Kind:
		return essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("ask for kind %q", makes.Kind), "the task asks for %q, model %s does %q", j.task.Kind, makes.Name, makes.Kind)
	case lowest > j.task.MaxPrice:
		return essaim.Errorf(essaim.CodeInsufficient, fmt.Sprintf("offer at least %d uaim", lowest), "no miner works for %d uaim", j.task.MaxPrice)
	case barred != nil:
		return barred
	}
	return essaim.Errorf(essaim.CodeUnavailable, "ask for a new quote and seal the input to its candidates", "the input is sealed to no miner that is connected and runs the model")
}

func (c *Coordinator) job(digest essaim.Digest) *job {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jobs[digest]
}

// run is the life of a task.
func (c *Coordinator) run(ctx context.Context, j *job) {
	var err error
	if c.book.fresh(j.escrow, j.task.Seq) {
		j.entry = c.store.Begin(j.digest, j.task, j.signed, j.voucher)
	} else { // the log alone knows whether the number is free
		err = c.store.Admit(j.digest, j.task, j.signed, j.voucher)
	}
	var price essaim.Amount
	if err == nil {
		price, err = c.dispatch(ctx, j)
		if err != nil {
			c.ended.Add(1)
			err = c.giveUp(j, err)
		} else {
			c.delivered.Add(1)
		}
	}
	j.err = err
	c.traced(j, price)
	c.book.release(j.escrow, j.task.MaxPrice, price)
	c.rounds.Leave(j.task, j.digest)
	c.mu.Lock()
	delete(c.jobs, j.digest)
	c.mu.Unlock()
	close(j.done)
}

// traced ends a task's span.
func (c *Coordinator) traced(j *job, price essaim.Amount) {
	j.span.Set("essaim.task", j.digest.String())
	j.span.Set("essaim.model", j.task.Model.String())
	j.span.Set("essaim.kind", string(j.task.Kind))
	j.span.Count("essaim.attempts", int64(j.feed.Now().Attempt))
	j.span.Count("essaim.price", int64(price))
	j.span.End(j.err)
}

// giveUp ends a task that is not delivered and returns what its submitter is told.
func (c *Coordinator) giveUp(j *job, why error) error {
	event := essaim.EventRefused
	if errors.Is(why, errDeadline) {
		event = essaim.EventDeadlinePassed
	}
	if c.life.Err() != nil && errors.Is(why, context.Canceled) {
		why = errStopped
	}
	state := c.step(j, event)
	c.log.Info("task ended", "task", j.digest.Short(), "state", string(state), "reason", why)
	end := func() error { return c.store.End(j.digest, state, j.feed.Now().Attempt, why) }
	if j.entry != nil {
		end = func() error { return j.entry.End(state, j.feed.Now().Attempt, why) }
	}
	if err := end(); err != nil {
		// The task is not charged either way: after a restart it ends as refunded.
		return errors.Join(why, fmt.Errorf("write log: %w", err))
	}
	return why
}

// step moves a task's state. Which events come is decided by this package alone, so
// an impossible one is a fault of it.
func (c *Coordinator) step(j *job, e essaim.Event) essaim.TaskState {
	next, err := j.feed.Step(e)
	if err != nil {
		c.log.Error("impossible event", "task", j.digest.Short(), "err", err)
	}
	return next
}

func (j *job) isOn(miner essaim.NodeKey, attempt uint64) bool {
	p := j.feed.Now()
	return p.Miner == miner && p.Attempt == attempt
}

func (j *job) record() essaim.TaskRecord {
	p := j.feed.Now()
	return essaim.TaskRecord{
		Digest: j.digest, Session: j.task.Session, Seq: j.task.Seq,
		State: p.State, Reason: p.Note, Miner: p.Miner, Attempts: p.Attempt, Trace: j.span.Trace(),
	}
}

// follow passes a task's progress on until it has ended.
func (j *job) follow(ctx context.Context, progress func(essaim.Progress)) (essaim.Delivery, error) {
	if progress == nil {
		progress = func(essaim.Progress) {}
	}
	room := 16
	if j.task.Kind == essaim.KindChat {
		room = 256 // parts of a text come fast, and one that is missed is not heard before the end
	}
	if err := j.feed.Follow(ctx, j.done, room, progress); err != nil {
		return essaim.Delivery{}, err
	}
	return j.delivery, j.err
}
