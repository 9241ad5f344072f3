package discord

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// limits are how much the platform bears, as far as it has said: calls share buckets, which its
// answers name and tell how full they are.
type limits struct {
	now  func() time.Time
	wait func(context.Context, time.Duration) error

	mu      sync.Mutex
	buckets map[string]string    // by method and name
	ready   map[string]time.Time // by bucket and major: when there is room again
	all     time.Time            // when there is room for anything
}

// mostKept is how many entries are kept before those that say nothing any more are dropped.
const mostKept = 1000

func (l *limits) key(c call) string {
	route := c.method + " " + c.name
	if b, ok := l.buckets[route]; ok {
		route = b
	}
	return route + " " + c.major
}

// before waits until there is room for a call. Interactions are outside of the common limit.
func (l *limits) before(ctx context.Context, c call) error {
	l.mu.Lock()
	until := l.ready[l.key(c)]
	if !c.bare && l.all.After(until) {
		until = l.all
	}
	l.mu.Unlock()
	if pause := until.Sub(l.now()); pause > 0 {
		return l.wait(ctx, pause)
	}
	return nil
}

// after takes note of what an answer says.
func (l *limits) after(c call, h http.Header) {
	bucket := h.Get("X-RateLimit-Bucket")
	if bucket == "" {
		return
	}
	left, err := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	seconds, err2 := strconv.ParseFloat(h.Get("X-RateLimit-Reset-After"), 64)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buckets[c.method+" "+c.name] = bucket
	if err == nil && err2 == nil && left == 0 {
		l.full(l.key(c), min(time.Duration(seconds*float64(time.Second)), maxPause))
	}
}

// putOff takes note of a refusal.
func (l *limits) putOff(c call, pause time.Duration, global bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if global {
		l.all = l.now().Add(pause)
		if !c.bare {
			return
		}
	}
	l.full(l.key(c), pause)
}

// full says for how long a bucket is full. The lock is held.
func (l *limits) full(key string, pause time.Duration) {
	now := l.now()
	if len(l.ready) >= mostKept {
		for k, t := range l.ready {
			if t.Before(now) {
				delete(l.ready, k)
			}
		}
	}
	l.ready[key] = now.Add(pause)
}
