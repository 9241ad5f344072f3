package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/durabletest"
	"github.com/essaim/essaim/internal/durable/postgres"
	"github.com/essaim/essaim/node"
)

// TestMoveToADatabase kills a coordinator that has run on files, with a batch under way, and moves its books to PostgreSQL. The move is killed, too, once in the
// middle of its transaction and at other moments: there is everything in the database then, or nothing, and whatever is there, the files are not
// started on. In the end the key has what it had, the batch is finished, and the books are what the ledger says.
func TestMoveToADatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	server, why, err := durabletest.Start()
	if err != nil {
		t.Fatal(err)
	}
	if server == nil {
		t.Skip(why)
	}
	t.Cleanup(func() { _ = server.Stop() })
	home := t.TempDir()
	startProcess(ctx, t, home).kill() // makes the home and registers everybody
	p, coordinator := startApart(ctx, t, home)
	f := &fleet{process: p, home: home, db: server.Database(t)}
	dir := filepath.Join(home, "coordinator")
	user, batch := movedUser(ctx, t, home)
	if out, err := exec.Command("essaim", "node", "move", dir, "--db", f.db).CombinedOutput(); err == nil || !strings.Contains(string(out), "stop the coordinator") {
		t.Fatalf("moved while it runs: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "moved.json")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a move that was refused leaves its mark: %v", err)
	}
	coordinator.kill()
	before := keysIn(t, home)

	f.killInTheMiddle(ctx, t, dir)
	for range 4 {
		f.killAnywhere(ctx, t, dir)
	}
	out, err := exec.Command("essaim", "--home", home, "node", "move", dir, "--db", f.db).CombinedOutput()
	if (err != nil || !strings.Contains(string(out), "ok  ")) && !strings.Contains(string(out), "were moved to") { // before anybody could kill it
		t.Fatalf("moved: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	if n := f.count(ctx, t, "books.apikeys"); n != 1 {
		t.Fatalf("%d keys in the database", n)
	}
	if after := f.keys(t); !slices.Equal(after, before) {
		t.Errorf("keys were %+v and are %+v", before, after)
	}
	notOnFiles(t, home, dir)
	f.lateMark(t, dir)
	if out, err := exec.Command("essaim", "node", "move", dir, "--db", f.db).CombinedOutput(); err == nil || !strings.Contains(string(out), "were moved to") {
		t.Errorf("moved again: %v\n%s", err, out)
	}

	f.goesOn(ctx, t, dir, user, batch)
}

// goesOn runs an instance on what was moved.
func (f *fleet) goesOn(ctx context.Context, t *testing.T, dir string, user *keyUser, batch string) {
	t.Helper()
	cfg, err := node.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Coordinator.DB = f.db
	if err := cfg.Save(); err != nil {
		t.Fatal(err)
	}
	moved := startNode(t, dir)
	f.process = attach(ctx, t, f.home, 2)
	until(ctx, t, "the batch goes on in the database", func() (bool, error) {
		if moved.cmd.ProcessState != nil {
			return false, errors.New("it has ended")
		}
		return user.done(ctx, t, batch)
	})
	user.draw(ctx, t, 2, make(chan struct{}, 2))
	var spent essaim.Amount
	until(ctx, t, "nothing is reserved any more", func() (bool, error) {
		k := f.keys(t)[0]
		spent = k.Spent
		return k.Reserved == 0, nil
	})
	f.reconciled(t, spent)
	if err := errors.Join(moved.cmd.Process.Signal(syscall.SIGTERM), moved.cmd.Wait()); err != nil {
		t.Errorf("stopped: %v\n%s", err, moved.log)
	}
	for _, s := range f.reconciled(t, spent) {
		if s.Proof != "chain" {
			t.Errorf("session %s is %s", s.Session, s.State)
		}
	}
}

// movedUser makes a key on files, has it draw, and begins a batch, of which something is done.
func movedUser(ctx context.Context, t *testing.T, home string) (u *keyUser, batch string) {
	t.Helper()
	var made struct{ Secret string }
	if err := json.Unmarshal(said(t, home, "--json", "apikey", "create", "mover", "--limit", "0.5"), &made); err != nil {
		t.Fatal(err)
	}
	cfg, err := node.Load(filepath.Join(home, "coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	u = &keyUser{url: "http://" + cfg.Coordinator.HTTP, secret: made.Secret}
	u.draw(ctx, t, 3, make(chan struct{}, 3))
	batch = u.begin(ctx, t, 24)
	until(ctx, t, "some of the batch is done", func() (bool, error) {
		resp, b := u.ask(ctx, t, http.MethodGet, "/v1/batches/"+batch, nil)
		var x struct {
			Counts struct{ Completed int } `json:"request_counts"`
		}
		return resp != nil && json.Unmarshal(b, &x) == nil && x.Counts.Completed > 2, nil
	})
	return u, batch
}

// lateMark is a move that was killed when all was there, and before it could say so. The next one finds out, and says it to
// people and to programs.
func (f *fleet) lateMark(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "moved.json")
	again := func(more ...string) string {
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(strings.Replace(string(b), `"done": true`, `"done": false`, 1)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		notOnFiles(t, f.home, dir)
		return string(said(t, f.home, append(more, "node", "move", dir, "--db", f.db)...))
	}
	if out := again(); !strings.Contains(out, "an earlier try") {
		t.Errorf("moved again: %s", out)
	}
	if out := again("--json"); single(out) != nil || !strings.Contains(out, `"rows": null`) {
		t.Errorf("moved again: %s", out)
	}
}

func keysIn(t *testing.T, home string) []apikey.Key {
	t.Helper()
	var list struct{ Keys []apikey.Key }
	if err := json.Unmarshal(said(t, home, "--json", "apikey", "list"), &list); err != nil {
		t.Fatal(err)
	}
	return list.Keys
}

// notOnFiles makes sure that nothing works on the books in the folder.
func notOnFiles(t *testing.T, home, dir string) {
	t.Helper()
	for _, args := range [][]string{{"node", dir}, {"--home", home, "apikey", "list"}} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		out, err := exec.CommandContext(ctx, "essaim", args...).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), "the books of") {
			t.Errorf("%v on files that were moved: %v\n%s", args, err, out)
		}
	}
}

func (f *fleet) connect(ctx context.Context, t *testing.T) *postgres.DB {
	t.Helper()
	c, err := postgres.Open(ctx, postgres.Config{URL: f.db, Name: "test", Reads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// count is how many rows a table has; 0 if there is none.
func (f *fleet) count(ctx context.Context, t *testing.T, table string) (n int) {
	t.Helper()
	c := f.connect(ctx, t)
	defer c.Close()
	var there bool
	err := c.QueryRow(ctx, `SELECT to_regclass(?) IS NOT NULL`, table).Scan(&there)
	if err == nil && there {
		err = c.QueryRow(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// killInTheMiddle has a move wait within its transaction, when the log is copied already, and kills it there.
func (f *fleet) killInTheMiddle(ctx context.Context, t *testing.T, dir string) {
	t.Helper()
	c := f.connect(ctx, t)
	for _, q := range []string{
		`CREATE FUNCTION wait_here() RETURNS BOOLEAN AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN TRUE; END $$ LANGUAGE plpgsql`,
		`CREATE TABLE filled (id TEXT PRIMARY KEY CHECK (wait_here()))`, `SELECT pg_advisory_lock(42)`,
	} {
		if _, err := c.Write(durable.Stmt{Query: q}); err != nil {
			t.Fatal(err)
		}
	}
	move := exec.Command("essaim", "node", "move", dir, "--db", f.db)
	if err := move.Start(); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the move waits in its transaction", func() (waits bool, err error) {
		err = c.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'essaim-move' AND wait_event_type = 'Lock')`).Scan(&waits)
		return waits, err
	})
	_ = move.Process.Kill()
	_ = move.Wait()
	if _, err := c.Write(durable.Stmt{Query: `SELECT pg_advisory_unlock(42)`}); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the server has seen its end", func() (gone bool, err error) {
		err = c.QueryRow(ctx, `SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'essaim-move')`).Scan(&gone)
		return gone, err
	})
	for _, table := range []string{"tasks", "books.apikeys", "filled"} {
		if n := f.count(ctx, t, table); n != 0 {
			t.Errorf("%d rows of %s are left of a move that was killed", n, table)
		}
	}
	notOnFiles(t, f.home, dir)
}

// killAnywhere kills a move at a random moment, and makes sure that all is there or nothing.
func (f *fleet) killAnywhere(ctx context.Context, t *testing.T, dir string) {
	t.Helper()
	if f.count(ctx, t, "filled") > 0 {
		return // the last one was late enough
	}
	limit, cancel := context.WithTimeout(ctx, rand.N(250*time.Millisecond))
	defer cancel()
	out, err := exec.CommandContext(limit, "essaim", "node", "move", dir, "--db", f.db).CombinedOutput() // which is killed
	t.Logf("killed: %v %s", err, out)
	keys, tasks := f.count(ctx, t, "books.apikeys"), f.count(ctx, t, "tasks")
	if done := f.count(ctx, t, "filled"); keys != done || done == 1 && tasks == 0 {
		t.Errorf("a move that was killed leaves %d keys and %d tasks, done: %d", keys, tasks, done)
	}
	notOnFiles(t, f.home, dir)
}
