package miner_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// listening counts the TCP sockets of this process that listen.
func listening(t *testing.T) (n int) {
	t.Helper()
	own := map[string]bool{}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
			own[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue // no IPv6 here
		}
		for _, line := range strings.Split(string(b), "\n")[1:] {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && own[f[9]] { // LISTEN
				n++
			}
		}
	}
	return n
}

// TestOpensNoPort: a miner that is connected and has worked listens nowhere.
func TestOpensNoPort(t *testing.T) {
	d := newDesk(t, &fake{}, nil)
	o, _ := d.offer(1, nil)
	if last, _ := d.end(d.send(d.conn(), o)); last.Result == nil {
		t.Fatalf("report %+v, want a result", last)
	}
	if n := listening(t); n != 1 {
		t.Errorf("%d sockets listen, want the coordinator's alone", n)
	}
}
