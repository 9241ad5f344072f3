// Package verifier is the role that has finished tasks run again, and says what came of it.
//
// It takes what a coordinator has delivered, waits for a beacon that nobody knew when the
// receipt was signed, and asks it which receipts are audited and by whom (verify/duty). The
// drawn miner runs the task again as an ordinary task of a session that the audit budget
// pays: it gets the same acknowledgements, its receipt is a leaf of a settlement, and it
// cannot tell an audit from a user's task. So it commits to its result without having seen the one that is
// checked. Where two results differ, further miners are drawn; which of them is wrong is
// never decided by two.
//
// What follows is counted by verify/trust, for the miner and for whoever has checked it. Some tasks
// have a result that the verifier knows: canaries, which show who answers without running anything.
//
// The prompt: a verifier gets it from the client, sealed to it alone. A client that agrees
// beforehand may leave (its coordinator then reads the prompt of what is drawn). For one that is gone and has not agreed, the
// task is run again by another miner of its quote, to which the client has sealed the input
// already; if there is none, the receipt is not audited, and says so.
//
// The role must not put a prompt into its file, its log or a verdict. It needs of ledger and
// coordinator the interfaces below, and takes no stake: it hands faults to whoever can.
//
// # Concurrency
//
// Run owns all goroutines: one that looks at the ledger, and one for each audit under way.
// The exported methods may be called from anywhere. Verifier.mu is not held during I/O.
//
// Reading order: audit.go is the way of one audit, judge.go what its results mean, canary.go
// the known answers, book.go what is kept.
package verifier

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/trust"
)

// Ledger is what a verifier asks of the chain. Implementations are safe for concurrent use.
type Ledger interface {
	// Height is the last committed block's.
	Height(ctx context.Context) (int64, error)

	// BeaconAt is a height's random value.
	//
	// Errors: CodeNotFound if it has not come.
	BeaconAt(ctx context.Context, height int64) (essaim.Digest, error)

	// MinersAt lists all miners, retired ones too, as they were after a block.
	MinersAt(ctx context.Context, height int64) ([]essaim.Actor, error)

	Actor(ctx context.Context, node essaim.NodeKey) (essaim.Actor, error)
}

// Rerun asks for a task to be run again.
type Rerun struct {
	Task  essaim.Task
	Input []byte       // sealed, to the miner at least
	By    essaim.Actor // nobody else gets it
	Price essaim.Amount
}

// Rerunning is what comes of it.
type Rerunning struct {
	Receipt essaim.Receipt // checked, and by the miner that was asked
	File    essaim.ReceiptFile
	Sealed  []byte // the result, to the input's reply key
}

// Budget is the audit budget: it pays for reruns. Implementations are safe for concurrent
// use.
type Budget interface {
	// Rerun runs a task again as one of the budget's own.
	//
	// Errors: CodeUnavailable if that miner cannot do it now, CodeInsufficient if the budget
	// is used up.
	Rerun(ctx context.Context, r Rerun) (Rerunning, error)

	// Own reports whether a session is the budget's: what runs in it is not audited again.
	Own(id essaim.SessionID) bool
}

// Config is what a verifier needs. Fields with a stated default may be zero.
type Config struct {
	Key     ed25519.PrivateKey // signs verdicts: the coordinator's node key
	Seal    *seal.PrivateKey   // opens the inputs of clients that agree; nil: none
	ChainID string
	Ledger  Ledger
	Budget  Budget
	Book    string // path of what is kept (SQLite); created if missing

	// Exact reports whether a model gives the same bits on every machine. Receipts of others
	// are not compared, for that their results would have to be seen; their miners get
	// canaries.
	Exact func(model essaim.Digest) bool
	// Connected reports whether a miner can be asked now; nil: any.
	Connected func(miner essaim.NodeKey) bool
	// Known checks a result on this machine: canaries need it. Nil: there are none.
	Known verify.Method
	// Words are those that a model knows, from which canaries are made up; nil, or none: everyday ones.
	Words func(model essaim.Digest) []string
	// Evidence keeps what speaks against a miner, under names that a slash can state; nil:
	// nothing is kept. No user's prompt is in it.
	Evidence blob.Store
	// Fault is told of each result that is proven wrong; nil: nobody is. It must not block,
	// nor keep a prompt longer than it needs it.
	Fault func(verify.Fault)

	// Accuse is told what only people can judge; nil: nobody is. It must not block.
	Accuse func(Accusation)

	Canaries essaim.Bps    // of audits; default trust.Canaries
	Patience time.Duration // for a client to seal its input to the verifier; default 20 s
	Poll     time.Duration // between looks at the ledger's height; default 1 s
	Parallel int           // audits at the same time; default 4
	Logger   *slog.Logger  // nil: silent
}

// maxWaiting bounds what waits for its beacon, or for its audit.
const maxWaiting = 4096

// Verifier is the role. Make it with New.
type Verifier struct {
	cfg    Config
	key    essaim.NodeKey
	log    *slog.Logger
	book   *book // set by Run before ready is closed
	ready  chan struct{}
	places chan struct{} // holds a token for each audit under way

	mu      sync.Mutex
	audits  map[essaim.Digest]*audit // by task: those that are not in the book yet; guarded by mu
	records map[subject]kept         // guarded by mu
	rounds  map[round][]verify.Work  // replicas of the same request; guarded by mu
}

// subject is whom a record is about.
type subject struct {
	Miner essaim.NodeKey
	Model essaim.Digest
}

// New checks a configuration; it starts nothing and opens nothing.
//
// Errors: CodeBadInput, naming the field.
func New(cfg Config) (*Verifier, error) {
	for what, missing := range map[string]bool{
		"node key": len(cfg.Key) != ed25519.PrivateKeySize, "chain ID": cfg.ChainID == "", "ledger": cfg.Ledger == nil,
		"audit budget": cfg.Budget == nil, "file": cfg.Book == "", "word on which models are exact": cfg.Exact == nil,
	} {
		if missing {
			return nil, essaim.Errorf(essaim.CodeBadInput, "complete the verifier's configuration", "verifier: no %s", what)
		}
	}
	if cfg.Canaries == 0 {
		cfg.Canaries = trust.Canaries
	}
	if cfg.Patience == 0 {
		cfg.Patience = 20 * time.Second
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = 4
	}
	if cfg.Connected == nil {
		cfg.Connected = func(essaim.NodeKey) bool { return true }
	}
	if cfg.Fault == nil {
		cfg.Fault = func(verify.Fault) {}
	}
	if cfg.Words == nil {
		cfg.Words = func(essaim.Digest) []string { return nil }
	}
	if cfg.Accuse == nil {
		cfg.Accuse = func(Accusation) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	key := essaim.NodeKeyOf(cfg.Key)
	return &Verifier{
		cfg: cfg, key: key, log: cfg.Logger.With("verifier", key.Short()), ready: make(chan struct{}), places: make(chan struct{}, cfg.Parallel),
		audits: map[essaim.Digest]*audit{}, records: map[subject]kept{}, rounds: map[round][]verify.Work{},
	}, nil
}

// Ready is closed when Run knows what earlier runs knew.
func (v *Verifier) Ready() <-chan struct{} { return v.ready }

// Run audits until ctx ends and returns when all its goroutines have. What was not finished
// by then is audited by the next Run with the same book. It is called once.
//
// Errors: nil after ctx has ended; otherwise why the book cannot be opened.
func (v *Verifier) Run(ctx context.Context) (err error) {
	if v.book, err = openBook(v.cfg.Book); err != nil {
		return fmt.Errorf("verifier: open %s: %w", v.cfg.Book, err)
	}
	defer func() { err = errors.Join(err, v.book.close()) }()
	if err := v.recall(ctx); err != nil {
		return fmt.Errorf("verifier: read %s: %w", v.cfg.Book, err)
	}
	v.open()
	var group errgroup.Group
	tick := time.NewTicker(v.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-tick.C:
			v.look(ctx, &group)
		}
	}
}

func (v *Verifier) recall(ctx context.Context) error {
	list, err1 := v.book.records(ctx)
	unfinished, err2 := v.book.unfinished(ctx)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, u := range unfinished {
		if v.audits[u.Receipt.Task] == nil {
			v.add(u.Work, u.height)
		}
	}
	for s, k := range list {
		v.records[s] = k
	}
	return nil
}

// open lets Finished write into the book, and writes what came before that.
func (v *Verifier) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.ready)
	for _, a := range v.audits {
		v.book.wait(a.Work)
	}
}

// Finished takes note of a delivered task. It does not block: it is called on the way of
// every task.
func (v *Verifier) Finished(w verify.Work) {
	if v.cfg.Budget.Own(w.Receipt.Session) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.audits) >= maxWaiting {
		v.log.Warn("a receipt is not looked at: too many wait", "receipt", w.Receipt.Digest().Short())
		return
	}
	v.add(w, 0)
	select {
	case <-v.ready:
		v.book.wait(w)
	default:
	}
}

// add begins to wait for the beacon of a height, or for one to be fixed. v.mu is held.
func (v *Verifier) add(w verify.Work, height int64) {
	if _, asked := replicas(w.Task.Verify); asked {
		key := roundOf(w.Receipt)
		v.rounds[key] = append(v.rounds[key], w)
	}
	v.audits[w.Receipt.Task] = &audit{Work: w, state: essaim.AuditWaiting, height: height, shared: make(chan []byte, 1)}
}

// Barred reports whether a miner is to get no more tasks of a model: its machine is too odd
// for it, or it was convicted.
func (v *Verifier) Barred(miner essaim.NodeKey, model essaim.Digest) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.records[subject{miner, model}].Barred
}

// Record is what is known of a miner with a model.
func (v *Verifier) Record(miner essaim.NodeKey, model essaim.Digest) trust.Record {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.records[subject{miner, model}].Record
}

// Totals are how many results were judged by now, and how many of them were wrong.
func (v *Verifier) Totals() (judged, wrong uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range v.records {
		judged, wrong = judged+uint64(k.Audits), wrong+uint64(k.Wrongs)
	}
	return judged, wrong
}

// Checked says what is known of a task's receipt beyond its signatures.
//
// Errors: CodeNotFound if the task was not looked at.
func (v *Verifier) Checked(ctx context.Context, task essaim.Digest) (essaim.Checked, error) {
	v.mu.Lock()
	a := v.audits[task]
	var c essaim.Checked
	if a != nil {
		c = a.checked()
	}
	v.mu.Unlock()
	if a != nil {
		return c, nil
	}
	select {
	case <-v.ready:
		return v.book.checked(ctx, task)
	default:
		return c, essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "the verifier is not running")
	}
}

// Share takes a task's input, sealed to the miner that Checked names. That it is this input
// shows when it is opened.
//
// Errors: CodeConflict if it is not asked for; CodeRefused if it is sealed to another.
func (v *Verifier) Share(_ context.Context, task essaim.Digest, sealed []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.audits[task]
	switch {
	case a == nil || a.ask == nil:
		return essaim.Errorf(essaim.CodeConflict, "", "the input of task %s is not asked for", task.Short())
	case !seal.IDOf(a.ask.HPKEKey).IsRecipient(sealed):
		return essaim.Errorf(essaim.CodeRefused, "seal it to the miner that was named", "the input is sealed to another than miner %s", a.ask.NodeKey.Short())
	}
	select {
	case a.shared <- sealed:
	default: // once is enough
	}
	return nil
}
