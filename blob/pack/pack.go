// Package pack is a blob store that keeps small blobs together in one file and leaves
// large ones to another store. A small blob of its own file costs four flushes of the
// disk; here blobs that are stored at the same time share one.
//
// What is small is decided by the size alone, so the same bytes are always in the same
// place. Bytes are checked against their name whenever they are read. A store is safe for
// concurrent use, also by several processes on one file: what one has stored the others see within half a second.
//
// It must not interpret what it holds.
package pack

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/internal/durable"
)

// Small is the size, in bytes, up to which a blob is kept in the file: an envelope of a
// bucket of 64 KiB for one recipient is.
const Small = 72 << 10

// Blobs are in the order in which they came, so that those stored together are written
// together; only the index is in the order of the digests.
const schema = `
CREATE TABLE IF NOT EXISTS blobs (
	id     INTEGER PRIMARY KEY,
	digest BLOB NOT NULL UNIQUE,
	bytes  BLOB NOT NULL
);
`

// Schema is of the table that On works on.
const Schema = `
CREATE TABLE IF NOT EXISTS blobs (
	digest BLOB PRIMARY KEY,
	bytes  BLOB NOT NULL
);
`

// Store is a blob.Store. Make it with Open, or On.
type Store struct {
	file  durable.DB
	enter func(...durable.Stmt) error // a write to it
	most  int                         // bytes of the largest blob in it
	large blob.Store
}

// On keeps blobs of every size in a database that has been opened with Schema and that others may share. Close closes it.
func On(db durable.DB) *Store {
	enter := func(stmts ...durable.Stmt) error { return db.Append(stmts...)() }
	return &Store{file: db, enter: enter, most: blob.MaxSize, large: nowhere{}}
}

// nowhere keeps nothing.
type nowhere struct{}

func (nowhere) Put(_ context.Context, b []byte) (essaim.Digest, error) {
	return essaim.Digest{}, essaim.Errorf(essaim.CodeBadInput, "split it", "a blob of %d bytes, want 1 to %d", len(b), blob.MaxSize)
}

func (nowhere) Get(_ context.Context, d essaim.Digest) ([]byte, error) {
	return nil, essaim.Errorf(essaim.CodeNotFound, "", "blob %s is not here", d.Short())
}

func (nowhere) Has(context.Context, essaim.Digest) (bool, error) { return false, nil }

func (nowhere) Delete(context.Context, essaim.Digest) error { return nil }

var _ blob.Store = (*Store)(nil)

// Open opens or makes the file at path; large keeps what is too large for it, and what it
// has already. The caller closes the Store, which leaves large alone.
//
// Errors: CodeBadInput if path cannot be such a file.
func Open(path string, large blob.Store) (*Store, error) {
	f, err := durable.OpenFirst(path, schema)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "name a file that can be written to", "blob file %s: %w", path, err)
	}
	return &Store{file: f, enter: f.Enter, most: Small, large: large}, nil
}

// Close frees the file.
func (s *Store) Close() error { return s.file.Close() }

// Put stores b durably; see blob.Store. Damaged bytes of that name are replaced.
func (s *Store) Put(ctx context.Context, b []byte) (essaim.Digest, error) {
	if len(b) == 0 || len(b) > s.most {
		return s.large.Put(ctx, b)
	}
	if err := ctx.Err(); err != nil {
		return essaim.Digest{}, err
	}
	d := essaim.DigestOf(b)
	err := s.enter(durable.Stmt{
		Query: `INSERT INTO blobs (digest, bytes) VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET bytes = excluded.bytes WHERE blobs.bytes <> excluded.bytes`,
		Args:  []any{d[:], bytes.Clone(b)}, // it gets into the rows later, when b is the caller's again
	})
	if err != nil {
		return essaim.Digest{}, failed("store blob "+d.Short(), err)
	}
	return d, nil
}

// Get returns the blob, checked; see blob.Store.
func (s *Store) Get(ctx context.Context, d essaim.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var b []byte
	switch err := s.file.QueryRow(ctx, `SELECT bytes FROM blobs WHERE digest = ?`, d[:]).Scan(&b); {
	case errors.Is(err, sql.ErrNoRows):
		return s.large.Get(ctx, d)
	case err != nil:
		return nil, failed("read blob "+d.Short(), err)
	case essaim.DigestOf(b) != d:
		return nil, essaim.Errorf(essaim.CodeInternal, "delete it and fetch it again; check the disk", "blob %s is damaged", d.Short())
	}
	return b, nil
}

// Has reports whether the blob is here or in the store for large ones; see blob.Store.
func (s *Store) Has(ctx context.Context, d essaim.Digest) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	var one int
	switch err := s.file.QueryRow(ctx, `SELECT 1 FROM blobs WHERE digest = ?`, d[:]).Scan(&one); {
	case errors.Is(err, sql.ErrNoRows):
		return s.large.Has(ctx, d)
	case err != nil:
		return false, failed("look for blob "+d.Short(), err)
	}
	return true, nil
}

// Delete removes the blob, wherever it is; see blob.Store.
func (s *Store) Delete(ctx context.Context, d essaim.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := s.file.Write(durable.Stmt{Query: `DELETE FROM blobs WHERE digest = ?`, Args: []any{d[:]}}); err != nil {
		return failed("delete blob "+d.Short(), err)
	}
	return s.large.Delete(ctx, d)
}

func failed(what string, err error) error {
	return essaim.Errorf(essaim.CodeInternal, "check the disk's space and permissions", "%s: %w", what, err)
}
