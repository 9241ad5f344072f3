// Package known remembers what the ledger has answered a coordinator about actors and
// models. An answer is believed for a while; when the ledger does not answer, an older one
// is better than none. It decides nothing and must not remember money.
package known

import (
	"context"
	"sync"
	"time"

	"github.com/essaim/essaim"
)

// Ledger is who is asked. Implementations are safe for concurrent use.
//
// Errors: CodeNotFound if the ledger answered that there is no such thing; any other
// code is taken as no answer.
type Ledger interface {
	Actor(ctx context.Context, node essaim.NodeKey) (essaim.Actor, error)
	Model(ctx context.Context, digest essaim.Digest) (essaim.Model, error)
}

// Cache is what is remembered; it is safe for concurrent use. Make it with New.
type Cache struct {
	ledger Ledger
	ttl    time.Duration
	mu     *sync.Mutex
	actors map[essaim.NodeKey]aged[essaim.Actor] // guarded by mu
	models map[essaim.Digest]aged[essaim.Model]  // guarded by mu
}

type aged[T any] struct {
	value T
	at    time.Time
}

// maxCached bounds each of the maps. Only what the ledger knows is remembered, so
// strangers cannot fill them; beyond the bound they start anew.
const maxCached = 1 << 16

// New asks l for what was not asked for within ttl.
func New(l Ledger, ttl time.Duration) Cache {
	return Cache{ledger: l, ttl: ttl, mu: new(sync.Mutex), actors: map[essaim.NodeKey]aged[essaim.Actor]{}, models: map[essaim.Digest]aged[essaim.Model]{}}
}

// Actor is a registration.
//
// Errors: those of Ledger.
func (k Cache) Actor(ctx context.Context, node essaim.NodeKey) (essaim.Actor, error) {
	return lookup(k, k.actors, node, func() (essaim.Actor, error) { return k.ledger.Actor(ctx, node) })
}

// Model is a registered model.
//
// Errors: those of Ledger.
func (k Cache) Model(ctx context.Context, digest essaim.Digest) (essaim.Model, error) {
	return lookup(k, k.models, digest, func() (essaim.Model, error) { return k.ledger.Model(ctx, digest) })
}

// Forget makes the next question about an actor go to the ledger. What was remembered
// stands if the ledger does not answer.
func (k Cache) Forget(node essaim.NodeKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, ok := k.actors[node]; ok {
		old.at = time.Time{}
		k.actors[node] = old
	}
}

// lookup asks when nothing fresh is remembered. When the ledger does not answer, an
// older answer is better than none; that there is no such thing is an answer.
func lookup[K comparable, V any](k Cache, m map[K]aged[V], key K, ask func() (V, error)) (V, error) {
	k.mu.Lock()
	old, ok := m[key]
	k.mu.Unlock()
	if ok && time.Since(old.at) < k.ttl {
		return old.value, nil
	}
	v, err := ask()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err == nil:
		if len(m) >= maxCached {
			clear(m)
		}
		m[key] = aged[V]{v, time.Now()}
		return v, nil
	case essaim.CodeOf(err) == essaim.CodeNotFound:
		delete(m, key)
	case ok:
		return old.value, nil
	}
	return v, err
}
