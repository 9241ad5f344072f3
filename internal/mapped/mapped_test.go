package mapped_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim/internal/mapped"
)

func TestOpen(t *testing.T) {
	for _, want := range [][]byte{nil, {1}, bytes.Repeat([]byte("essaim"), 10_000)} {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := mapped.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f.Bytes, want) {
			t.Errorf("%d bytes, want %d", len(f.Bytes), len(want))
		}
		// The name may go, the bytes stay: that is how a file is replaced.
		if err := os.Remove(name); err == nil && !bytes.Equal(f.Bytes, want) {
			t.Error("the bytes went with the name")
		}
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if len(want) > 0 && f.Close() == nil {
			t.Error("it closes twice")
		}
	}
}

func TestWhatIsNoFile(t *testing.T) {
	if _, err := mapped.Open(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: error %v", err)
	}
	if _, err := mapped.Open(t.TempDir()); err == nil {
		t.Error("a folder opens")
	}
}
