//go:build unix

package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"
)

// TestMain is the program, if the first argument is one of its commands, and else runs the tests.
func TestMain(m *testing.M) {
	commands := map[string]func(context.Context, []string) error{
		"run": run, "overload": overload, "engine": serveEngine, "proxy": serveProxy, "node": serveNode, "miner": serveMiner,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if dir := os.Getenv("PROFILES"); dir != "" { // where each process leaves a CPU profile, and what it keeps in memory
		go keepHeap(fmt.Sprintf("%s/heap-%s-%d.pprof", dir, os.Args[1], os.Getpid()))
		f, err := os.Create(fmt.Sprintf("%s/%s-%d.pprof", dir, os.Args[1], os.Getpid()))
		if err == nil && pprof.StartCPUProfile(f) == nil {
			defer f.Close()
			defer pprof.StopCPUProfile()
		}
	}
	if err := commands[os.Args[1]](ctx, os.Args[2:]); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// keepHeap writes down what is in memory, again and again.
func keepHeap(path string) {
	for range time.Tick(5 * time.Second) {
		f, err := os.Create(path)
		if err != nil {
			return
		}
		_ = pprof.WriteHeapProfile(f)
		_ = f.Close()
	}
}
