package miner_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/mem"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/transport"
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

// behind is what the miner behind the router is told.
type behind struct {
	Key, Seal []byte
	Dial      string
}

const natEnv = "ESSAIM_TEST_BEHIND_NAT"

// TestBehindNAT: a miner in a network namespace of its own, behind a router that translates addresses and drops all that comes
// in by itself, serves its coordinator, and listens nowhere.
func TestBehindNAT(t *testing.T) {
	if told := os.Getenv(natEnv); told != "" {
		mineBehind(t, []byte(told))
		return
	}
	net := behindRouter(t)
	d := &desk{t: t, key: newKey(t), conns: make(chan *transport.Conn, 4), payer: newKey(t), reply: newSeal(t), hpke: newSeal(t), logs: new(lines)}
	d.listen("/ip4/" + net.here + "/tcp/0")
	told, err := json.Marshal(behind{newKey(t), d.hpke.Bytes(), d.host.Addrs()[0]})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command("ip", "netns", "exec", net.machine, os.Args[0], "-test.run=^TestBehindNAT$", "-test.v")
	cmd.Env = append(os.Environ(), natEnv+"="+string(told))
	cmd.Stdout, cmd.Stderr = &out, &out
	hold, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c := d.conn()
	for seq := range uint64(2) {
		o, _ := d.offer(seq+1, nil)
		if last, _ := d.end(d.send(c, o)); last.Result == nil {
			t.Errorf("report %+v, want a result", last)
		}
	}
	_ = hold.Close()
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "0 sockets listen") {
		t.Errorf("the miner: %v: %s", err, &out)
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

// mineBehind is a miner until its standard input ends.
func mineBehind(t *testing.T, told []byte) {
	var b behind
	if err := json.Unmarshal(told, &b); err != nil {
		t.Fatal(err)
	}
	key, err := seal.ParsePrivateKey(b.Seal)
	if err != nil {
		t.Fatal(err)
	}
	m, err := miner.New(miner.Config{
		Key: ed25519.PrivateKey(b.Key), Seal: key, ChainID: chainID, Coordinators: []string{b.Dial}, Engines: []engine.Engine{&fake{}},
		Blobs: mem.New(), Offers: []essaim.Offer{{Model: model, UnitPrice: price}}, Receipts: filepath.Join(t.TempDir(), "r.db"),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with who has started this
	fmt.Println(listening(t), "sockets listen")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
