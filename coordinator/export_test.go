package coordinator

import (
	"context"
	"os"
	"time"

	"github.com/essaim/essaim/coordinator/cluster"
	"github.com/essaim/essaim/internal/durable/durabletest"
)

// EnvPostgres names the PostgreSQL server on which this package's tests run instead of on files.
const EnvPostgres = "ESSAIM_TEST_POSTGRES"

// Server is that server; nil: they run on files.
func Server() *durabletest.Server {
	if dir := os.Getenv(EnvPostgres); dir != "" {
		return durabletest.Attach(dir)
	}
	return nil
}

// Join makes an instance for tests.
func Join(db, url string, beat time.Duration) (*cluster.Member, error) {
	return cluster.Join(context.Background(), cluster.Config{DB: db, URL: url, Beat: beat})
}
