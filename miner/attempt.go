package miner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/censor"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/internal/tracing"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/transport"
)

const (
	offerTimeout = 30 * time.Second // for the offer to arrive on a stream that was opened
	ackTimeout   = 30 * time.Second // for the answer to a result, which the coordinator stores first

	// patientFor is how many receipts for each place may wait for the answer that comes by
	// itself before they count as unacknowledged: a coordinator that only ever lets the
	// miner wait must not get work without end.
	patientFor = 2
)

// attempt is one execution: what was offered, checked and opened.
type attempt struct {
	link    *link
	offer   transport.Offer
	task    essaim.Task
	input   essaim.Input
	request engine.Request
	runner  runner
	price   essaim.Amount
}

// failure is why an attempt comes to nothing, with what the coordinator is to do
// about it. Its text is safe to send: it never quotes a prompt.
type failure struct {
	kind transport.FailureKind
	err  error
}

func fail(kind transport.FailureKind, code essaim.Code, hint, format string, args ...any) *failure {
	return &failure{kind, essaim.Errorf(code, hint, format, args...)}
}

// serve handles a stream that a coordinator has opened: one attempt after the other, each
// begun when the one before was answered.
func (m *Miner) serve(ctx context.Context, s *transport.Stream) {
	within := offerTimeout
	for {
		var o transport.Offer
		if err := s.Receive(&o, within); err != nil {
			_ = s.Reset()
			return
		}
		l := m.linkTo(s.Conn())
		if l == nil {
			_ = s.Reset() // only a coordinator that welcomed us may offer
			return
		}
		answered, err := m.execute(ctx, s, l, o)
		if err != nil {
			m.log.Info("coordinator was not told how the attempt ended", "coordinator", l.peer.Short(), "err", err)
			_ = s.Reset()
		}
		if err != nil || !answered {
			return
		}
		within = 0 // the next offer may take its time
	}
}

// execute runs one attempt. answered says that its stream may carry another. It returns an
// error only if nobody can be told.
func (m *Miner) execute(ctx context.Context, s *transport.Stream, l *link, o transport.Offer) (answered bool, err error) {
	vacate, leave, ok := m.enter()
	if !ok {
		return false, m.report(s, fail(transport.FailBusy, essaim.CodeUnavailable, "", "the miner has no room"))
	}
	defer func() { leave() }()
	a, f := m.check(ctx, l, o)
	if f != nil {
		vacate()
		return false, m.report(s, f)
	}
	ctx, span := m.trace(ctx, a)
	defer func() { span.End(errors.Join(err, f.cause())) }()
	ctx, cancel := context.WithDeadline(ctx, time.UnixMilli(o.Deadline))
	defer cancel()
	acked, shown := make(chan transport.Acked, 1), make(chan struct{})
	go func() {
		// The coordinator sends nothing before its answer to the result, but to the
		// commitment of a replica; if the stream ends earlier, the attempt was withdrawn.
		// This goroutine ends with the answer or the stream.
		defer close(acked)
		reveal := sync.OnceFunc(func() { close(shown) })
		for {
			var answer transport.Acked
			if s.Receive(&answer, 0) != nil {
				cancel()
				return
			}
			if !answer.Reveal {
				acked <- answer
				return
			}
			reveal()
		}
	}()
	job, end := m.working(a)
	var result *transport.Result
	result, f, err = m.produce(ctx, s, a, job)
	end()
	l.awaited.Add(1)
	done := leave
	leave = func() { l.awaited.Add(-1); done() }
	vacate()
	if err != nil {
		return false, err
	}
	if f != nil {
		return false, m.report(s, f)
	}
	if a.task.Replicated() {
		if err := m.commit(ctx, s, a, result, shown); err != nil {
			return false, err
		}
	}
	if err := s.Send(&transport.Report{Result: result}); err != nil {
		l.claim(result.Receipt)
		return false, err
	}
	t := time.NewTimer(ackTimeout)
	defer t.Stop()
	var answer transport.Acked
	select {
	case answer, answered = <-acked:
	case <-t.C:
	}
	// The next attempt need not wait for the disk: the goroutine ends the attempt.
	last := leave
	leave = func() {}
	go func() {
		defer last()
		m.conclude(l, result.Receipt, answer, answered)
	}()
	return answered, nil
}

// commit binds this miner to its receipt, and waits until the others have, too: nobody can
// copy what was not shown, and nobody who has seen it can commit.
func (m *Miner) commit(ctx context.Context, s *transport.Stream, a *attempt, result *transport.Result, shown <-chan struct{}) error {
	r, err := essaim.OpenReceipt(result.Receipt)
	if err != nil {
		return fmt.Errorf("own receipt: %w", err)
	}
	var salt essaim.Salt
	rand.Read(salt[:]) // never fails, see crypto/rand
	result.Salt = salt[:]
	c := transport.Commit{Commitment: essaim.Commit(m.cfg.ChainID, a.task.Input, r.Digest(), salt, m.key)}
	if err := s.Send(&transport.Report{Commit: &c}); err != nil {
		return err
	}
	select {
	case <-shown:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// conclude takes the coordinator's answer to a receipt. Without a good one the receipt is
// claimed again.
func (m *Miner) conclude(l *link, receipt []byte, answer transport.Acked, answered bool) {
	err := essaim.Errorf(essaim.CodeUnavailable, "", "no answer")
	if answered {
		err = m.answered(l.peer, receipt, answer)
	}
	if err != nil {
		m.log.Info("receipt is not acknowledged yet", "coordinator", l.peer.Short(), "err", err)
		l.claim(receipt)
	}
}

func (m *Miner) report(s *transport.Stream, f *failure) error {
	m.failed.Add(1)
	m.log.Info("attempt refused", "kind", string(f.kind), "reason", f.err)
	return s.Send(&transport.Report{Failure: &transport.Failure{Kind: f.kind, Refusal: *transport.Refuse(f.err)}})
}

// check decides whether an offer is taken, and opens its input.
func (m *Miner) check(ctx context.Context, l *link, o transport.Offer) (*attempt, *failure) {
	task, signature, err := essaim.ReadTask(o.Task)
	if err == nil {
		err = signature.CheckTogether()
	}
	if err != nil {
		return nil, &failure{transport.FailEngine, err}
	}
	a := &attempt{link: l, offer: o, task: task}
	var ok bool
	if a.runner, ok = m.runnerOf(task.Model); !ok {
		return nil, fail(transport.FailEngine, essaim.CodeNotFound, "", "model %s is not offered here", task.Model.Short())
	}
	a.price, ok = o.UnitPrice.Mul(task.Units())
	switch {
	case task.ChainID != m.cfg.ChainID:
		return nil, fail(transport.FailEngine, essaim.CodeRefused, "", "the task is for chain %q", task.ChainID)
	case task.Kind != a.runner.model.Kind:
		return nil, fail(transport.FailRefused, essaim.CodeBadInput, "name a model that does what the task asks for", "the task asks for %q, model %s does %q", task.Kind, a.runner.model.Name, a.runner.model.Kind)
	case o.UnitPrice < a.runner.price:
		return nil, fail(transport.FailEngine, essaim.CodeInsufficient, "", "offered %d uaim a unit, this miner takes %d", o.UnitPrice, a.runner.price)
	case !ok || a.price > task.MaxPrice:
		return nil, fail(transport.FailEngine, essaim.CodeInsufficient, "", "the task costs more than its maximum of %d uaim", task.MaxPrice)
	case task.Verify == essaim.VerifyProof && m.cfg.Proofs == nil:
		return nil, fail(transport.FailEngine, essaim.CodeUnavailable, "", "no proofs are made here")
	case !time.Now().Before(time.UnixMilli(o.Deadline)):
		return nil, fail(transport.FailEngine, essaim.CodeExpired, "", "the deadline has passed")
	}
	if err := m.notBlocked(ctx, l.peer); err != nil {
		return nil, &failure{transport.FailBusy, err}
	}
	if m.paused(ctx) {
		return nil, fail(transport.FailBusy, essaim.CodeUnavailable, "", "the miner is in maintenance")
	}
	awaited := int(l.awaited.Load()) // before the count, which may include them
	owed := m.receipts.countUnacked(l.peer) - min(awaited, patientFor*m.cfg.Capacity)
	if owed >= m.cfg.MaxUnacked {
		return nil, fail(transport.FailBusy, essaim.CodeUnavailable, "acknowledge the miner's receipts", "%d receipts are unacknowledged, as many as may be", owed)
	}
	if f := a.open(m.cfg.Seal, &m.sealer, m.cfg.Declines); f != nil {
		return nil, f
	}
	return a, nil
}

// open opens the sealed input and fits it to the model.
func (a *attempt) open(key *seal.PrivateKey, reply *seal.Sender, declines *censor.List) *failure {
	plain, err := key.Open(a.offer.Input, a.task.Input[:])
	if err != nil {
		return fail(transport.FailUnsealed, essaim.CodeRefused, "seal the input to the miners of the quote", "the input does not open with this miner's key")
	}
	if essaim.DigestOf(plain) != a.task.Input {
		return fail(transport.FailRefused, essaim.CodeBadInput, "sign the digest of the input that is sealed", "the input is not the one that the task names")
	}
	if a.input, err = essaim.DecodeInput(plain); err != nil {
		// The decoder's own words could quote what it read.
		return fail(transport.FailRefused, essaim.CodeBadInput, "upgrade the older of the two programs", "the input cannot be decoded")
	}
	if err := a.task.Kind.CheckPrompt(a.input.Prompt); err != nil {
		return &failure{transport.FailRefused, err}
	}
	if err := reply.Check(a.input.ReplyKey); err != nil {
		return fail(transport.FailRefused, essaim.CodeBadInput, "put an HPKE public key into the input", "the input has no valid reply key")
	}
	if declines.Finds(a.input.Prompt) {
		return fail(transport.FailDeclined, essaim.CodeRefused, "", "this miner does not do this")
	}
	a.request, err = a.runner.model.Fit(engine.Request{
		Model: a.task.Model, Prompt: a.input.Prompt, Seed: a.task.Seed,
		Width: int(a.task.Width), Height: int(a.task.Height), Steps: int(a.task.Steps),
		Previews: a.input.Previews > 0, Init: string(a.input.Init), Strength: int(a.input.Strength),
	})
	if err != nil {
		// Fit speaks of sizes and steps only, so its text may travel.
		return fail(transport.FailRefused, essaim.CodeBadInput, "ask for a size and steps that the model has", "%v", err)
	}
	if most := a.most(); most > a.task.Units() {
		return fail(transport.FailRefused, essaim.CodeBadInput, fmt.Sprintf("allow %d units", most), "the task allows %d units, the model's meter counts up to %d", a.task.Units(), most)
	}
	return a.planned()
}

// produce runs the engine and makes the result of it: sealed, and with a receipt that is on the
// disk. The result itself is the coordinator's to keep. err means that the coordinator is gone.
func (m *Miner) produce(ctx context.Context, s *transport.Stream, a *attempt, job *Job) (*transport.Result, *failure, error) {
	started := time.Now()
	out, proof, err := m.run(ctx, s, a, job)
	if err != nil {
		if ctx.Err() == nil {
			m.log.Warn("engine failed", "engine", a.runner.engine.Name(), "task", a.task.Digest().Short(), "err", redact(err, a.input.Prompt))
		}
		return nil, classify(ctx, err), nil
	}
	digest := a.task.Digest()
	output := essaim.Output{MediaType: out.MediaType, Data: out.Data, Warnings: out.Warnings, Proof: proof}
	sealed, err := m.sealer.Seal(output.Encode(), digest[:], a.input.ReplyKey)
	if err != nil {
		return nil, fail(transport.FailEngine, essaim.CodeUnavailable, "", "the result cannot be sealed"), nil
	}
	r := essaim.NewReceipt(a.task)
	r.Attempt, r.Miner, r.Coordinator, r.Engine = a.offer.Attempt, m.key, a.link.peer, a.runner.engine.Name()
	r.Width, r.Height, r.Steps = uint32(a.request.Width), uint32(a.request.Height), uint32(a.request.Steps)
	r.Output, r.MediaType, r.Size, r.Pixels = essaim.DigestOf(out.Data), out.MediaType, uint64(len(out.Data)), out.PixelsDigest
	a.bill(&r, out)
	if proof != nil {
		r.Proof = essaim.DigestOf(proof)
	}
	r.Started, r.Finished = started.UnixMilli(), time.Now().UnixMilli()
	r.Sealed = essaim.DigestOf(sealed)
	signed, err := essaim.SignReceipt(r, m.cfg.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign receipt: %w", err)
	}
	if m.cfg.Court != nil && a.runner.model.Exact {
		m.receipts.keep(r.Digest(), a.offer.Task, a.offer.Input)
	}
	if err := m.receipts.add(a.link.peer, r.Digest(), signed); err != nil {
		return nil, nil, fmt.Errorf("store receipt: %w", err)
	}
	return &transport.Result{Receipt: signed, Sealed: sealed}, nil, nil
}

// trace begins the span of an attempt that its coordinator traces.
func (m *Miner) trace(ctx context.Context, a *attempt) (context.Context, *tracing.Span) {
	if a.offer.Trace == "" {
		return ctx, nil
	}
	ctx, span := m.cfg.Tracer.Continue(ctx, a.offer.Trace, "miner attempt", tracing.Server)
	span.Set("essaim.task", a.task.Digest().String())
	span.Set("essaim.engine", a.runner.engine.Name())
	span.Count("essaim.attempt", int64(a.offer.Attempt))
	return ctx, span
}

// cause is the error of a failure, if there is one.
func (f *failure) cause() error {
	if f == nil {
		return nil
	}
	return f.err
}

// soon is how long an attempt may take without a word: one that is over by then says so
// with its result alone. Parts of a text are as far from each other: what is written meanwhile goes together.
const soon = 5 * time.Millisecond

// run executes the engine, and has the run proven if the task asks for that; it reports the steps, each after the pace.
func (m *Miner) run(ctx context.Context, s *transport.Stream, a *attempt, job *Job) (engine.Result, []byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// An engine's callback must not block, so the steps are queued. An engine that
	// outruns the queue loses steps in the report, nothing else.
	steps := make(chan engine.Progress, max(8, min(a.request.Steps+1, 256)))
	var out engine.Result
	var proof []byte
	var err error
	var written text
	progress := func(p engine.Progress) {
		written.add(p.Text)
		select {
		case steps <- p:
		default:
		}
	}
	run, span := m.cfg.Tracer.Start(ctx, "engine "+a.runner.engine.Name(), tracing.Client)
	go func() {
		defer close(steps)
		defer func() { span.End(err) }()
		if a.task.Verify == essaim.VerifyProof {
			out, proof, err = m.cfg.Proofs.Run(run, a.runner.engine, a.task, a.request, progress)
			return
		}
		out, err = a.runner.engine.Run(run, a.request, progress)
	}()
	tell := func(u transport.Update) {
		if s.Send(&transport.Report{Update: &u}) != nil {
			cancel() // nobody listens: the engine may stop
		}
	}
	report := func(p engine.Progress) {
		if u, ok := written.update(a, p); ok {
			tell(u)
		}
	}
	var word *engine.Progress // of a text, which waits for others
	last, due := time.Now(), time.NewTimer(soon)
	defer due.Stop()
	for running := true; running; {
		select {
		case p, ok := <-steps:
			if running = ok; !ok {
				break // the rest of a text comes with the result
			}
			m.pace(ctx)
			m.advance(job, p)
			if wait := soon - time.Since(last); a.task.Kind == essaim.KindChat && wait > 0 {
				word = &p
				due.Reset(wait)
				break
			}
			due.Stop()
			report(p)
			word, last = nil, time.Now()
		case <-due.C:
			if word == nil {
				tell(transport.Update{Steps: uint32(a.request.Steps)})
				break
			}
			report(*word)
			word, last = nil, time.Now()
		}
	}
	m.pace(ctx)
	if err == nil {
		err = ctx.Err()
	}
	return out, proof, err
}

func (m *Miner) pace(ctx context.Context) {
	if m.cfg.Pace <= 0 {
		return
	}
	t := time.NewTimer(m.cfg.Pace)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// classify says what the coordinator is to do about an engine's error. The engine's
// own words stay here, as they could quote the prompt.
func classify(ctx context.Context, err error) *failure {
	switch {
	case errors.Is(err, engine.ErrBadRequest):
		return fail(transport.FailRefused, essaim.CodeBadInput, "ask for something else", "the engine cannot run this request")
	case errors.Is(err, engine.ErrNoModel):
		return fail(transport.FailEngine, essaim.CodeNotFound, "", "the engine does not have the model")
	case ctx.Err() != nil:
		return fail(transport.FailEngine, essaim.CodeExpired, "", "the attempt was stopped")
	}
	return fail(transport.FailEngine, essaim.CodeUnavailable, "", "the engine failed")
}

// redact makes an engine's error fit for the log, which holds no prompts.
func redact(err error, prompt string) string {
	text := err.Error()
	for _, p := range []string{prompt, strings.Trim(fmt.Sprintf("%q", prompt), `"`)} {
		text = strings.ReplaceAll(text, p, "[prompt]")
	}
	return text
}
