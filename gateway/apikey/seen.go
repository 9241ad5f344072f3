package apikey

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/essaim/essaim"
)

// seenAge is how long a key is believed to be as it was read: every request asks for it twice, and so long may
// pass until one that another process has revoked is refused.
const seenAge = 100 * time.Millisecond

// maxSeen bounds the keys that are remembered; beyond it all are forgotten.
const maxSeen = 1 << 12

// seenKey is a key as it was read.
type seenKey struct {
	Key
	hash []byte // of its secret
	at   time.Time
}

// lately is a key as it was a moment ago. What this process has changed of it since is in it, but for the books: nothing is
// waited for that is on its way into them.
//
// Errors: CodeNotFound.
func (s *Store) lately(ctx context.Context, id string) (seenKey, error) {
	s.mu.Lock()
	have, ok := s.seen[id]
	s.mu.Unlock()
	if ok && time.Since(have.at) < seenAge {
		return have, nil
	}
	now := seenKey{at: time.Now()}
	err := s.glance(ctx, `SELECT hash FROM apikeys WHERE id = ?`, id).Scan(&now.hash)
	if errors.Is(err, sql.ErrNoRows) {
		return now, essaim.Errorf(essaim.CodeNotFound, "list the keys to see their IDs", "no key has the ID %.20q", id)
	}
	if err != nil {
		return now, fault("look up a key", err)
	}
	if now.Key, err = keyOf(s.glance(ctx, selectKey+` WHERE id = ?`, id), id); err != nil {
		return now, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= maxSeen {
		clear(s.seen)
	}
	if newer := s.seen[id]; newer.at.Before(now.at) {
		s.seen[id] = now
	}
	return now, nil
}

// glance reads a row of a table that nobody appends to.
func (s *Store) glance(ctx context.Context, query string, args ...any) *sql.Row {
	if s.log != nil {
		return s.log.Glance(ctx, query, args...)
	}
	return s.file.QueryRow(ctx, query, args...)
}

// forgetKey has a key read again: it was changed. Who is reading it at this moment may still keep it as it was, for as long
// as if another process had changed it.
func (s *Store) forgetKey(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, id)
}

// took has less left for the next request of a key than was read. The lock is held.
func (s *Store) took(id string, amount essaim.Amount) {
	if k, ok := s.seen[id]; ok {
		k.Balance -= min(amount, k.Balance)
		s.seen[id] = k
	}
}
