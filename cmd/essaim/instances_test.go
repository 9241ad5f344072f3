package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim"
	chainclient "github.com/essaim/essaim/chain/client"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/internal/durable/durabletest"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// name is what several instances are behind: a balancer that passes each request to the next one that is up, and cuts
// what is under way at one that is not.
type name struct {
	server *httptest.Server
	next   atomic.Uint64

	mu sync.Mutex
	up []*backend // guarded by mu
}

type backend struct {
	pass *httputil.ReverseProxy
	life context.Context
	down context.CancelFunc
}

func newName(t *testing.T, urls ...string) *name {
	n := &name{}
	for _, u := range urls {
		at, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		b := &backend{pass: httputil.NewSingleHostReverseProxy(at)}
		b.pass.FlushInterval = -1 // streams
		b.pass.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
		b.life, b.down = context.WithCancel(context.Background())
		n.up = append(n.up, b)
	}
	n.server = httptest.NewServer(n)
	t.Cleanup(func() {
		for _, b := range n.up {
			b.down()
		}
		n.server.Close()
	})
	return n
}

func (n *name) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	b := n.up[n.next.Add(1)%uint64(len(n.up))]
	n.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(b.life, cancel)()
	defer func() { _ = recover() }() // how a proxy says that its backend was cut
	b.pass.ServeHTTP(w, r.WithContext(ctx))
}

// drop takes an instance out.
func (n *name) drop(i int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up[i].down()
	n.up = append(n.up[:i:i], n.up[i+1:]...)
}

// freePort is one that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// instances makes folders of a coordinator's instances from that of one, and says where they listen.
func instances(t *testing.T, home, db string, n int) (dirs, urls []string) {
	t.Helper()
	one, err := node.Load(filepath.Join(home, "coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := wallet.LoadNodeKeys(one.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		cfg, c := one, *one.Coordinator
		cfg.Dir, cfg.Coordinator = filepath.Join(home, fmt.Sprintf("instance-%d", i+1)), &c
		c.HTTP, c.Listen, c.DB = freePort(t), []string{"/ip4/127.0.0.1/tcp/0"}, db
		if err := cfg.Save(); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"node.key", "hpke.key"} {
			b, err := os.ReadFile(filepath.Join(one.Dir, file))
			if err == nil {
				err = os.WriteFile(filepath.Join(cfg.Dir, file), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if same, err := wallet.LoadNodeKeys(cfg.Dir); err != nil || same.ID() != key.ID() {
			t.Fatalf("another key: %v", err)
		}
		dirs, urls = append(dirs, cfg.Dir), append(urls, "http://"+c.HTTP)
	}
	return dirs, urls
}

// TestInstancesOfOneName runs three instances of a coordinator on one database, each a process, behind one name. While people draw
// through it one is killed and another one stopped for so long that it is given up. Every picture is drawn all the same, each is
// paid once, no uaim is lost, and the one that was stopped ends by itself when it goes on.
func TestInstancesOfOneName(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	server, why, err := durabletest.Start()
	if err != nil {
		t.Fatal(err)
	}
	if server == nil {
		t.Skip(why)
	}
	t.Cleanup(func() { _ = server.Stop() })
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	home := t.TempDir()
	startProcess(ctx, t, home).kill() // makes the home and registers everybody
	dirs, urls := instances(t, home, server.Database(t), 3)
	startNode(t, filepath.Join(home, "validator"))
	info, err := devnet.ReadInfo(home)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{}
	if p.chain, err = chainclient.Dial(info.Ledger); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the ledger answers", func() (bool, error) {
		_, err := p.chain.Height(ctx)
		return err == nil, nil
	})
	var runs []*process
	for _, dir := range dirs {
		runs = append(runs, startNode(t, dir))
	}
	peers := peersOf(ctx, t, urls)
	for _, miner := range []string{"miner-1", "miner-2"} {
		mineFor(t, filepath.Join(home, miner), peers)
	}
	n := newName(t, urls...)
	if p.api, err = client.Dial(n.server.URL); err != nil {
		t.Fatal(err)
	}
	for _, u := range urls {
		one, err := client.Dial(u)
		if err != nil {
			t.Fatal(err)
		}
		until(ctx, t, "every miner is at every instance", func() (bool, error) {
			info, err := one.Info(ctx)
			if err != nil || info.Miners < 2 {
				return false, nil
			}
			p.model = info.Models[0]
			return true, nil
		})
	}
	account, err := wallet.Open(filepath.Join(home, "keys")).Load(devnet.User, "")
	if err != nil {
		t.Fatal(err)
	}
	supply := supplyOf(ctx, t, p)
	drawn := make(chan struct{}, 1000)
	var group sync.WaitGroup
	sessions := make([]*client.Session, 4)
	paid := make([]essaim.Amount, len(sessions))
	const each = 12
	for i := range sessions {
		if sessions[i], err = client.Open(ctx, configOf(ctx, t, p, account), essaim.AIM); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range sessions {
		group.Go(func() {
			for k := range each {
				picture, err := s.Draw(ctx, client.Request{
					Model: p.model.Digest, Prompt: "a red apple", Seed: uint64(i*each + k), Width: 64, Height: 64, Deadline: time.Now().Add(4 * time.Minute),
				}, nil)
				if err != nil {
					t.Errorf("session %d, picture %d: %v", i, k, err)
					return
				}
				paid[i] += picture.Receipt.Price
				drawn <- struct{}{}
			}
		})
	}
	wait := func(pictures int) {
		for range pictures {
			select {
			case <-drawn:
			case <-ctx.Done():
				t.Error("nothing is drawn any more")
				return
			}
		}
	}
	wait(6)
	runs[0].kill()
	n.drop(0)
	wait(6)
	if err := runs[1].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	n.drop(0)
	wait(len(sessions)*each - 12)
	group.Wait()
	if t.Failed() {
		t.Fatalf("the instance that is left says:\n%s", runs[2].log)
	}
	if err := runs[1].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := runs[1].cmd.Wait(); err == nil {
		t.Errorf("an instance that was given up has ended well:\n%s", runs[1].log)
	}
	for i, s := range sessions {
		until(ctx, t, "the session is settled", func() (bool, error) {
			_, err := s.Close(ctx)
			return err == nil, nil
		})
		got, err := p.chain.Settlement(ctx, s.Record().ID)
		if err != nil || got.Paid != paid[i] || got.Tasks != each {
			t.Errorf("session %d: settled %d tasks for %s (%v), drawn were %d for %s", i, got.Tasks, got.Paid, err, each, paid[i])
		}
	}
	if got := supplyOf(ctx, t, p); got != supply {
		t.Errorf("the supply was %s and is %s", supply, got)
	}
}

// peersOf waits until each instance knows all others, and lists where miners reach them.
func peersOf(ctx context.Context, t *testing.T, urls []string) (peers []string) {
	t.Helper()
	for _, u := range urls {
		one, err := client.Dial(u)
		if err != nil {
			t.Fatal(err)
		}
		until(ctx, t, "the instances know each other", func() (bool, error) {
			info, err := one.Info(ctx)
			peers = info.PeerAddrs
			return err == nil && len(peers) == len(urls), nil
		})
	}
	return peers
}

// mineFor runs a miner for all of a coordinator's instances.
func mineFor(t *testing.T, dir string, peers []string) {
	t.Helper()
	cfg, err := node.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Miner.Coordinators, cfg.Miner.Pace = peers, node.Duration(20*time.Millisecond)
	if err := cfg.Save(); err != nil {
		t.Fatal(err)
	}
	startNode(t, dir)
}
