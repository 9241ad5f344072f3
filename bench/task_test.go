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

// books is a ledger in memory: what a benchmark of the network must not wait for.
type books struct {
	actors map[essaim.NodeKey]essaim.Actor

	mu       sync.Mutex
	sessions []essaim.Session
}

func (b *books) Height(context.Context) (int64, error) { return 1, nil }

func (b *books) Session(_ context.Context, id essaim.SessionID) (essaim.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[id-1], nil
}

func (b *books) Actor(_ context.Context, k essaim.NodeKey) (essaim.Actor, error) {
	a, ok := b.actors[k]
	if !ok {
		return a, essaim.Errorf(essaim.CodeNotFound, "", "no actor %s", k.Short())
	}
	return a, nil
}

func (b *books) Model(_ context.Context, d essaim.Digest) (essaim.Model, error) {
	return essaim.Model{Digest: d, Kind: essaim.KindImage}, nil
}

func (b *books) Cover(context.Context) (essaim.Cover, error) { return essaim.Cover{}, nil }

func (b *books) Settle(context.Context, essaim.Settlement, []byte, []byte) (essaim.Tx, error) {
	return essaim.Tx{Height: 1}, nil
}

func (b *books) Draws(context.Context, essaim.NodeKey) ([]essaim.Draw, error) { return nil, nil }

func (b *books) Open(context.Context, essaim.Draw, essaim.Opening) (essaim.Tx, error) {
	return essaim.Tx{Height: 1}, nil
}

func (b *books) SettledBy(context.Context, essaim.SessionID) (essaim.Tx, error) {
	return essaim.Tx{}, nil
}

func (b *books) ShowVoucher(context.Context, essaim.SessionID, []byte) (essaim.Tx, error) {
	return essaim.Tx{Height: 1}, nil
}

func (b *books) OpenSession(_ context.Context, c essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, expiry int64) (essaim.SessionID, essaim.Tx, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := essaim.SessionID(len(b.sessions) + 1)
	b.sessions = append(b.sessions, essaim.Session{ID: id, Coordinator: c, Deposit: deposit, SessionKey: key, Opened: 1, Expiry: expiry, State: essaim.SessionOpen})
	return id, essaim.Tx{Height: 1}, nil
}

func (b *books) TopUp(_ context.Context, id essaim.SessionID, amount essaim.Amount) (essaim.Amount, essaim.Tx, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions[id-1].Deposit += amount
	return b.sessions[id-1].Deposit, essaim.Tx{Height: 1}, nil
}

// world is a coordinator with its gateway and miners, each with real connections,
// files and signatures.
type world struct {
	books       *books
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
	w := &world{books: &books{actors: map[essaim.NodeKey]essaim.Actor{}}}
	key := newKey(b)
	w.books.actors[essaim.NodeKeyOf(key)] = essaim.Actor{Role: essaim.RoleCoordinator, NodeKey: essaim.NodeKeyOf(key), Bond: essaim.AIM, Stake: essaim.AIM}
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
	for range miners {
		w.mine(b, info.PeerAddrs[:1])
	}
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		if info, err := c.Info(b.Context()); err != nil || info.Miners == miners {
			tick.Stop()
			break
		}
	}
	g, err := gateway.New(gateway.Config{Coordinator: c, Blobs: blobs})
	if err != nil {
		b.Fatal(err)
	}
	s := httptest.NewServer(g.Handler())
	b.Cleanup(s.Close)
	w.coordinator, w.url = c, s.URL
	return w
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

func (w *world) mine(b *testing.B, coordinators []string) {
	b.Helper()
	key := newKey(b)
	hpke, err := seal.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	blobs := openBlobs(b)
	offers := []essaim.Offer{{Model: enginetest.FakeModel().Digest, UnitPrice: 1}}
	w.books.actors[essaim.NodeKeyOf(key)] = essaim.Actor{Role: essaim.RoleMiner, NodeKey: essaim.NodeKeyOf(key), HPKEKey: hpke.PublicKey(), Offers: offers, Bond: essaim.AIM, Stake: essaim.AIM}
	m, err := miner.New(miner.Config{
		Key: key, Seal: hpke, ChainID: chainID, Coordinators: coordinators, Engines: []engine.Engine{drawn(b)}, Blobs: blobs,
		Offers: offers, Receipts: filepath.Join(b.TempDir(), "receipts.db"), Capacity: 32, MaxUnacked: 64,
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
	s, err := client.Open(b.Context(), client.Config{Coordinator: api, Ledger: w.books, ChainID: chainID}, 1<<40)
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
func newAsked(b *testing.B) *asked {
	a := &asked{b: b, s: newWorld(b, 3).session(b), took: make([]time.Duration, b.N+2)}
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
			a := newAsked(b)
			var left atomic.Int64
			left.Store(int64(b.N))
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
		})
	}
}

// BenchmarkTaskAtRate is what a task takes when RATE of them, 100 if it is not set, are due
// each second, whether those before are done or not.
func BenchmarkTaskAtRate(b *testing.B) {
	rate, err := strconv.Atoi(os.Getenv("RATE"))
	if err != nil {
		rate = 100
	}
	a := newAsked(b)
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
