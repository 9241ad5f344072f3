// Package mem is a blob store in memory, for tests and for networks that live in one
// process. What it holds is gone when the process ends.
//
// It must not touch the disk or the network. A store is safe for concurrent use.
package mem

import (
	"bytes"
	"context"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
)

// Store is a blob.Store. Make it with New.
type Store struct {
	mu    sync.RWMutex
	blobs map[essaim.Digest][]byte
}

var _ blob.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{blobs: make(map[essaim.Digest][]byte)} }

// Put stores a copy of b; see blob.Store.
func (s *Store) Put(ctx context.Context, b []byte) (essaim.Digest, error) {
	if err := ctx.Err(); err != nil {
		return essaim.Digest{}, err
	}
	if len(b) == 0 || len(b) > blob.MaxSize {
		return essaim.Digest{}, essaim.Errorf(essaim.CodeBadInput, "split it, or store nothing at all", "a blob of %d bytes cannot be stored, want 1 to %d", len(b), blob.MaxSize)
	}
	d := essaim.DigestOf(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.blobs[d]; !ok {
		s.blobs[d] = bytes.Clone(b)
	}
	return d, nil
}

// Get returns a copy of the blob; see blob.Store.
func (s *Store) Get(ctx context.Context, d essaim.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	b, ok := s.blobs[d]
	s.mu.RUnlock()
	if !ok {
		return nil, essaim.Errorf(essaim.CodeNotFound, "it may be on another node", "blob %s is not here", d.Short())
	}
	b = bytes.Clone(b)
	if essaim.DigestOf(b) != d {
		return nil, essaim.Errorf(essaim.CodeInternal, "the memory of this machine is at fault", "blob %s is damaged", d.Short())
	}
	return b, nil
}

// Has reports whether the store holds the blob; see blob.Store.
func (s *Store) Has(ctx context.Context, d essaim.Digest) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.blobs[d]
	return ok, nil
}

// Delete removes a blob; see blob.Store.
func (s *Store) Delete(ctx context.Context, d essaim.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, d)
	return nil
}
