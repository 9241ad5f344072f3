package postgres_test

import (
	"context"
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

// TestTablesAndWriters: tables are made though a program that writes to them locks them in another order, and the
// server undoes the making of them.
func TestTablesAndWriters(t *testing.T) {
	if server == nil {
		t.Skip(why)
	}
	url := server.Database(t)
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	do := func(conn *pgx.Conn, query string) {
		if _, err := conn.Exec(t.Context(), query); err != nil {
			t.Error(err)
		}
	}
	looker, gate, writer := connect(), connect(), connect()
	waits := func(what string) {
		for n := 0; n == 0; {
			if err := looker.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND `+what).Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
	}
	do(looker, "CREATE TABLE a (n INTEGER); CREATE TABLE b (n INTEGER)")
	do(gate, "SELECT pg_advisory_lock(1)")
	do(writer, "SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE b IN ROW EXCLUSIVE MODE") // the other one is to be undone
	made := make(chan error, 1)
	go func() {
		db, err := postgres.Open(context.Background(), postgres.Config{URL: url, Own: "LOCK TABLE a IN SHARE MODE; SELECT pg_advisory_xact_lock(1); CREATE INDEX IF NOT EXISTS b_n ON b (n)"})
		if err == nil {
			err = db.Close()
		}
		made <- err
	}()
	waits("locktype = 'advisory'")
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		do(writer, "LOCK TABLE a IN ROW EXCLUSIVE MODE; COMMIT")
	}()
	waits("locktype = 'relation'")
	do(gate, "SELECT pg_advisory_unlock(1)")
	<-wrote
	if err := <-made; err != nil {
		t.Error(err)
	}
}
