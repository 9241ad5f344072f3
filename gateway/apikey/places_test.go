package apikey_test

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/durabletest"
	"github.com/essaim/essaim/internal/durable/postgres"
)

// envPostgres names the PostgreSQL server on which this package's tests run instead of on files.
const envPostgres = "ESSAIM_TEST_POSTGRES"

// historiesOnPostgres are fewer than on files: each of their steps is several transactions.
const historiesOnPostgres = "8"

// server is that server; nil: they run on files.
var server *durabletest.Server

func TestMain(m *testing.M) {
	if dir := os.Getenv(envPostgres); dir != "" {
		server = durabletest.Attach(dir)
	}
	goleak.VerifyTestMain(m)
}

// TestOnPostgres runs all tests of this package again, in a process of its own, on a PostgreSQL server.
func TestOnPostgres(t *testing.T) {
	if server != nil {
		return // this is that process
	}
	own, why, err := durabletest.Start()
	if err != nil {
		t.Fatal(err)
	}
	if own == nil {
		t.Skip(why)
	}
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	again := exec.Command(os.Args[0], "-test.count=1", "-test.timeout=9m", "-rapid.checks="+historiesOnPostgres)
	again.Env = append(os.Environ(), envPostgres+"="+own.Dir())
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

var (
	placesMu sync.Mutex
	places   = map[string]string{}        // the spaces of the database that stand for files, by path
	names    = map[*apikey.Store]string{} // of instances
	database = sync.OnceValue(func() string { return server.Database(noT{}) })
)

// noT makes the one database of all tests.
type noT struct{ testing.TB }

func (noT) Helper()           {}
func (noT) Fatal(args ...any) { panic(args) }

const instances = `CREATE TABLE IF NOT EXISTS instances (id TEXT PRIMARY KEY);`

// spaceOf is the space that stands for a file.
func spaceOf(t testing.TB, path string) string {
	t.Helper()
	placesMu.Lock()
	defer placesMu.Unlock()
	if places[path] == "" {
		cfg := postgres.Config{URL: database(), Name: "test", Space: "t" + strings.ToLower(rand.Text()), Schema: apikey.SharedSchema, Own: apikey.SharedOwn + instances}
		for range 2 { // as each instance does
			db, err := postgres.Open(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		places[path] = cfg.Space
	}
	return places[path]
}

// openKeys opens books in a file, or, on a server, as one more instance.
func openKeys(t testing.TB, path string) *apikey.Store {
	t.Helper()
	if server != nil {
		return join(t, path)
	}
	s, err := apikey.OpenServing(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // some tests close it themselves
	return s
}

func join(t testing.TB, path string) *apikey.Store {
	t.Helper()
	me := "instance-" + rand.Text()
	write(t, path, durable.Stmt{Query: `INSERT INTO instances (id) VALUES (?)`, Args: []any{me}})
	db, err := postgres.Open(context.Background(), postgres.Config{
		URL: database(), Name: me, Space: spaceOf(t, path),
		Fence: &durable.Stmt{Query: `SELECT ` + apikey.Turn + `, 1 / (SELECT COUNT(*) FROM instances WHERE id = ?)`, Args: []any{me}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := apikey.OnShared(db, me)
	placesMu.Lock()
	names[s] = me
	placesMu.Unlock()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// write does to a place what no instance does.
func write(t testing.TB, path string, stmts ...durable.Stmt) {
	t.Helper()
	db, err := postgres.Open(context.Background(), postgres.Config{URL: database(), Name: "test", Space: spaceOf(t, path)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Write(stmts...)
	if later := db.Close(); err != nil || later != nil {
		t.Fatal(err, later)
	}
}

// giveUp ends an instance for the others, as they do it.
func giveUp(t testing.TB, path string, s *apikey.Store) {
	t.Helper()
	placesMu.Lock()
	me := names[s]
	placesMu.Unlock()
	durabletest.Cut(t, database(), me)
	write(t, path, durable.Stmt{Query: `DELETE FROM instances WHERE id = ?`, Args: []any{me}})
}

// contents is all that is stored of keys.
func contents(t testing.TB, path string) string {
	t.Helper()
	if server == nil {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	db, err := postgres.Open(context.Background(), postgres.Config{URL: database(), Name: "test", Space: spaceOf(t, path)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all string
	if err := db.QueryRow(t.Context(), `SELECT string_agg(CAST(a AS TEXT) || encode(a.hash, 'escape'), ' ') FROM apikeys AS a`).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// inWords says in PostgreSQL's words what tests do to books in SQLite's.
var inWords = strings.NewReplacer("zeroblob(32)", `decode(repeat('00', 32), 'hex')`, "GLOB 'key/*'", "LIKE 'key/%'")

// tamperShared does to the rows what no program of ours does.
func tamperShared(t testing.TB, path string, statements ...string) {
	t.Helper()
	all := []durable.Stmt{{Query: `ALTER TABLE entries DISABLE TRIGGER ALL`}}
	for _, q := range statements {
		all = append(all, durable.Stmt{Query: inWords.Replace(q)})
	}
	write(t, path, all...)
}
