// Package miner is the role that sells compute: it takes a task, runs an engine,
// seals and stores the result and signs a receipt for it.
//
// A miner dials out and never listens. It serves the coordinators that it was told
// to serve, runs only what it offers, never below its own price, and keeps every
// receipt durably until its coordinator has acknowledged it; a coordinator that
// leaves too many unacknowledged is served no more. An acknowledgement is a signed
// promise, which is kept until the ledger has paid it, and claimed there if it is not.
// Beside it the miner keeps what the payer has acknowledged of the session.
//
// The prompt exists here in memory, for the engine, and nowhere else: it is not in
// the receipt file, not in what the miner reports and not in its log. What the role
// needs of the ledger is the interface Ledger.
//
// # Concurrency
//
// Run owns all goroutines: one for each coordinator and each of its instances that it has told of, one or two for each attempt, and
// one each that looks after promises and after vouchers.
//
// Reading order: link.go and attempt.go are the way of a task, store.go and promise.go
// and voucher.go what is kept, trust.go who is served and who has paid, places.go who is dialled besides the configured.
// Stats may be called at any time from anywhere.
package miner

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/censor"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/internal/tracing"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/transport"
)

// Config is what a miner needs. Fields with a stated default may be zero.
type Config struct {
	Key          ed25519.PrivateKey // the node key that is registered on the ledger
	Seal         *seal.PrivateKey   // opens prompts; its public half is registered on the ledger
	ChainID      string
	Coordinators []string        // multiaddresses, each with /p2p/ and a peer ID; other instances of the same coordinators are dialled as those tell of them
	Engines      []engine.Engine // of those that have a model, the one with the least to do runs it; comparable
	Offers       []essaim.Offer  // what it runs, and the least it takes for a unit
	Declines     *censor.List    // prompts that it leaves to others; nil: none
	Receipts     string          // path of the receipt file (SQLite); created if missing

	// Ledger tells how coordinators pay, and hears claims against those that do not. Nil:
	// nobody is asked, and claims are left to Book.
	Ledger Ledger
	// Proofs proves runs of tasks that ask for it. Nil: such tasks are left to others.
	Proofs Proofs
	// Court is where receipts are defended when somebody disputes them. Nil: what was made is not kept, and a dispute
	// is lost by silence.
	Court   Court
	Blocked []essaim.NodeKey // coordinators that are not served
	Trusted []essaim.NodeKey // coordinators that are served though they left work unpaid

	Capacity   int           // attempts at the same time; default 1
	Beat       time.Duration // between heartbeats; default 1 s
	Grace      time.Duration // for running attempts when Run is to end; default 1 s
	MaxUnacked int           // receipts a coordinator may owe an answer for; default DefaultUnacked
	Poll       time.Duration // between looks at what became of the coordinators' promises; default 10 s
	// Pace is waited before each step is reported, and before the result is, so that
	// people and tests can watch; the engine itself is not slowed. Default 0.
	Pace time.Duration

	// MinBackoff and MaxBackoff bound the wait before a coordinator is dialled again;
	// defaults as in transport.Config.
	MinBackoff, MaxBackoff time.Duration

	Tracer  *tracing.Tracer // of attempts that somebody traces; nil: none
	Version string          // of the program, told to coordinators
	Logger  *slog.Logger    // nil: silent
}

// Proofs makes proofs. Implementations are safe for concurrent use.
type Proofs interface {
	// Run is Run of an engine for a task, with a proof of the run.
	//
	// Errors: those of engine.Engine.Run; CodeNotFound for a model whose runs cannot be proven.
	Run(ctx context.Context, e engine.Engine, t essaim.Task, r engine.Request, progress func(engine.Progress)) (engine.Result, []byte, error)
}

// Stats counts since the start of Run.
type Stats struct {
	Connected int           // coordinators that welcomed this miner and are connected
	Running   int           // attempts under way
	Acked     uint64        // receipts that were acknowledged
	Refused   uint64        // receipts that a coordinator did not count
	Failed    uint64        // attempts that came to nothing
	Earned    essaim.Amount // sum of the acknowledged receipts' prices, gross
	Unpaid    uint64        // promises that were found not to be kept
}

// DefaultUnacked is how many receipts a coordinator may owe an answer for.
const DefaultUnacked = 4

// Miner is the role. Make it with New.
type Miner struct {
	cfg    Config
	key    essaim.NodeKey
	log    *slog.Logger
	prices map[essaim.Digest]essaim.Amount

	receipts *receiptFile // set by Run
	places   *places      // set by Run

	sealer     seal.Sender // of results, to sessions' reply keys
	news       chan news   // vouchers to be checked
	claimAfter time.Time   // no claim before; of watch's goroutine

	mu       sync.Mutex
	links    map[*transport.Conn]*link // connected, several to a coordinator of several instances; guarded by mu
	models   map[essaim.Digest]runner  // guarded by mu
	running  int                       // places taken by attempts at work; guarded by mu
	open     int                       // attempts, those that wait for their answer too; guarded by mu
	draining bool                      // Run is ending: no new attempts; guarded by mu
	jobs     map[*Job]struct{}         // at work; guarded by mu
	trouble  error                     // why the last connection has ended; guarded by mu
	why      string                    // it gets nothing now, as the coordinator says that answered last; guarded by mu
	idle     chan struct{}             // closed when draining and no attempt is open

	acked, refused, failed, earned, unpaid atomic.Uint64
}

// runner is a model with the engine that runs it: of several, the one that has the least to do.
type runner struct {
	engine engine.Engine
	model  engine.Model
	price  essaim.Amount // least for a unit

	at     int   // the engine's number among the configured ones
	others []int // the numbers of those that run it too, such as on another GPU
}

// New checks a configuration; it starts nothing and opens nothing.
//
// Errors: CodeBadInput, naming the field.
func New(cfg Config) (*Miner, error) {
	bad := func(what string) error {
		return essaim.Errorf(essaim.CodeBadInput, "complete the miner's configuration", "miner: %s", what)
	}
	switch {
	case len(cfg.Key) != ed25519.PrivateKeySize:
		return nil, bad("no node key")
	case cfg.Seal == nil:
		return nil, bad("no sealing key")
	case cfg.ChainID == "":
		return nil, bad("no chain ID")
	case cfg.Receipts == "":
		return nil, bad("no receipt file")
	case len(cfg.Coordinators) == 0:
		return nil, bad("no coordinator to serve")
	case len(cfg.Offers) == 0:
		return nil, bad("no model on offer")
	case len(cfg.Engines) == 0:
		return nil, bad("no engine")
	case cfg.Capacity < 0 || cfg.MaxUnacked < 0:
		return nil, bad("a negative limit")
	}
	for _, addr := range cfg.Coordinators {
		if _, err := transport.AddrKey(addr); err != nil {
			return nil, err
		}
	}
	m := &Miner{
		cfg: cfg, key: essaim.NodeKeyOf(cfg.Key), log: cfg.Logger,
		prices: map[essaim.Digest]essaim.Amount{}, links: map[*transport.Conn]*link{}, jobs: map[*Job]struct{}{}, idle: make(chan struct{}), news: make(chan news, maxNews),
	}
	for _, o := range cfg.Offers {
		m.prices[o.Model] = o.UnitPrice
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.log = m.log.With("miner", m.key.Short())
	m.cfg.Capacity = max(m.cfg.Capacity, 1)
	m.cfg.Beat = orDefault(cfg.Beat, time.Second)
	m.cfg.Grace = orDefault(cfg.Grace, time.Second)
	m.cfg.MaxUnacked = orDefault(cfg.MaxUnacked, DefaultUnacked)
	m.cfg.Poll = orDefault(cfg.Poll, 10*time.Second)
	return m, nil
}

func orDefault[T comparable](v, standard T) T {
	var zero T
	if v == zero {
		return standard
	}
	return v
}

// Run serves the coordinators until ctx ends. Attempts that run then get
// Config.Grace to finish; the rest is aborted. It is called once.
//
// Errors: nil after ctx has ended; otherwise what made serving impossible, such as a
// receipt file that cannot be opened.
func (m *Miner) Run(ctx context.Context) (err error) {
	m.receipts, err = openReceipts(m.cfg.Receipts)
	if err != nil {
		return fmt.Errorf("miner: open receipts %s: %w", m.cfg.Receipts, err)
	}
	defer func() { err = errors.Join(err, m.receipts.close()) }()
	hosts, made, err := m.hosts()
	defer func() {
		for _, h := range made {
			err = errors.Join(err, h.Close())
		}
	}()
	if err != nil {
		return fmt.Errorf("miner: %w", err)
	}

	// The connections outlive ctx by the grace, so that what is nearly finished is
	// still delivered.
	up, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	m.places = newPlaces(up, m.log, m.keepPlace)
	defer func() { hangUp(); m.places.wait() }()
	var group errgroup.Group
	for i, addr := range m.cfg.Coordinators {
		group.Go(func() error { return hosts[i].Keep(up, addr, m.serveOne) })
	}
	if m.cfg.Ledger != nil {
		group.Go(func() error { m.watch(up); return context.Canceled })
		group.Go(func() error { m.keepVouchers(up); return context.Canceled })
	}
	if m.cfg.Court != nil {
		group.Go(func() error { m.defend(up); return context.Canceled })
	}
	<-ctx.Done()
	m.drain()
	hangUp()
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// drain accepts nothing any more and waits for the open attempts, at most for the
// grace.
func (m *Miner) drain() {
	m.mu.Lock()
	m.draining = true
	open := m.open
	m.mu.Unlock()
	if open == 0 {
		return
	}
	t := time.NewTimer(m.cfg.Grace)
	defer t.Stop()
	select {
	case <-m.idle:
	case <-t.C:
		m.log.Warn("aborting attempts", "open", open)
	}
}

// enter opens an attempt and takes a place for it. vacate gives the place back: the
// coordinator counts it as free from the moment that it hears how the attempt ended,
// so it is called before that is told. leave, called last, ends the attempt.
func (m *Miner) enter() (vacate, leave func(), ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.draining || m.running >= m.cfg.Capacity {
		return nil, nil, false
	}
	m.running++
	m.open++
	vacate = sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.running--
	})
	leave = func() {
		vacate()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.open--
		if m.draining && m.open == 0 {
			close(m.idle)
		}
	}
	return vacate, leave, true
}

// catalog asks the engines what they can run and keeps what is on offer.
func (m *Miner) catalog(ctx context.Context) ([]essaim.ModelInfo, error) {
	models := map[essaim.Digest]runner{}
	var infos []essaim.ModelInfo
	for at, e := range m.cfg.Engines {
		list, err := e.Models(ctx)
		if err != nil {
			m.log.Warn("engine does not answer", "engine", e.Name(), "err", err)
			continue
		}
		for _, model := range list {
			price, offered := m.prices[model.Digest]
			if r, have := models[model.Digest]; have && offered {
				r.others = append(r.others, at)
				models[model.Digest] = r
				continue
			}
			if !offered {
				continue
			}
			models[model.Digest] = runner{engine: e, model: model, price: price, at: at}
			infos = append(infos, info(e, model, price))
		}
	}
	m.mu.Lock()
	m.models = models
	m.mu.Unlock()
	if len(infos) == 0 {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "start the engine, or offer a model that it has", "no engine here runs any of the %d models on offer", len(m.prices))
	}
	return infos, nil
}

func info(e engine.Engine, m engine.Model, price essaim.Amount) essaim.ModelInfo {
	sizes := make([]string, len(m.Sizes))
	for i, s := range m.Sizes {
		sizes[i] = s.String()
	}
	return essaim.ModelInfo{
		Digest: m.Digest, Name: m.Name, Kind: m.Kind, Engine: e.Name(), Exact: m.Exact,
		Sizes: sizes, MinSteps: m.MinSteps, MaxSteps: m.MaxSteps, Steps: m.Steps, Meter: m.Meter, Inits: m.Inits, UnitPrice: price,
	}
}

func (m *Miner) runnerOf(model essaim.Digest) (runner, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.models[model]
	return r, ok
}

// Stats tells how the miner is doing.
func (m *Miner) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	welcome := 0
	for _, l := range m.links {
		if l.welcome {
			welcome++
		}
	}
	return Stats{
		Connected: welcome, Running: m.running,
		Acked: m.acked.Load(), Refused: m.refused.Load(), Failed: m.failed.Load(),
		Earned: essaim.Amount(m.earned.Load()), Unpaid: m.unpaid.Load(),
	}
}
