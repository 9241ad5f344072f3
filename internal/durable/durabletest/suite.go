// Package durabletest is the suite that each durable.DB passes, and a PostgreSQL server for tests. The suite
// says what roles stand on: what was safe is there after a crash, in its order, and a write happens whole or not at all.
//
// It must not know which database it looks at.
package durabletest

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim/internal/durable"
)

// Place is where rows are.
type Place interface {
	// Where names it for another process.
	Where() string

	// Open opens it. The caller closes the DB.
	Open(schema string) (durable.DB, error)

	// Kill is the place as a crash of all who have it open leaves it.
	Kill(t testing.TB) Place
}

const (
	tableSchema = `CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v TEXT UNIQUE, amount INTEGER NOT NULL DEFAULT 0 CHECK (amount >= 0))`
	listSchema  = `CREATE TABLE IF NOT EXISTS list (n INTEGER PRIMARY KEY, v TEXT)`
)

// Run runs the suite; place makes an empty place. histories is how many random ones it goes through unless the flag says so:
// a crash costs a server some processes, and a file nothing.
func Run(t *testing.T, histories int, place func(t testing.TB) Place) {
	t.Run("writes", func(t *testing.T) { testWrites(t, place(t)) })
	t.Run("failures", func(t *testing.T) { testFailures(t, place(t)) })
	t.Run("values", func(t *testing.T) { testValues(t, place(t)) })
	t.Run("closed", func(t *testing.T) { testClosed(t, place(t)) })
	t.Run("history", func(t *testing.T) { testHistory(t, histories, place) })
}

func open(t testing.TB, p Place, schema string) durable.DB {
	t.Helper()
	d, err := p.Open(schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // one that was killed may say so
	return d
}

func insert(k int64, v string) durable.Stmt {
	return durable.Stmt{Query: `INSERT INTO t (k, v) VALUES (?, ?)`, Args: []any{k, v}}
}

func count(t testing.TB, d durable.DB) (n int) {
	t.Helper()
	if err := d.QueryRow(t.Context(), `SELECT COUNT(*) FROM t`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// testWrites: many at the same time, each told how many rows it has changed, all there after a crash.
func testWrites(t *testing.T, p Place) {
	d := open(t, p, tableSchema)
	var group sync.WaitGroup
	for k := range 100 {
		group.Go(func() {
			if n, err := d.Write(insert(int64(k), strconv.Itoa(k))); n != 1 || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
		})
	}
	group.Wait()
	if n, err := d.Write(durable.Stmt{Query: `UPDATE t SET amount = amount + ? WHERE k < ?`, Args: []any{int64(1), int64(7)}}, insert(100, "last")); n != 7 || err != nil {
		t.Errorf("Write = %d, %v, want the rows of the first statement", n, err)
	}
	d = open(t, p.Kill(t), tableSchema)
	if n := count(t, d); n != 101 {
		t.Errorf("%d rows, want 101", n)
	}
}

// testFailures: a write that fails leaves no trace and hurts no other, and says why.
func testFailures(t *testing.T, p Place) {
	d := open(t, p, tableSchema)
	var group sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	for k := range int64(50) {
		group.Go(func() {
			// The second statement fails for all but one.
			_, err := d.Write(insert(2*k, strconv.FormatInt(k, 10)), insert(2*k+1, "the same"))
			if err == nil {
				return
			}
			if !durable.IsDuplicate(err) || durable.IsRefused(err) {
				t.Errorf("error %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			failed++
		})
	}
	group.Wait()
	if n := count(t, d); failed != 49 || n != 2 {
		t.Errorf("%d writes failed and %d rows are there, want 49 and 2", failed, n)
	}
	if _, err := d.Write(durable.Stmt{Query: `UPDATE t SET amount = amount - 1`}); !durable.IsRefused(err) || durable.IsDuplicate(err) {
		t.Errorf("what a CHECK forbids: %v", err)
	}
	if _, err := d.Write(durable.Stmt{Query: "no sql"}); err == nil || durable.IsDuplicate(err) || durable.IsRefused(err) {
		t.Errorf("wrong statement: %v", err)
	}
	if n, err := d.Write(durable.Stmt{Query: `UPDATE t SET v = v || '!'`}); n != 2 || err != nil {
		t.Errorf("Write = %d, %v, want 2 rows", n, err)
	}
}

// testValues: what goes in comes out, the largest numbers and nothing among it.
func testValues(t *testing.T, p Place) {
	d := open(t, p, `CREATE TABLE IF NOT EXISTS v (i INTEGER, b BLOB, r REAL, s TEXT)`)
	const highest = ^uint64(0)
	high := highest // which a constant cannot be made an int64 of
	if err := d.Append(durable.Stmt{
		Query: `INSERT INTO v (i, b, r, s) VALUES (?, ?, ?, ?)`, Args: []any{int64(high), []byte{0, 255}, 0.5, "ü ☃"},
	}, durable.Stmt{Query: `INSERT INTO v (i, b, r, s) SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM v WHERE i = ?)`, Args: []any{int64(7), []byte(nil), nil, nil, int64(7)}})(); err != nil {
		t.Fatal(err)
	}
	rows, err := d.Query(t.Context(), `SELECT i, b, r, s FROM v ORDER BY i`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var i int64
		var b []byte
		var r *float64
		var s *string
		if err := rows.Scan(&i, &b, &r, &s); err != nil {
			t.Fatal(err)
		}
		if r == nil {
			got = append(got, fmt.Sprint(uint64(i), b == nil, s == nil))
		} else {
			got = append(got, fmt.Sprintf("%d %v %v %s", uint64(i), b, *r, *s))
		}
	}
	if want := []string{"18446744073709551615 [0 255] 0.5 ü ☃", "7 true true"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// testClosed: what was begun before Close is done, what comes after is refused.
func testClosed(t *testing.T, p Place) {
	d := open(t, p, tableSchema)
	wait := d.StartPatient(insert(1, "a"))
	appended := d.AppendPatient(insert(2, "b"))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := wait(); n != 1 || err != nil {
		t.Errorf("begun before: %d, %v", n, err)
	}
	if err := appended(); err != nil {
		t.Errorf("appended before: %v", err)
	}
	if _, err := d.Write(insert(3, "c")); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("written after: %v", err)
	}
	if err := d.Append(insert(3, "c"))(); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("appended after: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if n := count(t, open(t, p, tableSchema)); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

// note appends to a list: doing it twice or in another order shows.
func note(v string) durable.Stmt {
	return durable.Stmt{Query: `INSERT INTO list (n, v) SELECT COALESCE(MAX(n), 0) + 1, ? FROM list`, Args: []any{v}}
}

func listed(t testing.TB, d durable.DB) (out []string, err error) {
	rows, err := d.Query(t.Context(), `SELECT v FROM list ORDER BY n`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// history compares a place that is appended to and written, and killed at any time, with a list.
type history struct {
	t     testing.TB
	place Place
	db    durable.DB
	want  []string
	waits []func() error
}

func testHistory(t *testing.T, histories int, place func(t testing.TB) Place) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(histories)) // it is a number
		t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
	}
	p := place(t)
	rapid.Check(t, func(r *rapid.T) {
		d, err := p.Open(listSchema)
		if err == nil {
			_, err = d.Write(durable.Stmt{Query: `DELETE FROM list`})
		}
		if err != nil {
			r.Fatal(err)
		}
		h := &history{t: t, place: p, db: d}
		defer func() {
			if err := h.db.Close(); err != nil {
				r.Error(err)
			}
			p = h.place
		}()
		r.Repeat(map[string]func(*rapid.T){"append": h.append, "write": h.write, "kill": h.kill, "": h.check})
	})
}

func (h *history) append(r *rapid.T) {
	v := strconv.Itoa(len(h.want)) + strings.Repeat("x", rapid.IntRange(0, 3000).Draw(r, "size"))
	h.want = append(h.want, v)
	start := h.db.Append
	if rapid.Bool().Draw(r, "patient") {
		start = h.db.AppendPatient
	}
	h.waits = append(h.waits, start(note(v), durable.Stmt{Query: `UPDATE list SET v = v WHERE n = ?`, Args: []any{int64(1)}}))
}

func (h *history) write(*rapid.T) {
	v := "w" + strconv.Itoa(len(h.want))
	h.want = append(h.want, v)
	wait := h.db.StartPatient(note(v))
	h.waits = append(h.waits, func() error { _, err := wait(); return err })
}

func (h *history) kill(r *rapid.T) {
	safe := len(h.want)
	if rapid.Bool().Draw(r, "wait") {
		for _, wait := range h.waits {
			if err := wait(); err != nil {
				r.Fatal(err)
			}
		}
	} else {
		safe -= len(h.waits)
	}
	old := h.db
	h.place = h.place.Kill(h.t)
	_ = old.Close() // it may have lost its server
	var err error
	if h.db, err = h.place.Open(listSchema); err != nil {
		r.Fatal(err)
	}
	got, err := listed(h.t, h.db)
	if err != nil || len(got) < safe || len(got) > len(h.want) || !slices.Equal(got, h.want[:len(got)]) {
		r.Fatalf("after a kill there are %d, of %d that were safe: %v", len(got), safe, err)
	}
	h.want, h.waits = got, nil
}

func (h *history) check(r *rapid.T) {
	if len(h.want) > 0 && h.want[len(h.want)-1][0] == 'w' { // reads do not wait for it
		return
	}
	if got, err := listed(h.t, h.db); err != nil || !slices.Equal(got, h.want) {
		r.Fatalf("%d of %d are there: %v", len(got), len(h.want), err)
	}
}

// envPlace tells a child of KillNine where to append.
const envPlace = "DURABLETEST_APPEND"

// KillNine kills a program that appends, after each of its first writes. The program is this test again, in a
// process of its own: at opens a place by its name.
func KillNine(t *testing.T, place func(t testing.TB) Place, at func(where string) Place) {
	if where := os.Getenv(envPlace); where != "" {
		appendForEver(t, at(where))
	}
	for acked := range 8 {
		p := place(t)
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), envPlace+"="+p.Where())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := -1
		for lines := bufio.NewScanner(out); last < acked*acked && lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "safe %d", &last); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		got, err := listed(t, open(t, p, listSchema))
		if err != nil || len(got) <= last {
			t.Errorf("%d are there, %d was safe: %v", len(got), last, err)
		}
		for i, v := range got {
			if v != strconv.Itoa(i) {
				t.Fatalf("%q at %d", v, i)
			}
		}
	}
}

func appendForEver(t *testing.T, p Place) {
	d := open(t, p, listSchema)
	for i := 0; ; i++ {
		if err := d.Append(note(strconv.Itoa(i)))(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("safe", i)
	}
}
