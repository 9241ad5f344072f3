package batch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/durabletest"
	"github.com/essaim/essaim/internal/durable/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelves are all that there are, each empty.
func shelves(t *testing.T) map[string]shelf {
	t.Helper()
	file, err := durable.Open(filepath.Join(t.TempDir(), "batches.db"), Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	all := map[string]shelf{"folder": folder{t.TempDir()}, "rows of SQLite": rows{file}}
	server, why, err := durabletest.Start()
	if err != nil {
		t.Fatal(err)
	}
	if server == nil {
		t.Log(why)
		return all
	}
	t.Cleanup(func() { _ = server.Stop() })
	db, err := postgres.Open(t.Context(), postgres.Config{URL: server.Database(t), Name: "test", Space: "batches", Schema: Schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	all["rows of PostgreSQL"] = rows{db}
	return all
}

// TestShelves: descriptions and lines come back as they were, in their order, and what was removed does not.
func TestShelves(t *testing.T) {
	for name, on := range shelves(t) {
		t.Run(name, func(t *testing.T) {
			s, err := newStore(on, make([]byte, 32))
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if err := errors.Join(s.describe(fmt.Sprint("file-", i), "anna", true, "old"), s.describe(fmt.Sprint("file-", i), "anna", false, i)); err != nil {
					t.Fatal(err)
				}
			}
			const half, all = 2*pageLines + 1, 5*pageLines + unsynced
			var want []string
			for _, upTo := range []int{half, all} { // opened again, it goes on behind what is there
				var seen []string
				w, err := s.append("file-1", func(l []byte) error { seen = append(seen, string(l)); return nil })
				if err != nil || !slices.Equal(seen, want) {
					t.Fatalf("%q, %v; want %q", seen, err, want)
				}
				for len(want) < upTo {
					line := fmt.Sprint("line ", len(want))
					if err := w.put([]byte(line)); err != nil {
						t.Fatal(err)
					}
					want = append(want, line)
				}
				if err := errors.Join(w.add([]byte("last")), w.close()); err != nil {
					t.Fatal(err)
				}
				want = append(want, "last")
			}
			var got []string
			if err := s.lines("file-1", func(l []byte) error { got = append(got, string(l)); return nil }); err != nil || !slices.Equal(got, want) {
				t.Errorf("%q, %v", got, err)
			}
			stop := errors.New("enough")
			if err := s.lines("file-1", func([]byte) error { return stop }); !errors.Is(err, stop) {
				t.Errorf("a reader that stops: %v", err)
			}
			if err := errors.Join(s.remove("file-1"), s.remove("file-1"), s.remove("nothing")); err != nil {
				t.Error(err)
			}
			if err := s.lines("file-1", func(l []byte) error { return fmt.Errorf("line %q", l) }); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("of a file that was removed: %v", err)
			}
			var texts []string
			if err := s.each("anna", func(id string, text []byte) error { texts = append(texts, id+" "+string(text)); return nil }); err != nil || !slices.Equal(texts, []string{"file-0 0", "file-2 2"}) {
				t.Errorf("%q, %v", texts, err)
			}
			if r, ok := on.(rows); ok {
				testRows(t, r, s)
			}
		})
	}
}

// testRows looks at what only rows have: owners, who has to go on, and what is too old.
func testRows(t *testing.T, r rows, s *store) {
	t.Helper()
	if err := errors.Join(s.describe("batch_1", "bert", true, 1), s.describe("batch_2", "bert", true, 2), s.describe("batch_3", "cleo", true, 3), s.describe("batch_3", "cleo", false, 3)); err != nil {
		t.Fatal(err)
	}
	if keys, err := r.left(t.Context()); err != nil || !slices.Equal(keys, []string{"bert"}) {
		t.Errorf("somebody has to go on with the batches of %q, %v", keys, err)
	}
	count := func(want int) {
		t.Helper()
		n := 0
		for _, owner := range []string{"anna", "bert", "cleo"} {
			if err := s.each(owner, func(string, []byte) error { n++; return nil }); err != nil {
				t.Error(err)
			}
		}
		if n != want {
			t.Errorf("%d descriptions, want %d", n, want)
		}
	}
	if err := r.sweep(time.Now().Add(-time.Minute)); err != nil {
		t.Error(err)
	}
	count(5)
	if err := r.sweep(time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	count(0)
}

// TestTamperedLinesAreNotRead: a line that was changed, moved or left out is no line.
func TestTamperedLinesAreNotRead(t *testing.T) {
	for name, tamper := range map[string]func([][]byte) [][]byte{
		"changed":  func(l [][]byte) [][]byte { l[1][20] ^= 1; return l },
		"moved":    func(l [][]byte) [][]byte { l[0], l[1] = l[1], l[0]; return l },
		"left out": func(l [][]byte) [][]byte { return l[1:] },
		"short":    func(l [][]byte) [][]byte { l[2] = l[2][:5]; return l },
	} {
		file, err := durable.Open(filepath.Join(t.TempDir(), "batches.db"), Schema)
		if err != nil {
			t.Fatal(err)
		}
		r := rows{file}
		s, err := newStore(r, make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.append("file-1", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := w.add(fmt.Append(nil, "a line that is long enough ", i)); err != nil {
				t.Fatal(err)
			}
		}
		var kept [][]byte
		if err := r.scan("file-1", func(sealed []byte) error { kept = append(kept, sealed); return nil }); err != nil {
			t.Fatal(err)
		}
		if err := r.remove("file-1"); err != nil {
			t.Fatal(err)
		}
		a, err := r.add("file-1", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range tamper(kept) {
			if err := a.put(l); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.close(); err != nil {
			t.Fatal(err)
		}
		if err := s.lines("file-1", func([]byte) error { return nil }); !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
