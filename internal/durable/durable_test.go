package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/essaim/essaim/internal/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const schema = `CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v TEXT UNIQUE) WITHOUT ROWID`

func open(t testing.TB, path string) *durable.File {
	t.Helper()
	f, err := durable.Open(path, schema)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func insert(k int, v string) durable.Stmt {
	return durable.Stmt{Query: `INSERT INTO t (k, v) VALUES (?, ?)`, Args: []any{k, v}}
}

func count(t testing.TB, f *durable.File) (n int) {
	t.Helper()
	if err := f.QueryRow(t.Context(), `SELECT COUNT(*) FROM t`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWritesAreThereAfterAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name %20?.db")
	f := open(t, path)
	defer f.Close()
	var group sync.WaitGroup
	for k := range 100 {
		group.Go(func() {
			if n, err := f.Write(insert(k, string(rune('a'+k)))); n != 1 || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
		})
	}
	group.Wait()
	// The files as they are, without any closing, are what a kill leaves.
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, copied)
	defer again.Close()
	if n := count(t, again); n != 100 {
		t.Errorf("%d rows, want 100", n)
	}
}

func TestFailedWriteLeavesNoTraceAndHurtsNoOther(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "t.db"))
	defer f.Close()
	var group sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	for k := range 50 {
		group.Go(func() {
			// The second statement fails for all but one.
			_, err := f.Write(insert(2*k, string(rune('a'+k))), insert(2*k+1, "the same"))
			if err != nil {
				if !durable.IsDuplicate(err) {
					t.Errorf("error %v", err)
				}
				mu.Lock()
				failed++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if n := count(t, f); failed != 49 || n != 2 {
		t.Errorf("%d writes failed and %d rows are there, want 49 and 2", failed, n)
	}
	if _, err := f.Write(durable.Stmt{Query: "no sql"}); err == nil || durable.IsDuplicate(err) || errors.Unwrap(err) == err {
		t.Errorf("wrong statement: %v", err)
	}
	if n, err := f.Write(durable.Stmt{Query: `UPDATE t SET v = v || '!'`}); n != 2 || err != nil {
		t.Errorf("Write = %d, %v, want 2 rows", n, err)
	}
}

func BenchmarkWrite(b *testing.B) {
	f := open(b, filepath.Join(b.TempDir(), "t.db"))
	defer f.Close()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.Write(durable.Stmt{Query: `INSERT INTO t (v) SELECT NULL WHERE 0`}); err != nil {
				b.Error(err)
			}
		}
	})
}
