// Package cover is the arithmetic of what stake answers for: a miner's work that no audit
// has passed yet, and how much may rest on a stake. It knows neither miners nor the ledger,
// and nothing in it is safe for concurrent use.
package cover

import (
	"math/bits"
	"slices"

	"github.com/essaim/essaim"
)

// Exposure is a miner's work that no audit has passed yet: its stake answers for it. The
// zero value has none.
type Exposure struct {
	open   map[essaim.SessionID]essaim.Amount // delivered, not settled
	recent []settledWork                      // settled inside the audit window, by height
}

type settledWork struct {
	height int64
	amount essaim.Amount
}

// At is the exposure at a height; what the audit window has passed over is forgotten. Nil has
// none.
func (e *Exposure) At(height, window int64) (open, recent essaim.Amount) {
	if e == nil {
		return 0, 0
	}
	e.recent = slices.DeleteFunc(e.recent, func(w settledWork) bool { return w.height+window <= height })
	for _, w := range e.recent {
		recent += w.amount // all of it was in escrow, so no sum overflows
	}
	for _, a := range e.open {
		open += a
	}
	return open, recent
}

// Deliver counts a delivered task.
func (e *Exposure) Deliver(session essaim.SessionID, price essaim.Amount) {
	if e.open == nil {
		e.open = map[essaim.SessionID]essaim.Amount{}
	}
	e.open[session] += price
}

// Settle turns a session's delivered tasks into settled ones, which count until the audit
// window has passed. height 0: the ledger gave the deposit back, they count no more.
func (e *Exposure) Settle(session essaim.SessionID, height int64) {
	if a := e.open[session]; a > 0 && height > 0 {
		e.recent = append(e.recent, settledWork{height, a})
	}
	delete(e.open, session)
}

// Owing lists the sessions with work that is not settled. Nil has none.
func (e *Exposure) Owing() (out []essaim.SessionID) {
	if e == nil {
		return nil
	}
	for id := range e.open {
		out = append(out, id)
	}
	return out
}

// Unlimited is the limit of a coordinator whose ledger sets none.
const Unlimited = ^essaim.Amount(0)

// Covered is how much may rest on a stake, so many times itself.
func Covered(stake essaim.Amount, times uint64) essaim.Amount {
	hi, lo := bits.Mul64(uint64(stake), times)
	if hi != 0 {
		return Unlimited
	}
	return essaim.Amount(lo)
}
