package coordinator_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/mem"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/coordinator/share"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	chainID   = "essaim-test"
	unitPrice = essaim.Amount(1000)
	patience  = 20 * time.Second // for what must happen; generous, the machine may be busy
	marker    = "zanzibar-marker-prompt"
)

var modelDigest = essaim.DigestOf([]byte("model"))

// ledger is a fake chain that counts what it pays.
type ledger struct {
	mu       sync.Mutex
	height   int64
	sessions map[essaim.SessionID]essaim.Session
	actors   map[essaim.NodeKey]essaim.Actor
	settled  map[essaim.SessionID]essaim.Settlement
	vouchers map[essaim.SessionID][]byte // that sessions were settled with
	payments int
	draws    []essaim.Draw // not answered yet
	deaf     int           // openings that are lost
	meet     chan struct{} // if it is there, an opening waits until another one is here, too
	cover    essaim.Cover
}

func newLedger() *ledger {
	return &ledger{height: 1, sessions: map[essaim.SessionID]essaim.Session{}, actors: map[essaim.NodeKey]essaim.Actor{}, settled: map[essaim.SessionID]essaim.Settlement{}, vouchers: map[essaim.SessionID][]byte{}}
}

func (l *ledger) Height(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.height, nil
}

func (l *ledger) Session(_ context.Context, id essaim.SessionID) (essaim.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.sessions[id]
	if !ok {
		return s, essaim.Errorf(essaim.CodeNotFound, "", "no session %s", id)
	}
	return s, nil
}

func (l *ledger) Actor(_ context.Context, node essaim.NodeKey) (essaim.Actor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.actors[node]
	if !ok {
		return a, essaim.Errorf(essaim.CodeNotFound, "", "no actor %s", node.Short())
	}
	return a, nil
}

func (l *ledger) Model(_ context.Context, d essaim.Digest) (essaim.Model, error) {
	if d != modelDigest {
		return essaim.Model{}, essaim.Errorf(essaim.CodeNotFound, "", "no model %s", d.Short())
	}
	return essaim.Model{Digest: d, Name: "fake", Kind: essaim.KindImage, Engine: "fake"}, nil
}

func (l *ledger) Cover(context.Context) (essaim.Cover, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cover, nil
}

func (l *ledger) Settle(_ context.Context, s essaim.Settlement, sig, voucher []byte) (essaim.Tx, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := l.sessions[s.Session]
	switch {
	case have.State != essaim.SessionOpen:
		return essaim.Tx{}, essaim.Errorf(essaim.CodeConflict, "", "session %s is %s", s.Session, have.State)
	case !ed25519.Verify(have.Coordinator[:], s.SignBytes(have.Coordinator), sig):
		return essaim.Tx{}, essaim.Errorf(essaim.CodeRefused, "", "wrong signature")
	}
	if err := s.Check(have.Deposit); err != nil {
		return essaim.Tx{}, err
	}
	have.State = essaim.SessionSettled
	l.sessions[s.Session] = have
	l.settled[s.Session] = s
	l.vouchers[s.Session] = voucher
	l.payments++
	return essaim.Tx{Hash: fmt.Sprintf("TX%d", l.payments), Height: l.height}, nil
}

func (l *ledger) setHeight(h int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.height = h
}

func (l *ledger) settlement(id essaim.SessionID) (essaim.Settlement, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.settled[id]
	return s, ok
}

// fake is an engine; step, if set, is called before each step.
type fake struct {
	steps int
	step  func(ctx context.Context, n int) error
}

func (f *fake) Name() string { return "fake" }

func (f *fake) Models(context.Context) ([]engine.Model, error) {
	return []engine.Model{{
		Digest: modelDigest, Name: "fake", Kind: essaim.KindImage, Exact: true,
		Sizes: []engine.Size{{Width: 32, Height: 32}}, MinSteps: 1, MaxSteps: 8, Steps: cmp.Or(f.steps, 2),
	}}, nil
}

func (f *fake) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	for n := range r.Steps {
		if f.step != nil {
			if err := f.step(ctx, n); err != nil {
				return engine.Result{}, err
			}
		}
		progress(engine.Progress{Step: n + 1, Steps: r.Steps})
	}
	data := fmt.Appendf(nil, "picture of %q, seed %d", r.Prompt, r.Seed)
	return engine.Result{MediaType: "image/png", Data: data, PixelsDigest: essaim.DigestOf(data), Steps: r.Steps, Units: 1}, nil
}

// network is a ledger, a coordinator and its miners on this machine.
type network struct {
	t      testing.TB
	ledger *ledger
	co     *coordinator.Coordinator
	key    ed25519.PrivateKey
	cfg    coordinator.Config
	blobs  *mem.Store
	logs   *safeBuffer
	dir    string
	db     string // URL of a database; "": the log is a file
	stop   func()
	next   essaim.SessionID

	listened string // address of the first run, for one that miners find again
}

// safeBuffer collects log lines of several goroutines.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newNetwork(t testing.TB, change func(*coordinator.Config)) *network {
	n := &network{t: t, ledger: newLedger(), key: newKey(t), blobs: mem.New(), logs: new(safeBuffer), dir: t.TempDir()}
	n.ledger.actors[essaim.NodeKeyOf(n.key)] = essaim.Actor{Role: essaim.RoleCoordinator, NodeKey: essaim.NodeKeyOf(n.key), Fee: 100}
	n.cfg = coordinator.Config{
		Key: n.key, ChainID: chainID, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Ledger: n.ledger,
		Blobs: n.blobs, Log: filepath.Join(n.dir, "log.db"), Logger: n.logger("coordinator"),
		Poll: 20 * time.Millisecond, ActorTTL: 50 * time.Millisecond, Rejoin: 5 * time.Second,
		Pause: time.Nanosecond, // tests of failures do not wait
	}
	if s := coordinator.Server(); s != nil {
		n.db = s.Database(t)
	}
	if change != nil {
		change(&n.cfg)
	}
	n.start()
	return n
}

func (n *network) logger(role string) *slog.Logger {
	return slog.New(slog.NewTextHandler(n.logs, &slog.HandlerOptions{Level: slog.LevelDebug})).With("role", role)
}

// start runs a coordinator over the network's files.
func (n *network) start() {
	n.t.Helper()
	run := func(ctx context.Context) error { return n.co.Run(ctx) }
	if n.db != "" {
		member, err := coordinator.Join(n.db, "http://"+n.dir, time.Second)
		if err != nil {
			n.t.Fatal(err)
		}
		n.cfg.Shared = member
		run = func(ctx context.Context) error { return errors.Join(n.co.Run(ctx), member.Close()) }
	}
	co, err := coordinator.New(n.cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.co = co
	n.stop = background(n.t, run)
	within(n.t, co.Ready(), "the coordinator is ready")
	n.listened, _, _ = strings.Cut(n.addr(), "/p2p/")
}

// log is what the coordinator has kept, when it has ended.
func (n *network) log() *receiptlog.Log {
	n.t.Helper()
	from := share.Share(share.Alone(n.cfg.Log))
	if n.db != "" {
		member, err := coordinator.Join(n.db, "http://reader", time.Second)
		if err != nil {
			n.t.Fatal(err)
		}
		n.t.Cleanup(func() {
			if err := member.Close(); err != nil {
				n.t.Error(err)
			}
		})
		from = member
	}
	log, err := from.Store()
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = log.Close() })
	return log
}

// background runs a role until the test ends or stop is called.
func background(t testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func within[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("did not happen: %s", what)
	}
	return v
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func (n *network) addr() string {
	n.t.Helper()
	info, err := n.co.Info(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return info.PeerAddrs[0]
}

// register puts a miner on the ledger.
func (n *network) register(key ed25519.PrivateKey, public []byte, bond essaim.Amount) {
	n.ledger.mu.Lock()
	defer n.ledger.mu.Unlock()
	node := essaim.NodeKeyOf(key)
	n.ledger.actors[node] = essaim.Actor{
		Role: essaim.RoleMiner, NodeKey: node, HPKEKey: public, Bond: bond, Stake: bond,
		Offers: []essaim.Offer{{Model: modelDigest, UnitPrice: unitPrice}},
	}
}

// seat is a running miner.
type seat struct {
	*miner.Miner
	key  essaim.NodeKey
	stop func()
}

func (n *network) mine(e engine.Engine, change func(*miner.Config)) *seat {
	n.t.Helper()
	key, hpke := newKey(n.t), newSeal(n.t)
	n.register(key, hpke.PublicKey(), 100)
	cfg := miner.Config{
		Key: key, Seal: hpke, ChainID: chainID, Coordinators: []string{n.addr()},
		Engines: []engine.Engine{e}, Offers: []essaim.Offer{{Model: modelDigest, UnitPrice: unitPrice}},
		Receipts: filepath.Join(n.t.TempDir(), "receipts.db"), Capacity: 2, Beat: 200 * time.Millisecond,
		MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond, Logger: n.logger("miner"),
	}
	if change != nil {
		change(&cfg)
	}
	m, err := miner.New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	before := n.co.Stats().Miners
	s := &seat{Miner: m, key: essaim.NodeKeyOf(key), stop: background(n.t, m.Run)}
	eventually(n.t, "the miner is connected", func() bool { return n.co.Stats().Miners > before })
	return s
}

func newSeal(t testing.TB) *seal.PrivateKey {
	t.Helper()
	k, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// payer is a user with an open session.
type payer struct {
	n       *network
	session essaim.SessionID
	key     ed25519.PrivateKey
	reply   *seal.PrivateKey
	mu      sync.Mutex
	seq     uint64
}

func (n *network) payer(deposit essaim.Amount) *payer {
	n.next++
	p := &payer{n: n, session: n.next, key: newKey(n.t), reply: newSeal(n.t)}
	n.ledger.mu.Lock()
	defer n.ledger.mu.Unlock()
	n.ledger.sessions[p.session] = essaim.Session{
		ID: p.session, Payer: essaim.Address{byte(p.session)}, Coordinator: essaim.NodeKeyOf(n.key), Deposit: deposit,
		SessionKey: essaim.NodeKeyOf(p.key), Opened: 1, Expiry: 1000, State: essaim.SessionOpen,
	}
	return p
}

// prepare quotes, seals and signs a task.
func (p *payer) prepare(prompt string, change func(*essaim.Task)) (essaim.Submission, error) {
	q, err := p.n.co.Quote(p.n.t.Context(), essaim.QuoteRequest{Kind: essaim.KindImage, Model: modelDigest})
	if err != nil {
		return essaim.Submission{}, err
	}
	in := essaim.Input{Prompt: prompt, Salt: make([]byte, 16), ReplyKey: p.reply.PublicKey()}
	p.mu.Lock()
	p.seq++
	t := essaim.NewTask(chainID, p.session, p.seq)
	p.mu.Unlock()
	t.Kind, t.Model, t.Input, t.Seed, t.MaxPrice = essaim.KindImage, q.Model, in.Digest(), 7, q.MaxPrice
	t.Deadline = time.Now().Add(time.Minute).UnixMilli()
	if change != nil {
		change(&t)
	}
	var keys [][]byte
	for _, c := range q.Candidates {
		keys = append(keys, c.HPKEKey)
	}
	sealed, err := seal.Seal(in.Encode(), t.Input[:], keys...)
	if err != nil {
		return essaim.Submission{}, err
	}
	signed, err := essaim.SignTask(t, p.key)
	return essaim.Submission{Task: signed, Input: sealed}, err
}

func (p *payer) imagine(prompt string, progress func(essaim.Progress)) (essaim.Delivery, error) {
	s, err := p.prepare(prompt, nil)
	if err != nil {
		return essaim.Delivery{}, err
	}
	return p.n.co.Submit(p.n.t.Context(), s, progress)
}

// must checks a delivery as a client does and returns its receipt.
func (p *payer) must(d essaim.Delivery, err error) essaim.Receipt {
	p.n.t.Helper()
	if err != nil {
		p.n.t.Errorf("submit: %v\n%s", err, p.n.logs)
		return essaim.Receipt{}
	}
	r, err := essaim.OpenReceipt(d.Receipt)
	if err != nil {
		p.n.t.Fatal(err)
	}
	plain, err := p.reply.Open(d.Sealed, d.Task[:])
	if err != nil {
		p.n.t.Fatal(err)
	}
	out, err := essaim.DecodeOutput(plain)
	if err != nil {
		p.n.t.Fatal(err)
	}
	if essaim.DigestOf(out.Data) != r.Output || essaim.DigestOf(d.Sealed) != r.Sealed || r.Task != d.Task {
		p.n.t.Error("the receipt is not about what was delivered")
	}
	return r
}

func (p *payer) close() (essaim.Settled, error) { return p.closeWith(nil) }

func (p *payer) closeWith(voucher []byte) (essaim.Settled, error) {
	p.n.t.Helper()
	signed, err := essaim.SignClose(essaim.CloseRequest{ChainID: chainID, Session: p.session, Voucher: voucher}, p.key)
	if err != nil {
		p.n.t.Fatal(err)
	}
	return p.n.co.Close(p.n.t.Context(), signed)
}

// settle closes the session and checks what the ledger paid.
func (p *payer) settle(tasks uint64) essaim.Settlement {
	p.n.t.Helper()
	done, err := p.close()
	if err != nil {
		p.n.t.Fatalf("close: %v\n%s", err, p.n.logs)
	}
	s, ok := p.n.ledger.settlement(p.session)
	if !ok || s.Root != done.Root {
		p.n.t.Fatal("the ledger has another settlement than was reported")
	}
	if s.Root.Count() != tasks || s.Root.Sum() != unitPrice*essaim.Amount(tasks) {
		p.n.t.Errorf("settled %d tasks for %d uaim, want %d for %d", s.Root.Count(), s.Root.Sum(), tasks, unitPrice*essaim.Amount(tasks))
	}
	return s
}

// blocked makes an engine that waits in its second step, until it is freed or
// cancelled.
func blocked() (e *fake, started <-chan struct{}, free func()) {
	began, gate := make(chan struct{}, 64), make(chan struct{})
	var once sync.Once
	return &fake{step: func(ctx context.Context, n int) error {
		if n != 1 {
			return nil
		}
		began <- struct{}{}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}, began, func() { once.Do(func() { close(gate) }) }
}

// wait collects the result of a call in the background.
func wait[T any](f func() (T, error)) <-chan result[T] {
	c := make(chan result[T], 1)
	go func() {
		v, err := f()
		c <- result[T]{v, err}
	}()
	return c
}

type result[T any] struct {
	v   T
	err error
}

var errEngine = errors.New("out of memory while drawing " + marker)
