package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/durabletest"
	"github.com/essaim/essaim/internal/durable/postgres"
)

// server is nil where PostgreSQL is not installed, for the reason why.
var (
	server *durabletest.Server
	why    string
)

func TestMain(m *testing.M) {
	if os.Getenv("DURABLETEST_APPEND") != "" { // a child has its parent's
		os.Exit(m.Run())
	}
	var err error
	if server, why, err = durabletest.Start(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if server != nil {
			if err := server.Stop(); err != nil {
				fmt.Println(err)
				code = 1
			}
		}
		os.Exit(code)
	}))
}

// place is a database of the server.
type place string

func database(t testing.TB) durabletest.Place {
	t.Helper()
	if server == nil {
		t.Skip(why)
	}
	return place(server.Database(t))
}

const connections = "durabletest"

func (p place) Where() string { return string(p) }

func (p place) Open(schema string) (durable.DB, error) {
	return postgres.Open(context.Background(), postgres.Config{URL: string(p), Name: connections, Schema: schema})
}

// Kill is a cut of all connections: the server undoes what it has not committed.
func (p place) Kill(t testing.TB) durabletest.Place {
	t.Helper()
	durabletest.Cut(t, string(p), connections)
	return p
}

func TestSuite(t *testing.T) { durabletest.Run(t, 12, database) }

func TestKillNine(t *testing.T) {
	if server == nil && os.Getenv("DURABLETEST_APPEND") == "" {
		t.Skip(why)
	}
	durabletest.KillNine(t, database, func(where string) durabletest.Place { return place(where) })
}

// tangle is a database with tables a, b and gate; looker waits until somebody waits there, and the locks of others are theirs alone to give up.
type tangle struct {
	t      *testing.T
	url    string
	looker *pgx.Conn
}

func newTangle(t *testing.T) *tangle {
	t.Helper()
	if server == nil {
		t.Skip(why)
	}
	x := &tangle{t: t, url: server.Database(t)}
	x.looker = x.connect()
	x.do(x.looker, "CREATE TABLE a (n INTEGER); CREATE TABLE b (n INTEGER); CREATE TABLE gate (n INTEGER)")
	return x
}

// connect is another program, which is never the one that the server undoes.
func (x *tangle) connect() *pgx.Conn {
	x.t.Helper()
	conn, err := pgx.Connect(x.t.Context(), x.url)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	x.do(conn, "SET deadlock_timeout = '1h'")
	return conn
}

func (x *tangle) do(conn *pgx.Conn, query string) {
	if _, err := conn.Exec(x.t.Context(), query); err != nil {
		x.t.Error(err)
	}
}

// waits returns when somebody waits for a table.
func (x *tangle) waits(table string) {
	x.t.Helper()
	for n := 0; n == 0; {
		if err := x.looker.QueryRow(x.t.Context(), `SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass`, table).Scan(&n); err != nil {
			x.t.Fatal(err)
		}
	}
}

// undone has the server undo what do has begun: it locks b, then the gate, then a. It returns when do does.
func (x *tangle) undone(mode string, do func() error) error {
	x.t.Helper()
	gate, other := x.connect(), x.connect()
	x.do(gate, "BEGIN; LOCK TABLE gate")
	x.do(other, "BEGIN; LOCK TABLE a IN "+mode)
	done := make(chan error, 1)
	go func() { done <- do() }()
	x.waits("gate")
	went := make(chan struct{})
	go func() {
		defer close(went)
		x.do(other, "LOCK TABLE b IN "+mode+"; COMMIT")
	}()
	x.waits("b")
	x.do(gate, "COMMIT")
	<-went
	return <-done
}

// TestTablesAndWriters: tables are made though a program that writes to them locks them in another order, and the
// server undoes the making of them.
func TestTablesAndWriters(t *testing.T) {
	x := newTangle(t)
	err := x.undone("ROW EXCLUSIVE MODE", func() error {
		const own = "LOCK TABLE b IN SHARE MODE; LOCK TABLE gate; CREATE INDEX IF NOT EXISTS a_n ON a (n)"
		db, err := postgres.Open(context.Background(), postgres.Config{URL: x.url, Own: own})
		if err != nil {
			return err
		}
		return db.Close()
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWritersAndTables: nothing is lost when it is the write that the server undoes, before it has come to the fence.
func TestWritersAndTables(t *testing.T) {
	x := newTangle(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: x.url, Fence: &durable.Stmt{Query: "SELECT 1"}})
	if err != nil {
		t.Fatal(err)
	}
	err = x.undone("SHARE MODE", func() error {
		_, err := db.Write(durable.Stmt{Query: "INSERT INTO b VALUES (1)"}, durable.Stmt{Query: "INSERT INTO gate VALUES (1)"}, durable.Stmt{Query: "INSERT INTO a VALUES (1)"})
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Error(err)
	}
}
