package client

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/seal"
)

const (
	// grace is how much longer than the deadline a coordinator has to say why it
	// was missed.
	grace = 3 * time.Second

	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second

	// maxFaults is how often a draw goes on after an internal error: a lost miner is
	// everyday and is retried until the deadline, a faulty program is not.
	maxFaults = 3

	// maxFirst is how often a first quote is asked for where no gateway answers: some seconds, in which a balancer finds another
	// one. Nothing was promised or spent by then, so nobody is kept longer.
	maxFirst = 6
)

// drawing is one Draw under way. It belongs to one goroutine.
type drawing struct {
	s        *Session
	ask      essaim.QuoteRequest
	lane     Lane
	maxPrice essaim.Amount // 0: not known before the first quote
	input    []byte        // encoded essaim.Input
	prompt   string
	reply    *seal.PrivateKey
	task     essaim.Task
	signed   []byte // the task; nil before the first quote
	tell     func(essaim.Digest) error
	agrees   bool // to an audit without the client
	offered  map[essaim.NodeKey]bool
	progress func(essaim.Progress)
	hears    *listener // nil: nobody listens
	picture  *Picture  // nil: nothing was accepted
	refunded bool      // the task was taken back, and nothing is charged
}

// Draw draws one picture, or does what else is asked for, and returns it when every check has passed. progress may be
// nil; it is called from one goroutine at a time and must not block. If the task's
// miners are gone, the same task goes to others until the deadline. If ctx is cancelled, the
// task is taken back, as far as that can be.
//
// Errors: CodeBadInput if the request can never succeed, CodeInsufficient if the
// deposit or the maximum price does not suffice, CodeUnavailable if no miner can do
// it now, CodeExpired after the deadline, CodeRefused if the coordinator or a miner
// lied, CodeConflict if the session is closed.
func (s *Session) Draw(ctx context.Context, r Request, progress func(essaim.Progress)) (*Picture, error) {
	if err := r.complete(); err != nil {
		return nil, err
	}
	d, err := s.prepare(r, progress)
	if err != nil {
		return nil, err
	}
	return d.draw(ctx, r.Deadline)
}

// complete fills in what a request leaves open.
//
// Errors: CodeBadInput for a prompt that no task of the kind may have.
func (r *Request) complete() error {
	if r.Kind == "" {
		r.Kind = essaim.KindImage
	}
	if r.Deadline.IsZero() {
		r.Deadline = time.Now().Add(DefaultTime)
	}
	switch {
	case len(r.Init) > essaim.MaxInit:
		return essaim.Errorf(essaim.CodeBadInput, "make it smaller", "a picture of %d bytes to begin with, at most %d", len(r.Init), essaim.MaxInit)
	case r.Init != nil && (r.Kind != essaim.KindImage || r.Strength < 1 || r.Strength > 1000):
		return essaim.Errorf(essaim.CodeBadInput, "1 to 1000", "a picture of strength %d thousandths", r.Strength)
	}
	return r.Kind.CheckPrompt(r.Prompt)
}

// draw is a prepared drawing from its beginning to its end.
func (d *drawing) draw(ctx context.Context, deadline time.Time) (*Picture, error) {
	if err := d.s.beginDraw(); err != nil {
		return nil, err
	}
	defer d.s.endDraw(d)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(grace))
	defer cancel()
	delivery, err := d.run(ctx)
	if err != nil {
		return nil, err
	}
	if d.picture, err = d.check(delivery); err != nil {
		return nil, err
	}
	return d.picture, d.hears.end(d.picture)
}

func (s *Session) prepare(r Request, progress func(essaim.Progress)) (*drawing, error) {
	reply, err := s.replyKey()
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(essaim.Progress) {}
	}
	in := essaim.Input{Prompt: r.Prompt, Salt: make([]byte, 16), ReplyKey: reply.PublicKey(), Init: r.Init, Strength: r.Strength}
	if r.Preview != nil {
		in.Previews = r.Previews
	}
	in.Whole = r.Kind == essaim.KindChat && r.Written == nil
	rand.Read(in.Salt) // never fails, see crypto/rand
	t := essaim.NewTask(s.cfg.ChainID, s.record.ID, 0)
	t.Kind, t.Model, t.Input, t.Seed, t.MaxUnits = r.Kind, r.Model, in.Digest(), r.Seed, r.Units
	t.Width, t.Height, t.Steps, t.Deadline = r.Width, r.Height, r.Steps, r.Deadline.UnixMilli()
	t.Plan = s.cfg.plan(r, in)
	if s.cfg.Proofs != nil && !r.Unproven && r.Kind == essaim.KindImage && s.cfg.Proofs.Checks(r.Model) {
		t.Verify = essaim.VerifyProof
	}
	d := &drawing{
		s:     s,
		ask:   essaim.QuoteRequest{Kind: t.Kind, Model: t.Model, Width: t.Width, Height: t.Height, Steps: t.Steps, Count: 1, Units: t.MaxUnits, Conversation: r.Conversation},
		lane:  r.Lane,
		input: in.Encode(), prompt: r.Prompt, reply: reply, task: t, tell: r.Signed, agrees: r.Consent, maxPrice: r.MaxPrice, offered: make(map[essaim.NodeKey]bool),
	}
	if r.Written != nil {
		d.hears = &listener{key: reply, task: &d.task, say: r.Written}
	}
	d.progress = func(p essaim.Progress) {
		p.Note = printable(p.Note)
		d.hears.hear(p)
		if in.Previews > 0 {
			r.look(reply, d.task, p)
		}
		progress(p)
	}
	return d, nil
}

// plan is what a task says of how its prompt is read.
func (c Config) plan(r Request, in essaim.Input) (d essaim.Digest) {
	if c.Plan == nil {
		return d
	}
	begins := c.Plan(engine.Request{Model: r.Model, Prompt: r.Prompt, Seed: r.Seed, Width: int(r.Width), Height: int(r.Height), Steps: int(r.Steps)})
	if begins.IsZero() {
		return d // the miner says what is wrong with the request
	}
	return essaim.Digest(quant.PlanHash(quant.Hash(in.PlanSalt()), quant.Hash(begins)))
}

// run offers the task until it is delivered.
func (d *drawing) run(ctx context.Context) (essaim.Delivery, error) {
	pause, faults := firstPause, 0
	for tries := 1; ; tries++ {
		delivery, err := d.offer(ctx, tries > 1)
		if err == nil {
			return delivery, nil
		}
		if essaim.CodeOf(err) == essaim.CodeInternal {
			faults++
		}
		left := time.Until(time.UnixMilli(d.task.Deadline))
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			d.refunded = d.takeBack(ctx)
			return delivery, ctx.Err()
		case d.signed == nil && (tries >= maxFirst || !errors.Is(err, errBetween)), !essaim.CodeOf(err).Retryable() || faults >= maxFaults:
			return delivery, err
		case left <= pause || ctx.Err() != nil:
			return delivery, essaim.Errorf(essaim.CodeExpired, "allow more time, or try later", "no picture before the deadline: %w", err)
		}
		d.progress(essaim.Progress{Task: d.named(), State: essaim.TaskSubmitted, Note: "trying again: " + err.Error()})
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, lastPause)
	}
}

// named is the task's digest; zero: it has no number and price yet.
func (d *drawing) named() (none essaim.Digest) {
	if d.signed == nil {
		return none
	}
	return d.task.Digest()
}

// offer takes a quote, seals the input to its candidates and submits the task.
// A second offer of the same task takes a quote of its own.
func (d *drawing) offer(ctx context.Context, again bool) (essaim.Delivery, error) {
	quote, err := d.s.quotes.get(ctx, d.s.cfg.Coordinator, d.ask, again)
	if err != nil {
		return essaim.Delivery{}, err
	}
	if d.maxPrice == 0 {
		d.maxPrice = quote.MaxPrice
	}
	keys, err := d.vet(ctx, quote)
	if err != nil {
		return essaim.Delivery{}, err
	}
	if d.signed == nil {
		if err := d.sign(); err != nil {
			return essaim.Delivery{}, err
		}
	}
	sealed, err := d.s.sealer.Seal(d.input, d.task.Input[:], keys...)
	if err != nil {
		return essaim.Delivery{}, err
	}
	submission := essaim.Submission{Task: d.signed, Input: sealed, Voucher: d.s.enclosed(), Conversation: d.ask.Conversation, For: d.lane.For, Last: d.lane.Last}
	if d.agrees {
		if submission.Consent, err = d.consent(ctx); err != nil {
			return essaim.Delivery{}, err
		}
	}
	return d.s.cfg.Coordinator.Submit(ctx, submission, d.progress)
}

// vet returns the sealing keys of the quote's candidates that are within the maximum
// price. One key that differs from the ledger's spoils the whole quote: it could be
// the coordinator's own, made to read the prompt.
func (d *drawing) vet(ctx context.Context, q essaim.Quote) ([][]byte, error) {
	var keys [][]byte
	cheapest := q.MaxPrice
	for _, c := range q.Candidates[:min(len(q.Candidates), seal.MaxRecipients)] {
		if c.Price > d.maxPrice {
			cheapest = min(cheapest, c.Price)
			continue
		}
		if err := d.s.registry.check(ctx, d.s.cfg.Ledger, c); err != nil {
			return nil, err
		}
		keys = append(keys, c.HPKEKey)
		d.offered[c.Miner] = true
	}
	switch {
	case len(q.Candidates) == 0:
		return nil, essaim.Errorf(essaim.CodeUnavailable, "try later, or choose another model", "no miner offers model %s now", d.task.Model.Short())
	case len(keys) == 0:
		return nil, essaim.Errorf(essaim.CodeInsufficient, "raise the maximum price", "the cheapest miner asks %s, the maximum price is %s", cheapest, d.maxPrice)
	}
	return keys, nil
}

// sign reserves the maximum price, gives the task its number and signs it.
func (d *drawing) sign() (err error) {
	d.task.MaxPrice = d.maxPrice
	if d.task.Seq, err = d.s.reserve(d.task.MaxPrice); err != nil {
		return err
	}
	signed, err := essaim.SignTask(d.task, d.s.key)
	if err != nil {
		return err
	}
	if d.tell != nil {
		if err := d.tell(d.task.Digest()); err != nil {
			return err
		}
	}
	d.signed = signed
	return nil
}

func (s *Session) beginDraw() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.settled != nil {
		return essaim.Errorf(essaim.CodeConflict, "open a new session", "session %s is closed", s.record.ID)
	}
	s.drawing++
	return nil
}

// reserve takes the price from what is left and returns the next sequence number.
func (s *Session) reserve(price essaim.Amount) (seq uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := s.left(); price > left {
		hint := "open a session with a larger deposit"
		if s.limit != 0 && s.limit < s.record.Deposit {
			hint = "open a session with a larger spending limit"
		}
		return 0, essaim.Errorf(essaim.CodeInsufficient, hint, "the picture may cost %s, session %s has %s left", price, s.record.ID, left)
	}
	s.reserved += price
	s.seq++
	return s.seq, nil
}

// endDraw gives the reservation back. A draw that handed in a task and got no
// picture may still have cost its maximum: the coordinator alone knows.
func (s *Session) endDraw(d *drawing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawing--
	if d.task.Seq == 0 {
		return
	}
	s.reserved -= d.task.MaxPrice
	switch {
	case d.refunded:
		return
	case d.picture == nil:
		s.doubtful += d.task.MaxPrice
		return
	}
	s.spent += d.picture.Receipt.Price
	s.accepted++
}
