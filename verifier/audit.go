package verifier

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/duty"
)

const (
	// ahead is how many blocks after the one that was seen the beacon comes that draws: the
	// next one may be known to its proposer already.
	ahead = 2

	// maxReruns bounds what one audit may cost.
	maxReruns = 4

	// remembered is how many blocks a beacon must be back at least before it is given up.
	remembered = 100

	rerunTime  = 2 * time.Minute
	ledgerTime = 20 * time.Second
)

// audit is the question whether one receipt is right.
type audit struct {
	verify.Work
	shared chan []byte // the input, sealed by the client to ask; holds one

	// Guarded by Verifier.mu.
	state  essaim.AuditState
	height int64 // of the beacon that decides; 0: not fixed yet
	share  essaim.Bps
	reason string
	ask    *essaim.Actor // whom the client is to seal the input to
	checks []essaim.Check

	// Of the audit's goroutine, once it is drawn.
	drawn  []essaim.Actor
	others []answer // what others got for the same input
}

// answer is another receipt for the same request.
type answer struct {
	receipt essaim.Receipt
	file    essaim.ReceiptFile
	method  string
	asked   bool // the client has asked for it, not a beacon
	void    bool // a known answer has shown at once that its miner does not run the model: it has no voice here
}

// checked describes the audit. Verifier.mu is held.
func (a *audit) checked() essaim.Checked {
	c := essaim.Checked{
		Task: a.Receipt.Task, Receipt: a.Receipt.Digest(), State: a.state, Height: a.height, Share: a.share, Reason: a.reason, Checks: slices.Clone(a.checks),
	}
	if a.ask != nil {
		c.Ask = &essaim.Candidate{Miner: a.ask.NodeKey, HPKEKey: a.ask.HPKEKey}
	}
	return c
}

// look fixes the beacon of what is new, and begins what is drawn.
func (v *Verifier) look(ctx context.Context, group *errgroup.Group) {
	asking, cancel := context.WithTimeout(ctx, ledgerTime)
	defer cancel()
	var fresh, due []*audit
	v.mu.Lock()
	for _, a := range v.audits {
		if a.state == essaim.AuditWaiting && a.height == 0 {
			fresh = append(fresh, a)
		}
	}
	v.mu.Unlock()
	height, err := v.cfg.Ledger.Height(asking)
	if err != nil {
		return // the coordinator says so
	}
	if err := v.fix(fresh, height+ahead); err != nil { // the receipts were there before this height was asked for
		v.log.Error("which beacon decides cannot be stored", "err", err)
		return
	}
	v.mu.Lock()
	for _, a := range v.audits {
		if a.state == essaim.AuditWaiting && a.height != 0 && a.height <= height {
			due = append(due, a)
		}
	}
	v.mu.Unlock()
	if len(due) == 0 {
		return
	}
	type drawing struct {
		beacon essaim.Digest
		miners []essaim.Actor // as they were then, so that everybody computes the same draw
	}
	known := map[int64]drawing{}
	for _, a := range due {
		d, ok := known[a.height]
		if !ok {
			if d.beacon, err = v.cfg.Ledger.BeaconAt(asking, a.height); err == nil {
				d.miners, err = v.cfg.Ledger.MinersAt(asking, a.height)
			}
			if err != nil {
				v.log.Warn("nothing can be drawn", "height", a.height, "err", err)
				v.forgotten(a, height)
				continue
			}
			known[a.height] = d
		}
		v.begin(ctx, group, a, d.beacon, d.miners)
	}
}

// fix says which beacon decides about receipts.
func (v *Verifier) fix(fresh []*audit, height int64) error {
	if len(fresh) == 0 {
		return nil
	}
	tasks := make([]essaim.Digest, len(fresh))
	for i, a := range fresh {
		tasks[i] = a.Receipt.Task
	}
	if err := v.book.fix(tasks, height); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, a := range fresh {
		a.height = height
	}
	return nil
}

// forgotten has a beacon to come decide about a receipt if the ledger does not say any more what was drawn, as after a long
// time without this program.
func (v *Verifier) forgotten(a *audit, height int64) {
	if height-a.height > remembered {
		v.mu.Lock()
		defer v.mu.Unlock()
		a.height = 0
	}
}

// begin asks the beacon whether a receipt is audited.
func (v *Verifier) begin(ctx context.Context, group *errgroup.Group, a *audit, beacon essaim.Digest, miners []essaim.Actor) {
	r := a.Receipt
	s := subject{r.Miner, r.Model}
	v.mu.Lock()
	exact := v.cfg.Exact(r.Model)
	k := v.records[s]
	a.share = k.Share(exact)
	k.Finished()
	v.records[s] = k
	v.mu.Unlock()
	count, asked := replicas(a.Task.Verify)
	switch {
	case !asked && !duty.Audited(beacon, r.Digest(), a.share):
		v.conclude(ctx, a, essaim.AuditPassed, "")
	default:
		a.drawn = v.draw(ctx, a, beacon, miners)
		v.mu.Lock()
		a.state = essaim.AuditRunning
		v.mu.Unlock()
		group.Go(func() error {
			select {
			case v.places <- struct{}{}:
				defer func() { <-v.places }()
				switch {
				case !exact:
					v.examine(ctx, a)
				case asked:
					v.compare(ctx, a, count)
				default:
					v.audit(ctx, a)
				}
			case <-ctx.Done():
			}
			return nil
		})
	}
}

// draw lists who is to run the task again, in the order of the draw.
func (v *Verifier) draw(ctx context.Context, a *audit, beacon essaim.Digest, miners []essaim.Actor) []essaim.Actor {
	byKey := map[essaim.NodeKey]essaim.Actor{}
	for _, m := range miners {
		byKey[m.NodeKey] = m
	}
	var coordinator essaim.Address
	if self, err := v.cfg.Ledger.Actor(ctx, v.key); err == nil {
		coordinator = self.Owner
	}
	drawn, err := duty.Order(beacon, a.Receipt, a.height, miners, coordinator)
	if err != nil {
		v.log.Error("nobody can be drawn", "err", err)
	}
	out := make([]essaim.Actor, len(drawn))
	for i, k := range drawn {
		out[i] = byKey[k]
	}
	return out
}

// audit has the task run again until it is clear who is right, and says so.
func (v *Verifier) audit(ctx context.Context, a *audit) {
	input := v.agreed(a)
	why, asked := "no other miner of the model can be asked", false
	for i, m := range a.drawn {
		if ctx.Err() != nil || decided(a.Receipt, a.others) || len(a.others) >= maxReruns {
			break
		}
		if !v.cfg.Connected(m.NodeKey) || v.Barred(m.NodeKey, a.Receipt.Model) || slices.ContainsFunc(a.others, func(o answer) bool { return o.receipt.Miner == m.NodeKey }) {
			continue
		}
		method, sealed := "rerun", []byte(nil)
		switch {
		case input != nil:
			sealed, _ = seal.Seal(input, a.Task.Input[:], m.HPKEKey) // nil: that key is none
		case !asked:
			asked = true
			sealed = v.shared(ctx, a, m)
		}
		if sealed == nil && seal.IDOf(m.HPKEKey).IsRecipient(a.Work.Input) {
			method, sealed = "replica", a.Work.Input // the client has sealed it to this miner when it asked for the task
		}
		if sealed == nil {
			why = "the client is gone and has not agreed to an audit without it, and the input was sealed to no other miner that can be asked"
			continue
		}
		err := v.rerun(ctx, a, m, method, sealed)
		v.answered(ctx, a, m, i, err)
		if err != nil {
			why = "the drawn miners could not be asked"
			v.log.Info("not run again", "task", a.Receipt.Task.Short(), "by", m.NodeKey.Short(), "place", i, "err", err)
			if essaim.CodeOf(err) == essaim.CodeInsufficient {
				why = "the audit budget is used up"
				break
			}
			continue
		}
		v.maybeCanary(ctx, a.whole(), m)
		a.others[len(a.others)-1].void = v.Barred(m.NodeKey, a.Receipt.Model)
	}
	if ctx.Err() != nil {
		return // it goes on when the program runs again
	}
	if len(a.others) == 0 {
		v.conclude(ctx, a, essaim.AuditNone, why)
		return
	}
	v.judge(ctx, a, input)
}

// examine gives the miner of a receipt that cannot be compared a task with a known answer
// instead. One failure proves nothing there: it is counted.
func (v *Verifier) examine(ctx context.Context, a *audit) {
	why := "results of this model differ from machine to machine, and cannot be compared while they are sealed"
	m, err := v.cfg.Ledger.Actor(ctx, a.Receipt.Miner)
	if err == nil {
		var f verify.Finding
		var fault verify.Fault
		if f, fault, err = v.canary(ctx, a.whole(), m); err == nil {
			v.found(subject{a.Receipt.Miner, a.Receipt.Model}, f, fault, false)
			why += "; its miner was given a task with a known answer instead"
		}
	}
	if ctx.Err() != nil {
		return
	}
	v.conclude(ctx, a, essaim.AuditNone, why)
}

// agreed is the input in the clear, of a client that has agreed; nil otherwise.
func (v *Verifier) agreed(a *audit) []byte {
	if a.Consent == nil || v.cfg.Seal == nil {
		return nil
	}
	plain, err := v.cfg.Seal.Open(a.Consent, a.Task.Input[:])
	if err != nil || essaim.DigestOf(plain) != a.Task.Input {
		v.log.Info("a consent does not open", "task", a.Receipt.Task.Short())
		return nil
	}
	return plain
}

// shared waits until the client has sealed the input to a miner; nil: it does not.
func (v *Verifier) shared(ctx context.Context, a *audit, m essaim.Actor) []byte {
	set := func(state essaim.AuditState, ask *essaim.Actor) {
		v.mu.Lock()
		defer v.mu.Unlock()
		a.state, a.ask = state, ask
	}
	set(essaim.AuditDrawn, &m)
	defer set(essaim.AuditRunning, nil)
	t := time.NewTimer(v.cfg.Patience)
	defer t.Stop()
	select {
	case sealed := <-a.shared:
		return sealed
	case <-t.C:
	case <-ctx.Done():
	}
	return nil
}

// rerun has one miner run the task again.
func (v *Verifier) rerun(ctx context.Context, a *audit, m essaim.Actor, method string, sealed []byte) error {
	ctx, cancel := context.WithTimeout(ctx, rerunTime)
	defer cancel()
	t := a.whole()
	out, err := v.cfg.Budget.Rerun(ctx, Rerun{Task: t, Input: sealed, By: m, Price: priceOf(m, t)})
	if err == nil && !verify.Same(a.Receipt, out.Receipt) {
		err = essaim.Errorf(essaim.CodeRefused, "", "miner %s has run something else", m.NodeKey.Short())
	}
	if err == nil {
		a.others = append(a.others, answer{receipt: out.Receipt, file: out.File, method: method})
	}
	return err
}

// whole is the task with what it left open, as its miner has chosen.
func (a *audit) whole() essaim.Task {
	t := a.Task
	t.Width, t.Height, t.Steps = cmp.Or(t.Width, a.Receipt.Width), cmp.Or(t.Height, a.Receipt.Height), cmp.Or(t.Steps, a.Receipt.Steps)
	return t
}

// priceOf is what a miner may take for a task.
func priceOf(m essaim.Actor, t essaim.Task) essaim.Amount {
	unit, _ := m.Price(t.Model)
	price, _ := unit.Mul(t.Units()) // 0 if that is no amount: then it is refused
	return price
}

// conclude ends an audit: what is known goes into the book.
func (v *Verifier) conclude(ctx context.Context, a *audit, state essaim.AuditState, reason string) {
	v.mu.Lock()
	a.state, a.reason, a.ask = state, reason, nil
	c := a.checked()
	s := subject{a.Receipt.Miner, a.Receipt.Model}
	k := v.records[s]
	v.mu.Unlock()
	if err := v.book.conclude(c, s, k); err != nil {
		v.log.Error("what was checked cannot be stored", "task", c.Task.Short(), "err", err)
		return
	}
	v.mu.Lock()
	delete(v.audits, c.Task)
	key := roundOf(a.Receipt)
	if !slices.ContainsFunc(v.rounds[key], func(w verify.Work) bool { return v.audits[w.Receipt.Task] != nil }) {
		delete(v.rounds, key)
	}
	v.mu.Unlock()
	if state != essaim.AuditPassed && ctx.Err() == nil {
		v.log.Info("audit ended", "task", c.Task.Short(), "miner", s.Miner.Short(), "state", string(state), "checks", len(c.Checks), "reason", reason)
	}
}
