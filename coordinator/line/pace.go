package line

import (
	"time"

	"github.com/essaim/essaim"
)

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

// MaxRetry is the longest that Retry says: the estimate is rough, and places may be free before.
const MaxRetry = time.Minute

// Retry is after how long it makes sense to hand a task in that was turned away, with so many waiting and so many served at the same
// time: from a second to MaxRetry.
func (p *Pace) Retry(model essaim.Digest, waiting, served int) time.Duration {
	return min(max(p.Wait(model, waiting, served), time.Second), MaxRetry)
}

// Wait is how long a task in a place has to wait until it is done, with so many served
// at the same time; 0: nobody knows.
func (p *Pace) Wait(model essaim.Digest, place, served int) time.Duration {
	rounds := (max(place, 1) + max(served, 1) - 1) / max(served, 1)
	return time.Duration(rounds+1) * p.Of(model)
}
