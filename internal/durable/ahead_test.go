package durable_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim/internal/durable"
)

const logSchema = `CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, v BLOB)`

// note appends to a list: doing it twice or in another order shows.
func note(v any) durable.Stmt {
	return durable.Stmt{Query: `INSERT INTO log (v) VALUES (?)`, Args: []any{v}}
}

func openLog(t testing.TB, path string) *durable.File {
	t.Helper()
	f, err := durable.Open(path, logSchema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func listed(t testing.TB, e fataler, f *durable.File) (out []string) {
	e.Helper()
	rows, err := f.Query(t.Context(), `SELECT v FROM log ORDER BY n`)
	if err != nil {
		e.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			e.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// kill is what a kill leaves: the files as they are.
func kill(t testing.TB, path string) string {
	t.Helper()
	dir := t.TempDir()
	// The log first: what it loses to the rows between two copies is in these.
	for _, suffix := range []string{"-ahead0", "-ahead1", "-wal", ""} {
		b, err := os.ReadFile(path + suffix)
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "t.db"+suffix), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "t.db")
}

// hold keeps the rows of a file as they are until it is let go.
func hold(t testing.TB, path string) (letGo func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	letGo = sync.OnceFunc(func() {
		if _, err := db.Exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
		_ = db.Close()
	})
	t.Cleanup(letGo)
	return letGo
}

// TestAppendedIsAsIfWritten compares files that are appended to and written, killed and opened
// by others at any time, with a list.
func TestAppendedIsAsIfWritten(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		path := filepath.Join(t.TempDir(), "t.db")
		var opened []*durable.File
		defer func() {
			for _, f := range opened {
				if err := f.Close(); err != nil {
					r.Error(err)
				}
			}
		}()
		open := func(path string) *durable.File {
			f, err := durable.Open(path, logSchema)
			if err != nil {
				r.Fatal(err)
			}
			opened = append(opened, f)
			return f
		}
		f := open(path)
		var want []string
		var waits []func() error
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				v := strconv.Itoa(len(want)) + strings.Repeat("x", rapid.IntRange(0, 3000).Draw(r, "size"))
				want = append(want, v)
				waits = append(waits, f.Append(note(v), durable.Stmt{Query: `UPDATE log SET v = v WHERE n = ?`, Args: []any{int64(1)}}))
			},
			"write": func(*rapid.T) {
				v := "w" + strconv.Itoa(len(want))
				want = append(want, v)
				f.StartPatient(note(v))
			},
			"wait": func(r *rapid.T) {
				for _, wait := range waits {
					if err := wait(); err != nil {
						r.Fatal(err)
					}
				}
				if _, err := f.Write(); err != nil && rapid.Bool().Draw(r, "in the rows") {
					r.Fatal(err)
				}
			},
			"other": func(r *rapid.T) {
				for _, wait := range waits {
					_ = wait()
				}
				other := open(path)
				got := listed(t, r, other)
				if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
					r.Fatalf("another program sees %d, %d were written", len(got), len(want))
				}
			},
			"kill": func(r *rapid.T) {
				for _, wait := range waits {
					_ = wait()
				}
				safe := len(want)
				for safe > 0 && want[safe-1][0] == 'w' { // not waited for
					safe--
				}
				path = kill(t, path)
				f, waits = open(path), nil
				got := listed(t, r, f)
				if len(got) < safe || !slices.Equal(got, want[:len(got)]) {
					r.Fatalf("after a kill there are %d, of %d that were safe", len(got), safe)
				}
				want = got
			},
			"": func(r *rapid.T) {
				if len(want) > 0 && want[len(want)-1][0] == 'w' { // reads do not wait for it
					return
				}
				if got := listed(t, r, f); !slices.Equal(got, want) {
					r.Fatalf("%d of %d are there", len(got), len(want))
				}
			},
		})
	})
}

// TestTheLatestSaysItAll compares rows that are overwritten, alone and along with others, and counted up by whoever looks at
// them, with a map: what is left out on the way into the rows is not missed, also after a kill.
func TestTheLatestSaysItAll(t *testing.T) {
	const schema = logSchema + `; CREATE TABLE IF NOT EXISTS newest (k TEXT PRIMARY KEY, v INTEGER NOT NULL, seen INTEGER NOT NULL DEFAULT 0)`
	type row struct{ v, seen int64 }
	rapid.Check(t, func(r *rapid.T) {
		path := filepath.Join(t.TempDir(), "t.db")
		f, err := durable.Open(path, schema)
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		want, count := map[string]row{}, 0
		var last func() error
		say := func(r *rapid.T) durable.Stmt {
			k, v := rapid.SampledFrom([]string{"a", "b"}).Draw(r, "k"), rapid.Int64Range(0, 9).Draw(r, "v")
			want[k] = row{v, want[k].seen}
			return durable.Stmt{
				Query: `INSERT INTO newest (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v`, Args: []any{k, v}, Latest: k,
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"alone": func(r *rapid.T) { last = f.Append(say(r)) },
			"along": func(r *rapid.T) {
				count++
				last = f.AppendPatient(note("x"), say(r), say(r))
			},
			"look": func(r *rapid.T) {
				for k, w := range want {
					want[k] = row{w.v, w.seen + 1}
				}
				wait := f.StartPatient(durable.Stmt{Query: `UPDATE newest SET seen = seen + 1`})
				last = func() error { _, err := wait(); return err }
			},
			"kill": func(r *rapid.T) {
				if last == nil {
					return
				}
				if err := last(); err != nil {
					r.Fatal(err)
				}
				if _, err := f.Write(); err != nil && rapid.Bool().Draw(r, "in the rows") {
					r.Fatal(err)
				}
				old := f
				path = kill(t, path)
				if f, err = durable.Open(path, schema); err != nil {
					r.Fatal(err)
				}
				_ = old.Close()
			},
			"": func(r *rapid.T) {
				if last == nil || rapid.Bool().Draw(r, "later") {
					return
				}
				if err := last(); err != nil {
					r.Fatal(err)
				}
				if n := len(listed(t, r, f)); n != count {
					r.Fatalf("%d of %d notes", n, count)
				}
				rows, err := f.Query(t.Context(), `SELECT k, v, seen FROM newest`)
				if err != nil {
					r.Fatal(err)
				}
				defer rows.Close()
				got := map[string]row{}
				for rows.Next() {
					var k string
					var w row
					if err := rows.Scan(&k, &w.v, &w.seen); err != nil {
						r.Fatal(err)
					}
					got[k] = w
				}
				if !maps.Equal(got, want) {
					r.Fatalf("%v, want %v", got, want)
				}
			},
		})
	})
}

// TestTheTailMayBeTornAndNothingElse cuts the log at each byte, and changes each.
func TestTheTailMayBeTornAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	f := openLog(t, path)
	letGo := hold(t, path)
	var ends []int
	for i := range 3 {
		if err := f.Append(note([]byte(nil)), note(1.5), note("v"+strconv.Itoa(i)))(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path + "-ahead0")
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, len(bytes.TrimRight(b, "\x00"))) // room is made with zeros
	}
	killed := kill(t, path)
	letGo()
	log, err := os.ReadFile(killed + "-ahead0")
	if err != nil {
		t.Fatal(err)
	}
	log = log[:ends[2]+30]
	try := func(log []byte) (n int, err error) {
		again := kill(t, killed)
		if err := os.WriteFile(again+"-ahead0", log, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := durable.Open(again, logSchema)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		err = f.QueryRow(t.Context(), `SELECT COUNT(*) FROM log`).Scan(&n)
		return n / 3, err
	}
	const step = 11 // each byte takes half a minute
	for cut := 0; cut <= len(log); cut += step {
		whole := 0
		for _, end := range ends {
			if cut >= end {
				whole++
			}
		}
		if got, err := try(log[:cut]); got != whole || err != nil {
			t.Errorf("cut to %d bytes of %v: %d writes are there, want %d: %v", cut, ends, got, whole, err)
		}
	}
	for at := 0; at < ends[1]; at += step {
		damaged := bytes.Clone(log)
		damaged[at] ^= 4
		if _, err := try(damaged); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
}

// TestTheFilesTakeTurns appends far more than a file of the log holds.
func TestTheFilesTakeTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	f := openLog(t, path)
	piece := strings.Repeat("x", 1<<20)
	for i := range 24 {
		if err := f.Append(note(strconv.Itoa(i) + piece))(); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if _, err := f.Write(); err != nil {
				t.Fatal(err)
			}
		}
		if i%4 != 3 {
			continue
		}
		again := openLog(t, kill(t, path))
		if got := listed(t, t, again); len(got) != i+1 || got[i][:len(got[i])-len(piece)] != strconv.Itoa(i) {
			t.Fatalf("%d of %d are there after a kill", len(got), i+1)
		}
	}
	for _, suffix := range []string{"-ahead0", "-ahead1"} {
		if info, err := os.Stat(path + suffix); err != nil || info.Size() > 9<<20 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

// TestWhatTheRowsRefuseIsNotForgotten appends what a row forbids, which nobody should.
func TestWhatTheRowsRefuseIsNotForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	f, err := durable.Open(path, schema)
	if err != nil {
		t.Fatal(err)
	}
	twice := durable.Stmt{Query: `INSERT INTO t (k, v) VALUES (?, ?)`, Args: []any{int64(1), "v"}}
	if err := f.Append(twice)(); err != nil {
		t.Fatal(err)
	}
	if err := f.Append(twice)(); err != nil {
		t.Fatal(err) // safe all the same
	}
	if _, err := f.Write(); err == nil {
		t.Error("it is not told")
	}
	if err := f.Append(twice)(); err == nil {
		t.Error("more is taken")
	}
	_ = f.Close()
	if _, err := durable.Open(path, schema); err == nil {
		t.Error("it is forgotten")
	}
}

// TestKillNine kills a program that appends, after each of the first writes.
func TestKillNine(t *testing.T) {
	if path := os.Getenv("DURABLE_APPEND"); path != "" {
		f := openLog(t, path)
		for i := 0; ; i++ {
			if err := f.Append(note(strconv.Itoa(i)))(); err != nil {
				t.Fatal(err)
			}
			fmt.Println("safe", i)
		}
	}
	for acked := range 12 {
		path := filepath.Join(t.TempDir(), "t.db")
		cmd := exec.Command(os.Args[0], "-test.run=^TestKillNine$")
		cmd.Env = append(os.Environ(), "DURABLE_APPEND="+path)
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
		got := listed(t, t, openLog(t, path))
		if len(got) <= last {
			t.Errorf("%d are there, %d was safe", len(got), last)
		}
		for i, v := range got {
			if v != strconv.Itoa(i) {
				t.Fatalf("%q at %d", v, i)
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	f := openLog(b, filepath.Join(b.TempDir(), "t.db"))
	b.ReportAllocs()
	b.SetParallelism(32)
	v := bytes.Repeat([]byte{7}, 4000)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f.Append(note(v))(); err != nil {
				b.Error(err)
			}
		}
	})
}

func TestTheFirstWhoOpensMayAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	count := func(f *durable.File) (n int) {
		t.Helper()
		if err := f.QueryRow(t.Context(), `SELECT count(*) FROM t`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var files []*durable.File
	enter := func(f *durable.File, n int) {
		t.Helper()
		if err := f.Enter(durable.Stmt{Query: `INSERT INTO t (n) VALUES (?)`, Args: []any{int64(n)}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 { // each opened beside those before, and the first closed in between
		f, err := durable.OpenFirst(path, `CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)`)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		for j, f := range files {
			enter(f, 100*i+10*j)
		}
		if i == 1 {
			if err := files[0].Close(); err != nil {
				t.Fatal(err)
			}
			files = files[1:]
		}
	}
	if n := count(files[1]); n < 4 { // the one that appends sees its own at once
		t.Errorf("%d rows", n)
	}
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	f, err := durable.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := count(f); n != 5 {
		t.Errorf("%d rows in the end, want 5", n)
	}
}
