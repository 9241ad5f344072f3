package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
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

// name is what several instances are behind: a balancer that passes each request to the next one that is up, asks another one
// where the first does not answer at all, and cuts what is under way at one that is not up any more.
type name struct {
	server *httptest.Server
	next   atomic.Uint64

	mu sync.Mutex
	up []*backend // guarded by mu
}

type backend struct {
	host string
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
		b := &backend{host: at.Host}
		b.life, b.down = context.WithCancel(context.Background())
		n.up = append(n.up, b)
	}
	n.server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.Host = "http", r.In.Host },
		Transport: n, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
	})
	t.Cleanup(func() {
		for _, b := range n.up {
			b.down()
		}
		n.server.Close()
	})
	return n
}

// RoundTrip asks one instance after the other until one answers.
func (n *name) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	var err error
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	for range 4 {
		n.mu.Lock()
		b := n.up[n.next.Add(1)%uint64(len(n.up))]
		n.mu.Unlock()
		ctx, cancel := context.WithCancel(r.Context()) // which ends with the answer
		context.AfterFunc(b.life, cancel)
		out := r.Clone(ctx)
		if out.URL.Host = b.host; r.Body != nil {
			out.Body = io.NopCloser(bytes.NewReader(body))
		}
		var resp *http.Response
		if resp, err = http.DefaultTransport.RoundTrip(out); err == nil || r.Context().Err() != nil {
			return resp, err
		}
	}
	return nil, err
}

// drop takes an instance out.
func (n *name) drop(i int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up[i].down()
	n.up = append(n.up[:i:i], n.up[i+1:]...)
}

// freePort is an address for a process that is told where to listen.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		// Below what systems give to whoever wants any port: one of those may be somebody else's before the process listens that it is for.
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
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

// fleet is several instances of a coordinator on one database, each a process, behind one name, with a ledger and miners.
type fleet struct {
	*process // what the name answers
	home     string
	db       string
	urls     []string
	runs     []*process
	name     *name
}

func newFleet(ctx context.Context, t *testing.T, n int, change ...func(*fleet, *node.Coordinator)) *fleet {
	t.Helper()
	server, why, err := durabletest.Start()
	if err != nil {
		t.Fatal(err)
	}
	if server == nil {
		t.Skip(why)
	}
	t.Cleanup(func() { _ = server.Stop() })
	f := &fleet{process: &process{}, home: t.TempDir()}
	startProcess(ctx, t, f.home).kill() // makes the home and registers everybody
	var dirs []string
	f.db = server.Database(t)
	dirs, f.urls = instances(t, f.home, f.db, n)
	for _, dir := range dirs {
		cfg, err := node.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range change {
			c(f, cfg.Coordinator)
		}
		if err := cfg.Save(); err != nil {
			t.Fatal(err)
		}
	}
	startNode(t, filepath.Join(f.home, "validator"))
	info, err := devnet.ReadInfo(f.home)
	if err != nil {
		t.Fatal(err)
	}
	if f.chain, err = chainclient.Dial(info.Ledger); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the ledger answers", func() (bool, error) {
		_, err := f.chain.Height(ctx)
		return err == nil, nil
	})
	for _, dir := range dirs {
		f.runs = append(f.runs, startNode(t, dir))
	}
	first := firstOf(ctx, t, f.urls)
	for _, miner := range []string{"miner-1", "miner-2"} {
		mineFor(t, filepath.Join(f.home, miner), first)
	}
	f.name = newName(t, f.urls...)
	if f.api, err = client.Dial(f.name.server.URL); err != nil {
		t.Fatal(err)
	}
	for _, u := range f.urls {
		one, err := client.Dial(u)
		if err != nil {
			t.Fatal(err)
		}
		until(ctx, t, "every miner is at every instance", func() (bool, error) {
			info, err := one.Info(ctx)
			if err != nil || info.Miners < 2 {
				return false, nil
			}
			f.model = info.Models[0]
			return true, nil
		})
	}
	return f
}

// TestInstancesOfOneName runs three instances behind one name. While people draw
// through it one is killed and another one stopped for so long that it is given up. Every picture is drawn all the same, each is
// paid once, no uaim is lost, and the one that was stopped ends by itself when it goes on. The miners' configuration has the one that is killed, and it alone:
// that told them of the others.
func TestInstancesOfOneName(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	f := newFleet(ctx, t, 3)
	account := userOf(t, f.home)
	supply := supplyOf(ctx, t, f.process)
	drawn := make(chan struct{}, 1000)
	var group sync.WaitGroup
	sessions := make([]*client.Session, 4)
	paid := make([]essaim.Amount, len(sessions))
	const each = 12
	for i := range sessions {
		var err error
		if sessions[i], err = client.Open(ctx, configOf(ctx, t, f.process, account), essaim.AIM); err != nil {
			t.Fatal(err)
		}
		group.Go(func() { paid[i] = drawSome(ctx, t, f, sessions[i], uint64(i)*each, each, drawn) })
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
	f.runs[0].kill()
	f.name.drop(0)
	wait(6)
	if err := f.runs[1].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f.name.drop(0)
	wait(len(sessions)*each - 12)
	group.Wait()
	if t.Failed() {
		t.Fatalf("the instance that is left says:\n%s", f.runs[2].log)
	}
	if err := f.runs[1].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := f.runs[1].cmd.Wait(); err == nil {
		t.Errorf("an instance that was given up has ended well:\n%s", f.runs[1].log)
	}
	for i, s := range sessions {
		until(ctx, t, "the session is settled", func() (bool, error) {
			_, err := s.Close(ctx)
			return err == nil, nil
		})
		got, err := f.chain.Settlement(ctx, s.Record().ID)
		if err != nil || got.Paid != paid[i] || got.Tasks != each {
			t.Errorf("session %d: settled %d tasks for %s (%v), drawn were %d for %s", i, got.Tasks, got.Paid, err, each, paid[i])
		}
	}
	if got := supplyOf(ctx, t, f.process); got != supply {
		t.Errorf("the supply was %s and is %s", supply, got)
	}
}

// drawSome draws pictures in a session, one after the other, and adds up what they cost.
func drawSome(ctx context.Context, t *testing.T, f *fleet, s *client.Session, from uint64, n int, drawn chan<- struct{}) (paid essaim.Amount) {
	for k := range uint64(n) {
		picture, err := s.Draw(ctx, client.Request{
			Model: f.model.Digest, Prompt: "a red apple", Seed: from + k, Width: 64, Height: 64, Deadline: time.Now().Add(4 * time.Minute),
		}, nil)
		if err != nil {
			t.Errorf("picture %d: %v", from+k, err)
			return paid
		}
		paid += picture.Receipt.Price
		drawn <- struct{}{}
	}
	return paid
}

// firstOf waits until each instance knows all others, and says where miners reach the first one.
func firstOf(ctx context.Context, t *testing.T, urls []string) (first string) {
	t.Helper()
	for _, u := range urls {
		one, err := client.Dial(u)
		if err != nil {
			t.Fatal(err)
		}
		until(ctx, t, "the instances know each other", func() (bool, error) {
			info, err := one.Info(ctx)
			if err == nil && first == "" {
				first = info.PeerAddrs[0] // its own comes first
			}
			return err == nil && len(info.PeerAddrs) == len(urls), nil
		})
	}
	return first
}

// mineFor runs a miner whose configuration has one of a coordinator's instances: that one tells of the others.
func mineFor(t *testing.T, dir, peer string) {
	t.Helper()
	cfg, err := node.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Miner.Coordinators, cfg.Miner.Pace = []string{peer}, node.Duration(20*time.Millisecond)
	if err := cfg.Save(); err != nil {
		t.Fatal(err)
	}
	startNode(t, dir)
}
