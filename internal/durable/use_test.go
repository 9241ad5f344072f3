package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim/internal/durable"
)

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	f := open(t, path)
	if _, err := f.Write(insert(1, "a")); err != nil {
		t.Fatal(err)
	}
	if used, err := durable.InUse(path); !used || err != nil {
		t.Errorf("while it is open: %t, %v", used, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if used, err := durable.InUse(path); used || err != nil {
		t.Errorf("after it was closed: %t, %v", used, err)
	}
	again := open(t, path)
	if n := count(t, again); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.db")
	if err := os.WriteFile(bad, []byte("this is no database, and long enough to be looked at ......................................................"), 0o600); err != nil {
		t.Fatal(err)
	}
	if used, err := durable.InUse(bad); used || err == nil {
		t.Errorf("of no database: %t, %v", used, err)
	}
}
