package miner

import (
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/transport"
)

// text is what an engine has written and the coordinator was not sent yet. What comes faster
// than it can be sent goes together.
type text struct {
	mu     sync.Mutex
	unsent string // guarded by mu
	parts  *seal.Parts

	previews uint32 // that were sent; of the goroutine that reports
}

func (t *text) add(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unsent += s
}

// take is the next part to send; empty: there is none.
func (t *text) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.unsent
	if len(s) > seal.MaxPart {
		s = s[:seal.MaxPart]
	}
	t.unsent = t.unsent[len(s):]
	return s
}

// update is what is reported of a step; false: nothing has changed. A text whose parts cannot be
// sealed comes with the result only.
func (t *text) update(a *attempt, p engine.Progress) (transport.Update, bool) {
	u := transport.Update{Step: uint32(p.Step), Steps: uint32(p.Steps)}
	if a.task.Kind != essaim.KindChat {
		u.Part = t.preview(a, p)
		return u, true
	}
	s := t.take()
	if s == "" || a.input.Whole {
		return u, s != ""
	}
	var err error
	if t.parts == nil {
		t.parts, err = seal.NewParts(a.task.PartsInfo(a.offer.Attempt), a.input.ReplyKey)
	}
	if err == nil {
		u.Part, err = t.parts.Seal(s)
	}
	return u, err == nil
}

// most is the most units that the attempt can come to by the model's meter.
func (a *attempt) most() uint64 {
	r := a.request
	return a.runner.model.Meter.Most(len(r.Prompt), uint32(r.Width), uint32(r.Height), uint32(r.Steps))
}

// bill enters what the work came to. The task's own limit holds, whatever the engine says.
func (a *attempt) bill(r *essaim.Receipt, out engine.Result) {
	r.Units = 1
	if a.runner.model.Meter != essaim.MeterTask {
		r.Units = min(max(out.Units, 1), a.task.Units())
	}
	if a.task.Kind == essaim.KindChat {
		r.Steps = uint32(out.Steps)
	}
	r.Price, _ = a.offer.UnitPrice.Mul(r.Units) // at most what check has computed
}
