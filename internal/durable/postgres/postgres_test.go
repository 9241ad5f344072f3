package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"

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
