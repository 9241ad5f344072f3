// Package dir is a blob store in a directory: one file a blob, so that ls, du and
// sha256sum work on it.
//
// The layout is ROOT/ab/cd/abcd…, the blob's SHA-256 in hex under its first two
// bytes. A blob is written to ROOT/tmp, synced, renamed into place, and its
// directories synced: a file under its name is whole, whatever crashed. Bytes are
// checked against their name whenever they are read, and damage is reported, never
// returned.
//
// It must not write outside ROOT or interpret what it holds. A store is safe for
// concurrent use, also by several processes on one directory.
package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
)

const (
	tempDir = "tmp"

	// abandoned is how old a temporary file must be to be what a crash has left. No
	// write of blob.MaxSize bytes takes as long.
	abandoned = time.Hour
)

// Store is a blob.Store. Make it with Open.
type Store struct{ root string }

var _ blob.Store = (*Store)(nil)

// Open uses the directory root, which it makes if need be, and removes what crashed
// writers have left there. Nothing needs to be closed.
//
// Errors: CodeBadInput if root cannot be a directory, CodeInternal otherwise.
func Open(root string) (*Store, error) {
	temp := filepath.Join(root, tempDir)
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "name a directory that can be written to", "blob directory %s: %w", root, err)
	}
	entries, err := os.ReadDir(temp)
	if err != nil {
		return nil, failed("clean "+temp, err)
	}
	limit := time.Now().Add(-abandoned)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(limit) {
			_ = os.Remove(filepath.Join(temp, e.Name())) // another process may have been faster
		}
	}
	return &Store{root: root}, nil
}

// Put stores b durably; see blob.Store. A damaged file of that name is replaced.
func (s *Store) Put(ctx context.Context, b []byte) (essaim.Digest, error) {
	if err := ctx.Err(); err != nil {
		return essaim.Digest{}, err
	}
	if len(b) == 0 || len(b) > blob.MaxSize {
		return essaim.Digest{}, essaim.Errorf(essaim.CodeBadInput, "split it, or store nothing at all", "a blob of %d bytes cannot be stored, want 1 to %d", len(b), blob.MaxSize)
	}
	d := essaim.DigestOf(b)
	path := s.path(d)
	if _, err := read(path, d); err != nil {
		if err := s.write(path, b); err != nil {
			return essaim.Digest{}, failed("store blob "+d.Short(), err)
		}
	}
	// Also where the file was there: another Put may have renamed it only just now.
	if err := s.syncParents(path); err != nil {
		return essaim.Digest{}, failed("store blob "+d.Short(), err)
	}
	return d, nil
}

// Get returns the blob, checked; see blob.Store.
func (s *Store) Get(ctx context.Context, d essaim.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return read(s.path(d), d)
}

// Has reports whether there is a file for the blob; see blob.Store.
func (s *Store) Has(ctx context.Context, d essaim.Digest) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	_, err := os.Lstat(s.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, failed("look for blob "+d.Short(), err)
	}
	return true, nil
}

// Delete removes the blob's file; see blob.Store.
func (s *Store) Delete(ctx context.Context, d essaim.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := s.path(d)
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return failed("delete blob "+d.Short(), err)
	}
	return nil
}

func (s *Store) path(d essaim.Digest) string {
	name := d.String()
	return filepath.Join(s.root, name[:2], name[2:4], name)
}

func (s *Store) write(path string, b []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(s.root, tempDir), "put-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (s *Store) syncParents(path string) error {
	inner := filepath.Dir(path)
	return errors.Join(syncDir(inner), syncDir(filepath.Dir(inner)), syncDir(s.root))
}

func read(path string, d essaim.Digest) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, essaim.Errorf(essaim.CodeNotFound, "it may be on another node", "blob %s is not here", d.Short())
	}
	if err != nil {
		return nil, failed("open blob "+d.Short(), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, failed("open blob "+d.Short(), err)
	}
	damaged := essaim.Errorf(essaim.CodeInternal, "delete the file and fetch the blob again; check the disk", "blob file %s is damaged", path)
	if !info.Mode().IsRegular() || info.Size() > blob.MaxSize {
		return nil, damaged
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, failed("read blob "+d.Short(), err)
	}
	if essaim.DigestOf(b) != d {
		return nil, damaged
	}
	return b, nil
}

// syncDir makes the names in a directory durable. Windows does so by itself and
// knows no such call.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func failed(what string, err error) error {
	return essaim.Errorf(essaim.CodeInternal, "check the disk's space and permissions", "%s: %w", what, err)
}
