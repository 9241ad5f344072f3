package coordinator_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/internal/durable/durabletest"
)

// TestOnPostgres runs all tests of this package again, in a process of its own, on a PostgreSQL server.
func TestOnPostgres(t *testing.T) {
	if coordinator.Server() != nil {
		return // this is that process
	}
	server, why, err := durabletest.Start()
	if err != nil {
		t.Fatal(err)
	}
	if server == nil {
		t.Skip(why)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	again := exec.Command(os.Args[0], "-test.count=1", "-test.timeout=9m")
	again.Env = append(os.Environ(), coordinator.EnvPostgres+"="+server.Dir())
	out, err := again.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
