// Package quality keeps how well miners do what they are given: by miner in all, which is written down, and
// by miner and model, which is derived from what this run of the program has seen. Newer attempts count more.
//
// A miner that fails at a model again and again is left out for a time that doubles with each further failure,
// and is then tried with one task. What a miner says of itself counts for nothing here. The package knows
// neither stake nor prices, and a Book is not safe for concurrent use: the coordinator's lock guards it.
package quality

import (
	"fmt"
	"math"
	"time"

	"github.com/essaim/essaim"
)

// How an attempt went, as far as the miner answers for it.
type Result int

// The results.
const (
	Done   Result = iota // a receipt was accepted
	Failed               // it gave up, was gone, or took too long
	Wrong                // its receipt did not stand the checks
)

const (
	// Tolerated is how many failures in a row have no consequence but a smaller chance.
	Tolerated = 2

	// FirstPause is how long a miner is left out after one failure more, and LastPause the longest.
	FirstPause = 5 * time.Second
	LastPause  = 10 * time.Minute

	slowAt     = 2    // so many times what a model's tasks take has no consequence
	slowFloor  = 0.25 // the least that slowness leaves of a chance
	maxRecords = 1 << 16
)

// Record is how a miner does with a model.
type Record struct {
	Good, Every float64       // attempts, the newer the more they count
	Wrong       float64       // of those, receipts that did not stand the checks
	Took        time.Duration // a task that was done, about; 0: none was
	Failures    int           // in a row, the latest; what was under way when one was noted says nothing new
	Failed      time.Time     // when the last of them was
	Until       time.Time     // it gets none before; zero: it was never left out
}

// Book is what is known of all miners. Make it with New.
type Book struct {
	miners  map[essaim.NodeKey]*whole
	records map[of]*Record
	typical map[essaim.Digest]time.Duration // what a model's tasks take, whoever does them
	first   time.Duration
}

type whole struct {
	Measure
	changed bool // since it was last taken
}

type of struct {
	miner essaim.NodeKey
	model essaim.Digest
}

// New begins with what earlier runs knew of the miners. first is how long one is left out at first, such as FirstPause.
func New(known map[essaim.NodeKey]Measure, first time.Duration) *Book {
	b := &Book{first: first, miners: map[essaim.NodeKey]*whole{}, records: map[of]*Record{}, typical: map[essaim.Digest]time.Duration{}}
	for k, q := range known {
		b.miners[k] = &whole{Measure: q}
	}
	return b
}

// Note counts an attempt that has ended now, after a time.
func (b *Book) Note(miner essaim.NodeKey, model essaim.Digest, r Result, took time.Duration, now time.Time) {
	w := b.miners[miner]
	if w == nil {
		w = new(whole)
		b.miners[miner] = w
	}
	w.Measure.Note(r == Done)
	w.changed = true
	rec := b.records[of{miner, model}]
	if rec == nil {
		if len(b.records) >= maxRecords {
			clear(b.records) // they are derived: the miners' own are still there
		}
		rec = new(Record)
		b.records[of{miner, model}] = rec
	}
	rec.Good, rec.Every, rec.Wrong = rec.Good*decay, rec.Every*decay+1, rec.Wrong*decay
	switch r {
	case Done:
		rec.Good++
		rec.Failures = 0
		rec.Took = mean(rec.Took, took)
		if len(b.typical) >= maxRecords {
			clear(b.typical)
		}
		b.typical[model] = mean(b.typical[model], took)
		return
	case Wrong:
		rec.Wrong++
		rec.Failures = max(rec.Failures, Tolerated) // a wrong result is no accident
	case Failed:
		if now.Add(-took).Before(rec.Failed) {
			return // a connection that breaks takes all tasks with it that are on it
		}
	}
	rec.Failures++
	rec.Failed = now
	if over := rec.Failures - Tolerated; over > 0 {
		rec.Until = now.Add(min(LastPause, b.first<<min(over-1, 10)))
	}
}

func mean(have, took time.Duration) time.Duration {
	if have == 0 {
		return took
	}
	return have + (took-have)/5
}

// Of is how a miner does with a model.
func (b *Book) Of(miner essaim.NodeKey, model essaim.Digest) Record {
	if r := b.records[of{miner, model}]; r != nil {
		return *r
	}
	return Record{}
}

// Factor is what a miner's stake is multiplied with in its chances, from more than 0 to 1: how many of its attempts
// with the model stood, and less if it takes much longer than others. One that nobody has seen has 1.
func (b *Book) Factor(miner essaim.NodeKey, model essaim.Digest) float64 {
	all := 1.0
	if w := b.miners[miner]; w != nil {
		all = w.Ratio()
	}
	r := b.records[of{miner, model}]
	if r == nil {
		return all
	}
	f := (r.Good + all) / (r.Every + 1) // what it does with other models counts as one attempt
	if slow := float64(r.Took) / (slowAt * float64(b.typical[model])); slow > 1 {
		f *= math.Max(slowFloor, 1/slow)
	}
	return math.Max(Floor, f)
}

// LeftOut says why a miner gets no task of a model now; nil: nothing is wrong.
//
// Errors: CodeUnavailable.
func (b *Book) LeftOut(miner essaim.NodeKey, model essaim.Digest, now time.Time) error {
	r := b.records[of{miner, model}]
	if r == nil || !now.Before(r.Until) {
		return nil
	}
	what := fmt.Sprintf("has failed %d times in a row", r.Failures)
	if r.Wrong >= 0.5 {
		what = "has handed in a receipt that does not stand the checks"
	}
	left := r.Until.Sub(now).Round(time.Second)
	return essaim.Errorf(essaim.CodeUnavailable, "try again later, or ask for another model", "miner %s %s and gets no task of this model for %v", miner.Short(), what, max(left, time.Second))
}

// Out counts the miners and models that are left out now.
func (b *Book) Out(now time.Time) (n int) {
	for _, r := range b.records {
		if now.Before(r.Until) {
			n++
		}
	}
	return n
}

// Changed is what is to be written down of the miners since the last time.
func (b *Book) Changed() map[essaim.NodeKey]Measure {
	out := map[essaim.NodeKey]Measure{}
	for k, w := range b.miners {
		if w.changed {
			w.changed = false
			out[k] = w.Measure
		}
	}
	return out
}
