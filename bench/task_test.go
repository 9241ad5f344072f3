//go:build unix

package bench

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bench/books"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/blob/dir"
	"github.com/essaim/essaim/blob/pack"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/gateway"
	"github.com/essaim/essaim/internal/heap"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/seal"
)

const chainID = "essaim-bench"

// world is a coordinator with its gateway and miners, each with real connections,
// files and signatures.
type world struct {
	books       *books.Books
	coordinator *coordinator.Coordinator
	url         string
}

func newKey(b *testing.B) ed25519.PrivateKey {
	b.Helper()
	_, k, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// likeTheProgram has the memory of this one collected as that of the program is.
var likeTheProgram = sync.OnceFunc(func() { heap.Floor(heap.Enough) })

func newWorld(b *testing.B, miners int) *world {
	b.Helper()
	likeTheProgram()
	w := &world{books: newBooks()}
	peer := w.coordinate(b, newKey(b))
	for range miners {
		hpke, err := seal.GenerateKey()
		if err != nil {
			b.Fatal(err)
		}
		w.mine(b, newKey(b), hpke, peer)
	}
	w.await(b, miners)
	return w
}

func newBooks() *books.Books {
	return books.New(essaim.Model{Digest: enginetest.FakeModel().Digest, Kind: essaim.KindImage})
}

// coordinate begins a coordinator with its gateway, and returns where miners reach it.
func (w *world) coordinate(b *testing.B, key ed25519.PrivateKey) (peer string) {
	b.Helper()
	w.enterCoordinator(key)
	blobs := openBlobs(b)
	c, err := coordinator.New(coordinator.Config{
		Key: key, ChainID: chainID, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Ledger: w.books, Blobs: blobs,
		Log: filepath.Join(b.TempDir(), "log.db"), MaxTasks: 1 << 20, ExpiryAhead: 1 << 40,
	})
	if err != nil {
		b.Fatal(err)
	}
	serve(b, c.Run)
	<-c.Ready()
	info, err := c.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Coordinator: c, Blobs: blobs})
	if err != nil {
		b.Fatal(err)
	}
	s := httptest.NewServer(g.Handler())
	b.Cleanup(s.Close)
	w.coordinator, w.url = c, s.URL
	return info.PeerAddrs[0]
}

// await waits for miners to be connected.
func (w *world) await(b *testing.B, miners int) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		if info, err := w.coordinator.Info(b.Context()); err != nil || info.Miners == miners {
			return
		}
	}
}

func (w *world) enterCoordinator(key ed25519.PrivateKey) {
	w.books.Enter(essaim.Actor{Role: essaim.RoleCoordinator, NodeKey: essaim.NodeKeyOf(key)})
}

func offers() []essaim.Offer {
	return []essaim.Offer{{Model: enginetest.FakeModel().Digest, UnitPrice: 1}}
}

func (w *world) enterMiner(key ed25519.PrivateKey, hpke *seal.PrivateKey) {
	w.books.Enter(essaim.Actor{Role: essaim.RoleMiner, NodeKey: essaim.NodeKeyOf(key), HPKEKey: hpke.PublicKey(), Offers: offers()})
}

// openBlobs is a store as a node has it.
func openBlobs(b *testing.B) blob.Store {
	b.Helper()
	root := b.TempDir()
	large, err := dir.Open(root)
	if err != nil {
		b.Fatal(err)
	}
	s, err := pack.Open(filepath.Join(root, "small.db"), large)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// idle is an engine that has done its work before: it hands out one result.
type idle struct {
	enginetest.Fake
	result engine.Result
}

func (e *idle) Run(context.Context, engine.Request, func(engine.Progress)) (engine.Result, error) {
	r := e.result
	r.Data = slices.Clone(r.Data) // the caller owns it
	return r, nil
}

func drawn(b *testing.B) *idle {
	b.Helper()
	e := new(idle)
	var err error
	if e.result, err = e.Fake.Run(b.Context(), engine.Request{Model: enginetest.FakeModel().Digest, Prompt: "a stone", Steps: 1}, nil); err != nil {
		b.Fatal(err)
	}
	return e
}

func (w *world) mine(b *testing.B, key ed25519.PrivateKey, hpke *seal.PrivateKey, coordinator string) {
	b.Helper()
	w.enterMiner(key, hpke)
	m, err := miner.New(miner.Config{
		Key: key, Seal: hpke, ChainID: chainID, Coordinators: []string{coordinator}, Engines: []engine.Engine{drawn(b)},
		Offers: offers(), Receipts: filepath.Join(b.TempDir(), "receipts.db"), Capacity: 32, MaxUnacked: 64,
	})
	if err != nil {
		b.Fatal(err)
	}
	serve(b, m.Run)
}

// serve runs a role until the benchmark ends.
func serve(b *testing.B, role func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- role(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	})
}

func (w *world) session(b *testing.B) *client.Session {
	b.Helper()
	api, err := client.Dial(w.url)
	if err != nil {
		b.Fatal(err)
	}
	return open(b, api, w.books)
}

func open(b *testing.B, api client.Coordinator, ledger client.Ledger) *client.Session {
	b.Helper()
	s, err := client.Open(b.Context(), client.Config{Coordinator: api, Ledger: ledger, ChainID: chainID}, 1<<40)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// asked draws one picture after the other and remembers how long each took.
type asked struct {
	b    *testing.B
	s    *client.Session
	seed atomic.Uint64
	took []time.Duration
}

// newAsked asks once, so that connections and prepared statements are there.
func newAsked(b *testing.B, s *client.Session) *asked {
	a := &asked{b: b, s: s, took: make([]time.Duration, b.N+2)}
	a.draw(time.Now())
	return a
}

// draw counts the time since the task was due.
func (a *asked) draw(due time.Time) {
	n := a.seed.Add(1)
	_, err := a.s.Draw(a.b.Context(), client.Request{Model: enginetest.FakeModel().Digest, Prompt: "a stone", Seed: n, Steps: 1}, nil)
	if err != nil {
		a.b.Error(err)
	}
	a.took[n] = time.Since(due)
}

// measure reports CPU time, rate and percentiles of what run does.
func (a *asked) measure(run func()) {
	a.b.ReportAllocs()
	cpu := cpuTime(a.b)
	a.b.ResetTimer()
	run()
	a.b.StopTimer()
	a.b.ReportMetric(float64(a.b.N)/a.b.Elapsed().Seconds(), "tasks/s")
	a.b.ReportMetric(float64((cpuTime(a.b)-cpu).Microseconds())/float64(a.b.N), "cpu-us/op")
	took := a.took[2:] // without the first
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		a.b.ReportMetric(float64(took[len(took)*p/100].Microseconds())/1e3, fmt.Sprintf("p%d-ms", p))
	}
}

// BenchmarkTask is a task from a client's HTTP request to a checked receipt, with an
// engine that does nothing: seal, sign, quote, dispatch over libp2p, open, sign, two
// durable logs, three stored blobs, acknowledge, deliver, check. Client, gateway,
// coordinator and miners share this process and its processors, so cpu-us/op is the
// CPU time of all of them together.
func BenchmarkTask(b *testing.B) {
	for _, clients := range []int{1, 8, 32, 256} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			newAsked(b, newWorld(b, 3).session(b)).crowd(clients)
		})
	}
}

// crowd measures b.N tasks of so many clients, each of which waits for one before it asks for the next.
func (a *asked) crowd(clients int) {
	var left atomic.Int64
	left.Store(int64(a.b.N))
	a.measure(func() {
		var g sync.WaitGroup
		for range clients {
			g.Go(func() {
				for left.Add(-1) >= 0 {
					a.draw(time.Now())
				}
			})
		}
		g.Wait()
	})
}

// BenchmarkTaskAtRate is what a task takes when RATE of them, 100 if it is not set, are due
// each second, whether those before are done or not.
func BenchmarkTaskAtRate(b *testing.B) {
	rate, err := strconv.Atoi(os.Getenv("RATE"))
	if err != nil {
		rate = 100
	}
	a := newAsked(b, newWorld(b, 3).session(b))
	a.measure(func() {
		var g sync.WaitGroup
		begun := time.Now()
		for i := range b.N {
			due := begun.Add(time.Duration(i) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(due))
			g.Go(func() { a.draw(due) })
		}
		g.Wait()
	})
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
