// Package coordinator is the role between users and miners: it quotes, reserves a
// task's price in the payer's session, offers the task to miners until one delivers
// a receipt that stands every check, keeps that receipt, and settles the session on
// the ledger.
//
// It carries prompts and pictures only sealed and cannot read them; nothing of a
// prompt is in its log file or its log lines. A receipt is on the disk before its
// miner gets the acknowledgement and the client the delivery. Whatever stops the
// program, a delivered task is settled once, and one that was not delivered is never
// charged.
//
// What it needs of the ledger is the interface Ledger; it knows no chain software,
// no HTTP and no client.
//
// # Concurrency
//
// Run owns all goroutines: one for each connected miner, one for each task under way
// and each answer to a receipt, one that writes the log, one that makes room
// in it, and four that watch the ledger. The exported methods may be called from anywhere while Run runs. Lock
// order: Coordinator.mu before book.mu or a feed; none is held during I/O.
//
// Reading order: submit.go and dispatch.go are the way of a task, match.go says who gets
// it, cover.go who may get more, waiting.go what those are told who wait, miners.go who is there, escrow.go what may
// be spent, voucher.go what the payer has acknowledged, settle.go how it is paid,
// shared.go whose session it is among several instances; package draws shows that what was settled is true, and package receiptlog is what is kept.
package coordinator

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
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/coordinator/affinity"
	"github.com/essaim/essaim/coordinator/chance"
	"github.com/essaim/essaim/coordinator/cover"
	"github.com/essaim/essaim/coordinator/draws"
	"github.com/essaim/essaim/coordinator/known"
	"github.com/essaim/essaim/coordinator/line"
	"github.com/essaim/essaim/coordinator/quality"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/coordinator/round"
	"github.com/essaim/essaim/coordinator/share"
	"github.com/essaim/essaim/internal/tracing"
	"github.com/essaim/essaim/transport"
	"github.com/essaim/essaim/verify"
)

// Ledger is what a coordinator asks of the chain. Implementations are safe for
// concurrent use.
//
// Errors: CodeNotFound if the ledger answered that there is no such thing; any other
// code is taken as no answer.
type Ledger interface {
	Registry
	Market
}

// Registry is the part of the ledger that knows who is who.
type Registry interface {
	// Height is the last committed block's.
	Height(ctx context.Context) (int64, error)
	Actor(ctx context.Context, node essaim.NodeKey) (essaim.Actor, error)
	Model(ctx context.Context, digest essaim.Digest) (essaim.Model, error)

	// Cover is how much work may rest on stake, as governance has it now.
	Cover(ctx context.Context) (essaim.Cover, error)
}

// Market is the part of the ledger that holds sessions' money.
type Market interface {
	Session(ctx context.Context, id essaim.SessionID) (essaim.Session, error)

	// Settle submits a settlement with the node key's Ed25519 signature of
	// Settlement.SignBytes and returns when it is committed. What the payer's voucher
	// covers is paid at once; nil: there is none. Settling a session twice fails and
	// pays nothing.
	Settle(ctx context.Context, s essaim.Settlement, sig, voucher []byte) (essaim.Tx, error)

	// SettledBy finds the transaction that has settled a session, for one whose answer
	// was lost.
	SettledBy(ctx context.Context, id essaim.SessionID) (essaim.Tx, error)

	// ShowVoucher shows a voucher that came after the settlement, so that more is paid
	// at once.
	//
	// Errors: CodeConflict if nothing waits for it.
	ShowVoucher(ctx context.Context, id essaim.SessionID, voucher []byte) (essaim.Tx, error)

	draws.Ledger
}

// Config is what a coordinator needs. Fields with a stated default may be zero.
type Config struct {
	Key     ed25519.PrivateKey // the node key that is registered on the ledger
	ChainID string
	Listen  []string // multiaddresses for miners, such as /ip4/0.0.0.0/tcp/4070
	Ledger  Ledger
	Blobs   blob.Store  // keeps the sealed results
	Log     string      // path of the task and receipt log (SQLite); created if missing
	Shared  share.Share // with other instances; nil: there are none, and Log is this one's

	MinStake     essaim.Amount // of a miner; default 1 uaim
	MinDeposit   essaim.Amount // told to clients; default 0
	ExpiryAhead  int64         // blocks that a new session should be open; told to clients; default 100
	ExpiryMargin int64         // blocks before expiry at which a session is settled; default 20

	TaskTimeout    time.Duration // longest life of a task, whatever its deadline; default 10 min
	AttemptTimeout time.Duration // longest life of an attempt; default 5 min
	MaxAttempts    int           // of a task; default 5
	Rejoin         time.Duration // how long a task waits for a lost miner if no other can do it; default 10 s
	Pause          time.Duration // that a miner is left out when it fails again and again, at first; default 5 s
	MaxTasks       int           // of a session at the same time, running or queued; default 256
	MaxJobs        int           // of all sessions; more are turned away; default 16384
	QuoteTTL       time.Duration // default 1 min

	IdleSettle time.Duration // a session without a task for so long is settled; default 2 min
	CloseGrace time.Duration // for running tasks when a session is to be settled; default 30 s
	Poll       time.Duration // between looks at the ledger's height; default 1 s
	Keep       time.Duration // for the sealed results of settled sessions; default 7 days
	ActorTTL   time.Duration // between looks at the miners' registrations and the ledger's rules; default 10 s

	// Delivered is told of each delivered task, and must not block; nil: nobody is. Barred
	// takes a model off a miner's list, must not block nor call the coordinator; nil: none is.
	Delivered func(verify.Work)
	Barred    func(miner essaim.NodeKey, model essaim.Digest) bool

	Tracer    *tracing.Tracer // of tasks; nil: none
	LedgerURL string          // told to clients; may be empty
	Version   string          // of the program, told to clients
	Logger    *slog.Logger    // nil: silent
}

// Stats counts; the totals are since the start of Run.
type Stats struct {
	Miners    int    // connected now
	Tasks     int    // under way now, running or queued
	Delivered uint64 // tasks
	Ended     uint64 // tasks that ended without a delivery
	Lost      uint64 // attempts whose miner was gone
	Rejected  uint64 // attempts whose receipt did not stand the checks
	Settled   uint64 // sessions
	LeftOut   int    // miners that get none of a model's tasks now, since they have failed at it; by miner and model
}

// Coordinator is the role. Make it with New.
type Coordinator struct {
	cfg    Config
	key    essaim.NodeKey
	log    *slog.Logger
	shared share.Share
	name   string // of this run, for miners that dial it at several addresses
	ready  chan struct{}
	book   *book
	known  known.Cache
	rounds *round.Table

	// Set by Run before ready is closed.
	host  *transport.Host
	store *receiptlog.Log
	life  context.Context // ends when Run is to end

	gate    sync.Mutex
	open    bool           // Run is serving; guarded by gate
	callers sync.WaitGroup // calls and tasks under way; Add only under gate while open

	mu      sync.Mutex
	miners  map[essaim.NodeKey]*miner          // connected; guarded by mu
	quality *quality.Book                      // outlives a connection; guarded by mu
	warm    affinity.Table                     // guarded by mu
	exposed map[essaim.NodeKey]*cover.Exposure // of miners with unaudited work; guarded by mu
	shares  map[essaim.Digest]*chance.Shares   // by model; guarded by mu
	cover   essaim.Cover                       // as last seen; guarded by mu
	jobs    map[essaim.Digest]*job             // tasks under way; guarded by mu
	traces  tracing.Recent
	queue   line.Line[*waiter] // guarded by mu
	pace    line.Pace          // guarded by mu

	height   atomic.Int64
	heightAt atomic.Int64 // when height was read, Unix milliseconds

	delivered, ended, lost, rejected, settled atomic.Uint64
}

// New checks a configuration; it starts nothing and opens nothing.
//
// Errors: CodeBadInput, naming the field.
func New(cfg Config) (*Coordinator, error) {
	bad := func(what string) error {
		return essaim.Errorf(essaim.CodeBadInput, "complete the coordinator's configuration", "coordinator: %s", what)
	}
	switch {
	case len(cfg.Key) != ed25519.PrivateKeySize:
		return nil, bad("no node key")
	case cfg.ChainID == "":
		return nil, bad("no chain ID")
	case len(cfg.Listen) == 0:
		return nil, bad("no address to listen on")
	case cfg.Ledger == nil:
		return nil, bad("no ledger")
	case cfg.Blobs == nil:
		return nil, bad("no blob store")
	case cfg.Log == "" && cfg.Shared == nil:
		return nil, bad("no log file")
	}
	standard := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	standard(&cfg.TaskTimeout, 10*time.Minute)
	standard(&cfg.AttemptTimeout, 5*time.Minute)
	standard(&cfg.Rejoin, 10*time.Second)
	standard(&cfg.Pause, quality.FirstPause)
	standard(&cfg.QuoteTTL, time.Minute)
	standard(&cfg.IdleSettle, 2*time.Minute)
	standard(&cfg.CloseGrace, 30*time.Second)
	standard(&cfg.Poll, time.Second)
	standard(&cfg.Keep, 7*24*time.Hour)
	standard(&cfg.ActorTTL, 10*time.Second)
	cfg.MinStake = max(cfg.MinStake, 1)
	if cfg.ExpiryAhead == 0 {
		cfg.ExpiryAhead = 100
	}
	if cfg.ExpiryMargin == 0 {
		cfg.ExpiryMargin = 20
	}
	if cfg.MaxAttempts == 0 {
		cfg.MaxAttempts = 5
	}
	if cfg.MaxTasks == 0 {
		cfg.MaxTasks = 256
	}
	if cfg.MaxJobs == 0 {
		cfg.MaxJobs = 16 << 10
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Delivered == nil {
		cfg.Delivered = func(verify.Work) {}
	}
	if cfg.Barred == nil {
		cfg.Barred = func(essaim.NodeKey, essaim.Digest) bool { return false }
	}
	key, shared := essaim.NodeKeyOf(cfg.Key), cfg.Shared
	if shared == nil {
		shared = share.Alone(cfg.Log)
	}
	return &Coordinator{
		cfg: cfg, key: key, shared: shared, name: shared.ID(), log: cfg.Logger.With("coordinator", key.Short()),
		ready: make(chan struct{}), book: newBook(), known: known.New(cfg.Ledger, cfg.ActorTTL), rounds: round.New(cfg.ChainID, roundTime),
		miners: map[essaim.NodeKey]*miner{}, quality: quality.New(nil, cfg.Pause),
		exposed: map[essaim.NodeKey]*cover.Exposure{}, shares: map[essaim.Digest]*chance.Shares{},
		jobs: map[essaim.Digest]*job{}, queue: line.New[*waiter](),
	}, nil
}

// Ready is closed when Run serves: miners can connect and calls are answered.
func (c *Coordinator) Ready() <-chan struct{} { return c.ready }

// Run serves until ctx ends and returns when all goroutines have. Tasks that were
// not delivered by then end as refunded; delivered ones stay in the log and are
// settled by this run or a later one. It is called once.
//
// Errors: nil after ctx has ended; otherwise what made serving impossible, such as a
// port in use or a log that cannot be opened.
func (c *Coordinator) Run(ctx context.Context) (err error) {
	if c.store, err = c.shared.Store(); err != nil {
		return fmt.Errorf("coordinator: open log %s: %w", c.cfg.Log, err)
	}
	defer func() { err = errors.Join(err, c.store.Close()) }()
	if c.cfg.Shared == nil { // what is under way at others goes on
		err = c.store.EndUndelivered(reasonRestarted)
	}
	if err != nil {
		return fmt.Errorf("coordinator: recover log: %w", err)
	}
	if err := c.recall(ctx); err != nil {
		return fmt.Errorf("coordinator: read log: %w", err)
	}
	if c.host, err = transport.New(transport.Config{Key: c.cfg.Key, Listen: c.cfg.Listen, Logger: c.log}); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	defer func() { err = errors.Join(err, c.host.Close()) }()

	life, stop := context.WithCancel(ctx)
	defer stop()
	c.life = life
	c.pollHeight(life) // a ledger that does not answer yet is asked again
	c.recheckSelf(life)
	c.shared.Serve(c.host.Addrs())
	c.setOpen(true)
	c.host.Handle(transport.ProtocolControl, c.attend)
	close(c.ready)
	c.log.Info("serving", "addrs", c.host.Addrs())

	var group errgroup.Group
	group.Go(func() error { return c.every(life, c.cfg.Poll, c.pollHeight) })
	group.Go(func() error { return c.every(life, c.cfg.Poll, c.sweep) })
	answerer := draws.Answerer{Coordinator: c.key, ChainID: c.cfg.ChainID, Ledger: c.cfg.Ledger, Blobs: c.cfg.Blobs, Store: c.store, Log: c.log, Ours: c.ours}
	group.Go(func() error { return c.every(life, c.cfg.Poll, answerer.Answer) })
	group.Go(func() error { return c.every(life, c.cfg.ActorTTL, c.recheck) })
	group.Go(func() error { return c.every(life, forgetPause, c.forget) })
	select {
	case <-life.Done():
	case <-c.shared.Lost():
		stop()
	}
	c.setOpen(false)
	c.callers.Wait()
	c.keepQuality(context.WithoutCancel(ctx))
	return errors.Join(c.shared.Why(), group.Wait())
}

// recall reads what earlier runs knew of the miners.
func (c *Coordinator) recall(ctx context.Context) error {
	measured, err := c.store.Quality(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.quality = quality.New(measured, c.cfg.Pause)
	c.mu.Unlock()
	return c.loadExposure(ctx)
}

// every calls f again and again, d apart, until ctx ends.
func (c *Coordinator) every(ctx context.Context, d time.Duration, f func(context.Context)) error {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f(ctx)
		}
	}
}

func (c *Coordinator) setOpen(open bool) {
	c.gate.Lock()
	defer c.gate.Unlock()
	c.open = open
}

var errStopped = &essaim.Error{Code: essaim.CodeUnavailable, Msg: "the coordinator is not running", Hint: "try again in a moment"}

// enter lets a call in while Run serves. The context that it returns also ends when
// Run is to end; leave must be called.
func (c *Coordinator) enter(ctx context.Context) (_ context.Context, leave func(), _ error) {
	c.gate.Lock()
	defer c.gate.Unlock()
	if !c.open {
		return nil, nil, errStopped
	}
	c.callers.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	undo := context.AfterFunc(c.life, func() { cancel(errStopped) })
	return ctx, func() { undo(); cancel(nil); c.callers.Done() }, nil
}

// pollHeight reads the ledger's height.
func (c *Coordinator) pollHeight(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	h, err := c.cfg.Ledger.Height(ctx)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("ledger does not answer", "err", err)
		}
		return
	}
	c.height.Store(h)
	c.heightAt.Store(time.Now().UnixMilli())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serveQueue() // somebody's maintenance may be over, or the time that it is left out
}

// forgetPause is the time between two looks for results that need not be kept any more.
const forgetPause = 10 * time.Minute

// forget makes room in the log.
func (c *Coordinator) forget(ctx context.Context) {
	for dropped := int64(1); dropped > 0 && ctx.Err() == nil; {
		var err error
		if dropped, err = c.store.Forget(time.Now().Add(-c.cfg.Keep)); err != nil {
			c.log.Error("log cannot be written", "err", err)
			return
		}
	}
}

// roundTime is how long the first of several replicas waits for the others to commit.
const roundTime = 30 * time.Second

// ledgerTimeout bounds one question to the ledger.
const ledgerTimeout = 20 * time.Second

// currentHeight is the ledger's height as of a moment ago.
//
// Errors: CodeUnavailable if the ledger has not answered for a while: nobody can
// tell then whether a session is still open.
func (c *Coordinator) currentHeight() (int64, error) {
	stale := max(30*time.Second, 10*c.cfg.Poll)
	if time.Since(time.UnixMilli(c.heightAt.Load())) > stale {
		return 0, essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "the coordinator cannot reach the ledger")
	}
	return c.height.Load(), nil
}

// Info introduces the coordinator.
func (c *Coordinator) Info(ctx context.Context) (essaim.CoordinatorInfo, error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return essaim.CoordinatorInfo{}, err
	}
	defer leave()
	self, err := c.known.Actor(ctx, c.key)
	if err != nil {
		return essaim.CoordinatorInfo{}, err
	}
	models, miners := c.onOffer()
	return essaim.CoordinatorInfo{
		ChainID: c.cfg.ChainID, Coordinator: c.key, Owner: self.Owner, Fee: self.Fee,
		Models: models, Miners: miners,
		LedgerURL: c.cfg.LedgerURL, PeerAddrs: c.host.Addrs(), Version: c.cfg.Version,
		MinDeposit: c.cfg.MinDeposit, ExpiryAhead: c.cfg.ExpiryAhead,
	}, nil
}

// Task tells what is known of a task.
//
// Errors: CodeNotFound.
func (c *Coordinator) Task(ctx context.Context, digest essaim.Digest) (essaim.TaskRecord, error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return essaim.TaskRecord{}, err
	}
	defer leave()
	if j := c.job(digest); j != nil {
		return j.record(), nil
	}
	rec, err := c.store.Task(ctx, digest)
	rec.Trace = c.traces.Of(digest)
	return rec, err
}

// Stats tells how the coordinator is doing.
func (c *Coordinator) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Miners: len(c.miners), Tasks: len(c.jobs),
		Delivered: c.delivered.Load(), Ended: c.ended.Load(), Lost: c.lost.Load(),
		Rejected: c.rejected.Load(), Settled: c.settled.Load(), LeftOut: c.quality.Out(time.Now()),
	}
}
