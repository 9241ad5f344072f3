package devnet

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/node"
)

// TestPortsAreHeld: nobody gets a port of a network that is about to start, so that several can
// be started at once; and they are free again when it will not.
func TestPortsAreHeld(t *testing.T) {
	n, err := Open(Config{Home: t.TempDir(), Serve: true, HTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{n.ports.http, n.ports.rpc, n.ports.own}
	for _, at := range all {
		if l, err := net.Listen("tcp", at); err == nil {
			t.Errorf("%s is free", at)
			l.Close()
		}
	}
	_, err = Open(Config{Home: t.TempDir(), Serve: true, HTTP: n.ports.http})
	if essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("a second network on its ports: %v", err)
	}
	n.ports.free(httpPort, rpcPort, peersPort, ownPort)
	for _, at := range all {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}

// TestPortsOfAFailure: a home that cannot be used holds no ports.
func TestPortsOfAFailure(t *testing.T) {
	p, err := choosePorts(Config{Serve: true, HTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	at := p.http
	p.free(httpPort, rpcPort, peersPort, ownPort)
	if _, err := Open(Config{Home: "/dev/null/x", Serve: true, HTTP: at}); err == nil {
		t.Fatal("there is a home in /dev/null")
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestURL(t *testing.T) {
	for at, want := range map[string]string{
		"": "", "127.0.0.1:8420": "http://127.0.0.1:8420", "192.0.2.7:1": "http://192.0.2.7:1",
		"0.0.0.0:8420": "http://127.0.0.1:8420", "[::]:8420": "http://[::1]:8420",
	} {
		if got := url(at); got != want {
			t.Errorf("%q is at %q, want %q", at, got, want)
		}
	}
}

// TestStopSaysOnceWhatFailed, and leaves out what follows from stopping.
func TestStopSaysOnceWhatFailed(t *testing.T) {
	var parts stack
	cause := errors.New("the disk is full")
	parts.begin(t.Context(), func(context.Context) error { return cause })
	parts.begin(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	if err := parts.stop(parts.wait(t.Context())); err == nil || err.Error() != cause.Error() {
		t.Errorf("%v", err)
	}
}

// TestWhyANodeEnds: of a coordinator whose gateway cannot listen, that is what is told.
func TestWhyANodeEnds(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := start(t, Config{Miners: 0})
	cfg := r.coordinatorConfig()
	cfg.Dir, cfg.Coordinator.HTTP, cfg.Coordinator.Faucet = filepath.Join(t.TempDir(), "another"), taken.Addr().String(), 0
	o := r.options()
	n, err := node.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("%v", err)
	}
}
