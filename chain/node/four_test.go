package node_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/client"
	"github.com/essaim/essaim/chain/node"
)

// childHome, in the environment, makes the test binary a node: see TestMain.
const childHome = "ESSAIM_TEST_NODE_HOME"

// TestMain runs the tests, or one of the four nodes that TestFour starts.
func TestMain(m *testing.M) {
	if home := os.Getenv(childHome); home != "" {
		if err := child(home); err != nil {
			fmt.Fprintln(os.Stderr, "node:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child runs a node until its standard input ends: when the parent says so, or dies.
func child(home string) error {
	c := node.Config{Home: home, Listen: os.Getenv("LISTEN"), RPC: os.Getenv("RPC"), TimeoutCommit: 50 * time.Millisecond, TimeoutPropose: time.Second}
	if peers := os.Getenv("PEERS"); peers != "" {
		c.Peers = strings.Split(peers, ",")
	}
	n, err := node.Start(c)
	if err != nil {
		return err
	}
	fmt.Println("started")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, n.Stop())
}

// network is four validators, each a process of its own.
type network struct {
	homes, listen, rpc [4]string
	peers              [4]string
	procs              [4]*exec.Cmd
	leave              [4]io.Closer // ends a process in order
	ledger             [4]*client.Client
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	w := &network{}
	g := chain.Genesis{ChainID: chainID, Time: time.Now().Add(-time.Second)}
	var peers []string
	for i := range w.homes {
		w.homes[i] = filepath.Join(t.TempDir(), strconv.Itoa(i))
		w.listen[i], w.rpc[i] = freeAddress(t), freeAddress(t)
		id, err := node.Init(w.homes[i])
		if err != nil {
			t.Fatal(err)
		}
		w.peers[i] = strings.Join(peers, ",") // one dialler per pair: each node dials those before it
		peers = append(peers, id.Peer+"@"+w.listen[i])
		g.Validators = append(g.Validators, chain.Validator{Name: fmt.Sprint("v", i), Key: id.Validator, Beacon: id.Beacon, Operator: essaim.Address{byte(i + 1)}, Stake: 100 * essaim.AIM})
	}
	g.Accounts = []chain.Account{{Address: newSigner(t).Address(), Balance: 1000 * essaim.AIM}}
	doc, err := g.Doc()
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.homes {
		if err := doc.SaveAs(filepath.Join(w.homes[i], "config", "genesis.json")); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// run starts node i and waits until it says so.
func (w *network) run(t *testing.T, i int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := exec.Command(self)
	p.Env = append(os.Environ(), childHome+"="+w.homes[i], "LISTEN="+w.listen[i], "RPC="+w.rpc[i], "PEERS="+w.peers[i])
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if w.leave[i], err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	w.procs[i] = p
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "started\n" {
		t.Fatalf("node %d said %q (%v)", i, line, err)
	}
	if w.ledger[i], err = client.Dial("http://" + w.rpc[i]); err != nil {
		t.Fatal(err)
	}
}

// reach waits until the given nodes have committed a height, and agree on it.
func (w *network) reach(t *testing.T, height int64, nodes ...int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, i := range nodes {
		if err := w.ledger[i].WaitHeight(ctx, height); err != nil {
			t.Fatalf("node %d on the way to height %d: %v", i, height, err)
		}
	}
}

// sameBeacon checks that the nodes that answer have the same beacon, and that at least some
// contributed to it. The killed node is not asked.
func (w *network) sameBeacon(t *testing.T, height int64, nodes int) {
	t.Helper()
	var first client.Beacon
	for i := range nodes {
		b, err := w.ledger[i].Beacon(t.Context(), height)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = b
		}
		if b != first || b.Contributors < 3 || b.Validators != 4 || !b.Unpredictable {
			t.Fatalf("node %d has %+v, node 0 %+v", i, b, first)
		}
	}
}

func (w *network) height(t *testing.T, i int) int64 {
	t.Helper()
	h, err := w.ledger[i].Height(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestFour: of four validators one is killed. The chain goes on, a transaction goes
// through, and the killed one comes back on its home and finds it there.
func TestFour(t *testing.T) {
	w, by := newNetwork(t), newSigner(t)
	began := time.Now()
	for i := range w.homes {
		w.run(t, i)
	}
	w.reach(t, 3, 0, 1, 2, 3)
	t.Logf("four processes at height 3 after %v", time.Since(began))

	if err := w.procs[3].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	w.procs[3].Wait()
	w.reach(t, w.height(t, 0)+5, 0, 1, 2)
	to := essaim.Address{7}
	tx, err := w.ledger[1].Send(t.Context(), by, to, 42)
	if err != nil {
		t.Fatal(err)
	}
	w.reach(t, tx.Height, 0, 1, 2)
	w.sameBeacon(t, tx.Height, 3)
	killed := time.Now()
	w.run(t, 3)
	w.reach(t, tx.Height, 3)
	if got, err := w.ledger[3].Balance(t.Context(), to); err != nil || got != 42 {
		t.Fatal(got, err)
	}
	target := w.height(t, 0) + 5
	w.reach(t, target, 0, 1, 2, 3)
	w.sameBeacon(t, target, 4)
	t.Logf("the killed one caught up and validates after %v, all at height %d", time.Since(killed), target)
	for i, p := range w.procs { // beside peers that still run, which is where CometBFT alone panics
		if err := w.leave[i].Close(); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
}
