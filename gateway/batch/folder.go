package batch

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// folder is a shelf of files: a description each, and lines. Before a line is its length (4 bytes), less that of its nonce.
type folder struct{ dir string }

const lineHead = 4 + nonceSize

func (s folder) path(id, kind string) string { return filepath.Join(s.dir, id+"."+kind) }

func (s folder) put(id, _ string, _ bool, text []byte) error {
	tmp, err := os.CreateTemp(s.dir, "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), s.path(id, "json"))
}

// each is called for all owners: a folder is one instance's.
func (s folder) each(_ string, f func(id string, text []byte) error) error {
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

func (s folder) remove(id string) error {
	var errs []error
	for _, kind := range []string{"json", "lines"} {
		if err := os.Remove(s.path(id, kind)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// folderFile is a file that lines are added to; each is on the disk when sync returns.
type folderFile struct{ *os.File }

func (f folderFile) put(sealed []byte) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(sealed)), uint32(len(sealed)-nonceSize))
	_, err := f.Write(append(b, sealed...))
	return err
}

func (f folderFile) sync() error { return f.Sync() }

func (f folderFile) close() error { return errors.Join(f.Sync(), f.Close()) }

// add drops what was cut while it was written.
func (s folder) add(id string, seen func(sealed []byte) error) (appender, error) {
	f, err := os.OpenFile(s.path(id, "lines"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	end, err := scanFile(f, seen)
	if errors.Is(err, errCut) {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return folderFile{f}, nil
}

// errCut is wrapped for a file that ends within a line.
var errCut = errors.New("the file ends within a line")

func (s folder) scan(id string, f func(sealed []byte) error) error {
	r, err := os.Open(s.path(id, "lines"))
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err = scanFile(r, f); errors.Is(err, errCut) {
		return nil // it is being written, or was when the program died
	}
	return err
}

// scanFile reads lines, and returns where the last whole one ends.
func scanFile(from io.Reader, f func(sealed []byte) error) (end int64, err error) {
	r := bufio.NewReader(from)
	for {
		var head [lineHead]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return end, nil
		} else if err != nil {
			return end, cut(err)
		}
		size := binary.BigEndian.Uint32(head[:])
		if size > maxLine {
			return end, errDamaged
		}
		sealed := make([]byte, nonceSize+int(size))
		copy(sealed, head[4:])
		if _, err := io.ReadFull(r, sealed[nonceSize:]); err != nil {
			return end, cut(err)
		}
		if err := f(sealed); err != nil {
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
