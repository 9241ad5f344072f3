package client

import (
	"context"
	"sync"
	"time"

	"github.com/essaim/essaim"
)

// quoteAge is how long tasks share a quote, far less than any is valid. A quote draws its
// candidates at random: a session that kept one would ask too little of the others.
const quoteAge = 250 * time.Millisecond

// maxQuotes bounds what is remembered: of so many models and shapes at a time.
const maxQuotes = 64

// quotes remembers a session's latest quotes, by what was asked. The zero value is ready.
type quotes struct {
	mu    sync.Mutex
	known map[essaim.QuoteRequest]*asked // guarded by mu
}

// asked is a quote that was asked for.
type asked struct {
	at    time.Time
	done  chan struct{} // closed when it was answered; then these two are set
	quote essaim.Quote
	err   error
}

// get is the coordinator's quote, asked for lately or, if fresh, now. Tasks that come
// together share one question.
//
// Errors: the coordinator's.
func (q *quotes) get(ctx context.Context, c Coordinator, r essaim.QuoteRequest, fresh bool) (essaim.Quote, error) {
	q.mu.Lock()
	a := q.known[r]
	if a == nil || fresh || time.Since(a.at) > quoteAge {
		if q.known == nil || len(q.known) >= maxQuotes {
			q.known = map[essaim.QuoteRequest]*asked{}
		}
		a = &asked{at: time.Now(), done: make(chan struct{})}
		q.known[r] = a
		q.mu.Unlock()
		a.quote, a.err = c.Quote(ctx, r)
		if a.err != nil {
			q.forget(r, a)
		}
		close(a.done)
		return a.quote, a.err
	}
	q.mu.Unlock()
	select {
	case <-a.done:
	case <-ctx.Done():
		return essaim.Quote{}, context.Cause(ctx)
	}
	if a.err != nil { // it may be another's deadline that has passed
		return c.Quote(ctx, r)
	}
	return a.quote, nil
}

func (q *quotes) forget(r essaim.QuoteRequest, a *asked) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known[r] == a {
		delete(q.known, r)
	}
}
