// Package line is the order in which waiting tasks are served: payers take turns, and
// each payer's tasks go first come first served, whatever sessions they are in. So nobody
// waits for more than one task of each other payer, and nobody starves, however many tasks
// or sessions somebody else has. It also keeps how long a model's tasks take, for those
// who wait.
//
// It must not know miners or money, and nothing in it is safe for concurrent use: the
// coordinator's lock guards it.
package line

import (
	"slices"
	"time"

	"github.com/essaim/essaim"
)

// Line holds what waits. Make it with New.
type Line[T comparable] struct {
	turns   []essaim.Address // payers with something that waits; the first is next
	waiting map[essaim.Address][]T
}

// New makes an empty line.
func New[T comparable]() Line[T] { return Line[T]{waiting: map[essaim.Address][]T{}} }

// Add puts something at the end of its payer's.
func (l *Line[T]) Add(payer essaim.Address, t T) {
	if len(l.waiting[payer]) == 0 {
		l.turns = append(l.turns, payer)
	}
	l.waiting[payer] = append(l.waiting[payer], t)
}

// Remove takes something out, whether it was served or not. What is not there is not
// missed.
func (l *Line[T]) Remove(payer essaim.Address, t T) {
	l.waiting[payer] = slices.DeleteFunc(l.waiting[payer], func(o T) bool { return o == t })
	if len(l.waiting[payer]) == 0 {
		delete(l.waiting, payer)
		l.turns = slices.DeleteFunc(l.turns, func(o essaim.Address) bool { return o == payer })
	}
}

// Serve takes something out that is served now: its payer's turn is over.
func (l *Line[T]) Serve(payer essaim.Address, t T) {
	l.Remove(payer, t)
	if len(l.waiting[payer]) > 0 {
		l.turns = append(slices.DeleteFunc(l.turns, func(o essaim.Address) bool { return o == payer }), payer)
	}
}

// Turns lists the payers, the next one first. It is a copy.
func (l *Line[T]) Turns() []essaim.Address { return slices.Clone(l.turns) }

// Of lists what a payer waits for, the next one first. It is only good until the line changes.
func (l *Line[T]) Of(payer essaim.Address) []T { return l.waiting[payer] }

// Place is when something is served among those that compete with it: 1 if it is next.
// all counts those, itself among them. Both are 0 if it does not wait.
func (l *Line[T]) Place(payer essaim.Address, t T, competes func(T) bool) (place, all int) {
	own, before := -1, 0
	for _, o := range l.waiting[payer] {
		if o == t {
			own = before
		}
		if o == t || competes(o) {
			before++
		}
	}
	if own < 0 {
		return 0, 0
	}
	place, all = own+1, before
	passed := false
	for _, p := range l.turns {
		if p == payer {
			passed = true
			continue
		}
		rivals := 0
		for _, o := range l.waiting[p] {
			if competes(o) {
				rivals++
			}
		}
		all += rivals
		turns := own // as many rounds are over before its own
		if !passed {
			turns++
		}
		place += min(rivals, turns)
	}
	return place, all
}

// paceWeight is how much the newest task counts in what a model's tasks take.
const paceWeight = 0.2

// maxPaces bounds the models that a Pace remembers.
const maxPaces = 4096

// Pace is how long tasks take lately, by model. Its zero value knows nothing.
type Pace struct {
	mean map[essaim.Digest]time.Duration
}

// Note counts a task that was done.
func (p *Pace) Note(model essaim.Digest, took time.Duration) {
	if p.mean == nil || len(p.mean) >= maxPaces {
		p.mean = map[essaim.Digest]time.Duration{}
	}
	if have, ok := p.mean[model]; ok {
		took = have + time.Duration(paceWeight*float64(took-have))
	}
	p.mean[model] = took
}

// Of is what a task of a model takes; 0: nobody knows.
func (p *Pace) Of(model essaim.Digest) time.Duration { return p.mean[model] }

// Wait is how long a task in a place has to wait until it is done, with so many served
// at the same time; 0: nobody knows.
func (p *Pace) Wait(model essaim.Digest, place, served int) time.Duration {
	rounds := (max(place, 1) + max(served, 1) - 1) / max(served, 1)
	return time.Duration(rounds+1) * p.Of(model)
}
