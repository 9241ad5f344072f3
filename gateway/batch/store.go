package batch

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// store is the folder of files and batches: of each a description, and of files the lines, each
// sealed for itself. Whoever has the folder without the key reads names, sizes and states, no words.
//
// A line is its sealed length (4 bytes), a nonce (12) and AES-256-GCM of it, bound to the file's ID and the line's
// number: none can be changed, moved or left out but at the end.
type store struct {
	dir    string
	sealer cipher.AEAD
}

const (
	lineHead = 4 + 12
	maxLine  = 24 << 20 // bytes of a line, sealed
)

func openStore(dir string, key []byte) (*store, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("batch key: %w", err)
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("batch key: %w", err)
	}
	return &store{dir, sealer}, os.MkdirAll(dir, 0o700)
}

func (s *store) path(id, kind string) string { return filepath.Join(s.dir, id+"."+kind) }

// describe writes a description, whole or not at all.
func (s *store) describe(id string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(s.dir, "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), s.path(id, "json"))
}

// each calls f with every description.
func (s *store) each(f func(id string, b []byte) error) error {
	all, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	if err != nil {
		return err
	}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := f(strings.TrimSuffix(filepath.Base(path), ".json"), b); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func (s *store) remove(id string) error {
	var errs []error
	for _, kind := range []string{"json", "lines"} {
		if err := os.Remove(s.path(id, kind)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func bound(id string, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte(id), n) }

// writer appends lines to a file; each is on the disk when Add returns. It belongs to one goroutine.
type writer struct {
	s  *store
	id string
	n  uint64
	f  *os.File
}

// append opens a file to add lines behind those that it has; what was cut while it was written is
// dropped. seen is called with each that it has.
func (s *store) append(id string, seen func(line []byte) error) (*writer, error) {
	f, err := os.OpenFile(s.path(id, "lines"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	w := &writer{s: s, id: id, f: f}
	end, err := s.scan(f, id, func(line []byte) error { w.n++; return seen(line) })
	if errors.Is(err, errCut) {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

// put writes a line without waiting for the disk.
func (w *writer) put(line []byte) error {
	out := make([]byte, lineHead, lineHead+len(line)+w.s.sealer.Overhead())
	rand.Read(out[4:]) // never fails, see crypto/rand
	out = w.s.sealer.Seal(out, out[4:lineHead], line, bound(w.id, w.n))
	binary.BigEndian.PutUint32(out, uint32(len(out)-lineHead))
	if len(out)-lineHead > maxLine {
		return errors.New("a line is too long")
	}
	w.n++
	_, err := w.f.Write(out)
	return err
}

func (w *writer) add(line []byte) error { return errors.Join(w.put(line), w.f.Sync()) }

func (w *writer) close() error { return errors.Join(w.f.Sync(), w.f.Close()) }

// errCut is wrapped for a file that ends within a line.
var errCut = errors.New("the file ends within a line")

// lines calls f with each line of a file.
func (s *store) lines(id string, f func(line []byte) error) error {
	r, err := os.Open(s.path(id, "lines"))
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err = s.scan(r, id, f); errors.Is(err, errCut) {
		return nil // it is being written, or was when the program died
	}
	return err
}

// scan reads lines, and returns where the last whole one ends.
func (s *store) scan(from io.Reader, id string, f func(line []byte) error) (end int64, err error) {
	r := bufio.NewReader(from)
	for n := uint64(0); ; n++ {
		var head [lineHead]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return end, nil
		} else if err != nil {
			return end, cut(err)
		}
		size := binary.BigEndian.Uint32(head[:])
		if size > maxLine {
			return end, errors.New("the file is damaged")
		}
		sealed := make([]byte, size)
		if _, err := io.ReadFull(r, sealed); err != nil {
			return end, cut(err)
		}
		line, err := s.sealer.Open(sealed[:0], head[4:], sealed, bound(id, n))
		if err != nil {
			return end, errors.New("the file is damaged, or its key is another one")
		}
		if err := f(line); err != nil {
			return end, err
		}
		end += lineHead + int64(size)
	}
}

func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errCut
	}
	return err
}
