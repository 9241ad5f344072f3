package batch

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// store is files and batches: of each a description, and of files the lines, each sealed for itself. Whoever has the shelf without the key reads
// names, sizes and states, no words.
//
// A line is a nonce (12 bytes) and AES-256-GCM of it, bound to the file's ID and the line's number: none can be changed, moved or
// left out but at the end.
type store struct {
	shelf
	sealer cipher.AEAD
}

// shelf is where they are kept: a folder, or rows of a database.
type shelf interface {
	// put keeps a description, whole or not at all. open says that somebody has to go on with it.
	put(id, owner string, open bool, text []byte) error

	// each calls f with every description of an owner; of all if owner is empty.
	each(owner string, f func(id string, text []byte) error) error

	// remove drops a description and lines; what is not there is no error.
	remove(id string) error

	// scan calls f with each line, in order. One that was cut while it was written is left out.
	scan(id string, f func(sealed []byte) error) error

	// add adds lines behind those that there are, with each of which seen is called first.
	add(id string, seen func(sealed []byte) error) (appender, error)
}

// appender adds lines. It belongs to one goroutine.
type appender interface {
	put(sealed []byte) error // which may wait for sync
	sync() error             // what was put is safe then
	close() error            // syncs
}

const (
	nonceSize = 12
	maxLine   = 24 << 20 // bytes of a line, sealed
)

func newStore(s shelf, key []byte) (*store, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("batch key: %w", err)
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("batch key: %w", err)
	}
	return &store{s, sealer}, nil
}

// describe keeps a description.
func (s *store) describe(id, owner string, open bool, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.put(id, owner, open, b)
}

func bound(id string, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte(id), n) }

// opener opens the lines of a file one after the other.
func (s *store) opener(id string, f func(line []byte) error) func(sealed []byte) error {
	n := uint64(0)
	return func(sealed []byte) error {
		if len(sealed) < nonceSize {
			return errDamaged
		}
		line, err := s.sealer.Open(nil, sealed[:nonceSize], sealed[nonceSize:], bound(id, n))
		if err != nil {
			return errDamaged
		}
		n++
		return f(line)
	}
}

var errDamaged = errors.New("the file is damaged, or its key is another one")

// lines calls f with each line of a file.
func (s *store) lines(id string, f func(line []byte) error) error {
	return s.scan(id, s.opener(id, f))
}

// writer seals lines and adds them to a file. It belongs to one goroutine.
type writer struct {
	s  *store
	id string
	n  uint64
	to appender
}

// append opens a file to add lines behind those that it has. seen is called with each of them.
func (s *store) append(id string, seen func(line []byte) error) (*writer, error) {
	w := &writer{s: s, id: id}
	var err error
	w.to, err = s.add(id, s.opener(id, func(line []byte) error { w.n++; return seen(line) }))
	if err != nil {
		return nil, err
	}
	return w, nil
}

// put writes a line without waiting for the disk.
func (w *writer) put(line []byte) error {
	out := make([]byte, nonceSize, nonceSize+len(line)+w.s.sealer.Overhead())
	rand.Read(out) // never fails, see crypto/rand
	out = w.s.sealer.Seal(out, out, line, bound(w.id, w.n))
	if len(out) > maxLine {
		return errors.New("a line is too long")
	}
	w.n++
	return w.to.put(out)
}

func (w *writer) add(line []byte) error { return errors.Join(w.put(line), w.to.sync()) }

func (w *writer) close() error { return w.to.close() }
