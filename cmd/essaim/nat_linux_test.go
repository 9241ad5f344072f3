package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
)

// homeRouter makes a network of three: this machine, a router, and a machine behind it. The router translates addresses, and
// drops all that nobody behind it has begun.
const homeRouter = `
ip netns add $R; ip netns add $M
ip link add $R type veth peer name out netns $R
ip addr add $NET.1/30 dev $R; ip link set $R up
ip -n $R addr add $NET.2/30 dev out; ip -n $R link set out up
ip -n $R link add in type veth peer name eth netns $M
ip -n $R addr add $NET.5/30 dev in; ip -n $R link set in up
ip -n $M addr add $NET.6/30 dev eth; ip -n $M link set eth up; ip -n $M link set lo up; ip -n $M route add default via $NET.5
ip netns exec $R sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
ip netns exec $R nft -f - <<RULES
table ip home {
	chain leaving { type nat hook postrouting priority 100; oifname "out" masquerade; }
	chain passing { type filter hook forward priority 0; policy drop; iifname "in" accept; ct state established accept; }
	chain own { type filter hook input priority 0; policy drop; }
}
RULES
`

// TestBehindNAT: the program's miner, in a network namespace of its own behind a router that translates addresses and drops all
// that comes in by itself, registers, serves its coordinator, is paid for a picture, and
// listens for nobody but its own machine.
func TestBehindNAT(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	net := behindRouter(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	home := t.TempDir()
	up := &process{cmd: exec.Command("essaim", "up", "--verbose", "--home", home, "--http", net.here+":0", "--miners", "0"), log: new(bytes.Buffer)}
	up.cmd.Stdout, up.cmd.Stderr = up.log, up.log
	if err := up.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.kill)
	var i devnet.Info
	if err := term.Until(ctx, func() (ok bool, err error) { i, err = devnet.ReadInfo(home); return err == nil && i.Gateway != "", nil }); err != nil {
		t.Fatalf("the network does not come up: %v\n%s", err, up.log)
	}
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", net.machine, "essaim", "miner", "run", "--home", home, "--coordinator", i.Gateway, "--yes", "--plain")
	errs := new(bytes.Buffer)
	cmd.Stderr = errs
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	until := func(what string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), what) {
				return
			}
		}
		_ = cmd.Wait()
		t.Fatalf("the miner does not say %q: %s", what, errs)
	}
	until("coordinators=1")
	said(t, home, "imagine", "a red apple", "--out", filepath.Join(t.TempDir(), "apple.png"))
	until("paid=1")
	if n := listening(t, cmd.Process.Pid); n != 0 {
		t.Errorf("%d sockets listen for others in the miner's namespace", n)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // until it ends
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, errs)
	}
}

type router struct{ here, machine string }

// behindRouter makes the network, until the test ends.
func behindRouter(t *testing.T) router {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root makes network namespaces")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not on this machine, so there is no network namespace behind a router", tool)
		}
	}
	id := os.Getpid()
	r, m, net := fmt.Sprintf("esr%d", id), fmt.Sprintf("esm%d", id), fmt.Sprintf("10.231.%d", id%250)
	t.Cleanup(func() {
		for _, ns := range []string{r, m} {
			_ = exec.Command("ip", "netns", "del", ns).Run() // what could not be made is not there
		}
	})
	cmd := exec.Command("sh", "-eu", "-c", homeRouter)
	cmd.Env = append(os.Environ(), "R="+r, "M="+m, "NET="+net)
	if b, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(b), "not permitted") || strings.Contains(string(b), "Permission denied") {
			t.Skipf("this root may make no network namespaces: %s", b)
		}
		t.Fatalf("%v: %s", err, b)
	}
	return router{net + ".1", m}
}

// listening counts the TCP sockets that listen in the network namespace of a process for others than that machine itself, to
// which the page of the miner's owner answers.
func listening(t *testing.T, pid int) (n int) {
	t.Helper()
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "net", table))
		if os.IsNotExist(err) {
			continue // no IPv6 here
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n")[1:] {
			f := strings.Fields(line)
			if len(f) > 3 && f[3] == "0A" && !strings.HasPrefix(f[1], "0100007F:") { // LISTEN, 127.0.0.1
				n++
			}
		}
	}
	return n
}
