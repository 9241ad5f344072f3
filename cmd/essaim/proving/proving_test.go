package proving

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim/devnet"
)

func run(t *testing.T, make func(*Shell) *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := make(&Shell{Stdout: &out, JSON: func() bool { return false }, No: func(err error) error { return err }, Start: start})
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// start runs a network until stop.
func start(ctx context.Context, cfg devnet.Config) (*devnet.Network, func() error, error) {
	n, err := devnet.Open(cfg)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop := func() error { cancel(); return <-done }
	select {
	case <-n.Ready():
		return n, stop, nil
	case err := <-done:
		cancel()
		return nil, nil, err
	}
}

// TestCommands: what make writes, check accepts, with a key file and without, and of nothing else.
func TestCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("a commitment to a whole model takes seconds")
	}
	dir := t.TempDir()
	picture, key := filepath.Join(dir, "apple.png"), filepath.Join(dir, "pixel.key")
	do := func(fails bool, args ...string) {
		t.Helper()
		if out, err := run(t, Command, args...); (err != nil) != fails {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	do(false, "make", "red apple", "--seed", "3", "--size", "64x64", "--out", picture)
	do(false, "key", "--out", key)
	do(false, "check", picture, "red apple", "--seed", "3", "--size", "64x64")
	do(false, "check", picture, "red apple", "--seed", "3", "--size", "64x64", "--key", key)
	do(true, "check", picture, "red apple", "--seed", "4", "--size", "64x64")
	do(true, "check", picture, "green apple", "--seed", "3", "--size", "64x64")
	do(true, "check", picture, "red apple", "--seed", "3", "--size", "64x64", "--chain", "essaim-1")
	do(true, "check", picture, "red apple", "--seed", "3", "--size", "small")
	do(true, "check", picture, "red apple", "--seed", "3", "--size", "64x64", "--key", picture)
	do(false, "make", "red apple", "--seed", "3", "--size", "64x64", "--mode", "succinct", "--out", picture)
	do(false, "check", picture, "red apple", "--seed", "3", "--size", "64x64", "--key", key)
	do(true, "check", picture, "red apple", "--seed", "4", "--size", "64x64")
	do(true, "make", "red apple", "--mode", "secret", "--out", picture)
	do(true, "make", "red apple", "--receipt", picture, "--out", picture)
}

// TestDemo plays the story.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("a commitment to a whole model takes seconds")
	}
	out, err := run(t, Demo)
	if err != nil || strings.Count(out, "  ok  ") != 10 {
		t.Errorf("%v\n%s", err, out)
	}
	t.Log(out)
}
