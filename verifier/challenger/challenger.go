// Package challenger takes results that a verifier has found wrong to the ledger, and plays the disputes to their end.
//
// It exists so that a miner that cheats is convicted, and its payer made whole, without anybody looking. It believes
// neither the verifier nor the miners that agreed: it runs each request itself and disputes only what this machine gets
// another result of, so that its bond is at stake for nothing but its own arithmetic.
//
// What it is about to dispute, and what it disputes, is in a file, so that a game goes on after any end of the program;
// the game itself is on the ledger. Prompts are kept there as the miner's defence keeps them: sealed to this node's own
// key, and no longer than the dispute lasts. No log line and no error holds one.
//
// # Concurrency
//
// Run owns all goroutines: one that looks at sessions, and one for each game. Take may be called from anywhere and does
// not block.
package challenger

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/trial"
)

// Ledger is where results are disputed. Implementations are safe for concurrent use.
type Ledger interface {
	trial.Court

	Session(ctx context.Context, id essaim.SessionID) (essaim.Session, error)

	// Open disputes a receipt, with a bond.
	Open(ctx context.Context, f essaim.ReceiptFile) (id uint64, err error)

	// Opened finds the dispute about a receipt that Open has opened and that is being played; 0: there is none.
	Opened(ctx context.Context, receipt essaim.Digest) (id uint64, err error)
}

// Config is what a challenger needs.
type Config struct {
	File    string           // path of what is kept (SQLite); created if missing
	Seal    *seal.PrivateKey // prompts are kept sealed to it
	Ledger  Ledger
	Engines map[essaim.Digest]engine.Engine // that run models here, by model

	// Settle asks that a session be settled now if this node has opened it, and is called again until nothing is left
	// to do; nil: nothing can be done. It must not block for longer than a transaction takes.
	Settle func(context.Context, essaim.SessionID) (done bool)

	Poll   time.Duration // between looks at sessions; default 1 s
	Logger *slog.Logger  // default: none
}

const (
	// maxWaiting bounds what waits to be disputed; a wrong result beyond it is not disputed, and its miner gets no more
	// work all the same.
	maxWaiting = 256

	// maxGames bounds the games that are played at the same time.
	maxGames = 16
)

// Challenger disputes. Make it with New.
type Challenger struct {
	cfg  Config
	log  *slog.Logger
	book *book
	news chan verify.Fault
}

// New opens the file and starts nothing. The caller calls Run once.
func New(cfg Config) (*Challenger, error) {
	if cfg.Poll <= 0 {
		cfg.Poll = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Seal == nil || cfg.Ledger == nil || cfg.File == "" {
		return nil, errors.New("challenger: key, ledger and file are needed")
	}
	return &Challenger{cfg: cfg, log: cfg.Logger, news: make(chan verify.Fault, maxWaiting)}, nil
}

// Take takes a fault over.
func (c *Challenger) Take(f verify.Fault) {
	if f.Input == nil {
		c.log.Info("a wrong result is not disputed here: its prompt was sealed to miners only")
		return
	}
	select {
	case c.news <- f:
	default:
		c.log.Warn("a wrong result is not disputed: too many wait")
	}
}

// Run disputes until ctx ends and returns when all its goroutines have. What is not over by then goes on when it is
// called again with the same file, if the ledger's time for a move has not passed.
//
// Errors: nil after ctx has ended; otherwise the file's.
func (c *Challenger) Run(ctx context.Context) (err error) {
	if c.book, err = openBook(c.cfg.File); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.book.close()) }()
	waiting, err := c.book.claims(ctx)
	if err != nil {
		return err
	}
	var games errgroup.Group
	games.SetLimit(maxGames)
	tick := time.NewTicker(c.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return games.Wait()
		case f := <-c.news:
			if x, ok := c.note(ctx, f); ok && len(waiting) < maxWaiting {
				waiting = append(waiting, x)
			}
		case <-tick.C:
			waiting = c.look(ctx, &games, waiting)
		}
	}
}

// claim is a receipt to dispute.
type claim struct {
	receipt essaim.Receipt
	file    essaim.ReceiptFile
	input   []byte // encoded, sealed to this node
	dispute uint64 // 0: it is not opened, or that was not noted any more
	asked   bool   // its session was asked to be settled
}

// note keeps a fault.
func (c *Challenger) note(ctx context.Context, f verify.Fault) (x claim, ok bool) {
	r, err := essaim.OpenReceipt(f.File.Receipt)
	if err == nil {
		x = claim{receipt: r, file: f.File}
		x.input, err = seal.Seal(f.Input, r.Input[:], c.cfg.Seal.PublicKey())
	}
	if err == nil {
		err = c.book.put(x)
	}
	if err != nil {
		c.log.Error("a wrong result is not disputed", "err", err)
	}
	return x, err == nil && ctx.Err() == nil
}

// look begins what can be disputed now, and returns what cannot yet.
func (c *Challenger) look(ctx context.Context, games *errgroup.Group, waiting []claim) (still []claim) {
	for _, x := range waiting {
		s, err := c.cfg.Ledger.Session(ctx, x.receipt.Session)
		switch {
		case err == nil && (x.dispute != 0 || s.State == essaim.SessionSettled || s.State == essaim.SessionExpired):
			if games.TryGo(func() error { c.dispute(ctx, x); return nil }) {
				continue
			}
		case err != nil && essaim.CodeOf(err) == essaim.CodeNotFound:
			c.drop(x, "the ledger does not know its session")
			continue
		case err == nil && !x.asked && c.cfg.Settle != nil:
			x.asked = c.cfg.Settle(ctx, x.receipt.Session)
		}
		still = append(still, x)
	}
	return still
}

// drop forgets a claim, with or without a reason to say.
func (c *Challenger) drop(x claim, why string) {
	if why != "" {
		c.log.Warn("a wrong result is not disputed", "receipt", x.receipt.Digest().Short(), "miner", x.receipt.Miner.Short(), "why", why)
	}
	if err := c.book.forget(x); err != nil {
		c.log.Error("a dispute cannot be forgotten", "err", err)
	}
}

// dispute opens a dispute and plays it to the end.
func (c *Challenger) dispute(ctx context.Context, x claim) {
	run := c.again(ctx, x)
	if ctx.Err() != nil {
		return
	}
	if run == nil || !run.Differs(x.receipt) {
		c.drop(x, "this machine does not find another result")
		return
	}
	for x.dispute == 0 {
		err := c.open(ctx, &x)
		switch code := essaim.CodeOf(err); {
		case err == nil:
		case ctx.Err() != nil:
			return
		case code == essaim.CodeUnavailable || code == essaim.CodeExpired || code == essaim.CodeInternal:
			c.log.Warn("a wrong result cannot be disputed now", "err", err)
			if !c.wait(ctx) {
				return
			}
		default: // as when the session can be contested no longer, or somebody else was first
			c.drop(x, err.Error())
			return
		}
	}
	c.play(ctx, x, run)
}

// open opens the dispute, unless an earlier run of the program has.
func (c *Challenger) open(ctx context.Context, x *claim) error {
	id, err := c.cfg.Ledger.Opened(ctx, x.receipt.Digest())
	if err == nil && id == 0 {
		id, err = c.cfg.Ledger.Open(ctx, x.file)
	}
	if err != nil {
		return err
	}
	x.dispute = id
	c.log.Info("disputes a wrong result", "dispute", id, "receipt", x.receipt.Digest().Short(), "miner", x.receipt.Miner.Short())
	return c.book.put(*x)
}

// play plays to the end, whatever is in the way: the ledger says when it is over.
func (c *Challenger) play(ctx context.Context, x claim, run *trial.Run) {
	log := c.log.With("dispute", x.dispute)
	for {
		d, err := run.Play(ctx, c.cfg.Ledger, x.dispute, func(number uint64, size int) {
			log.Debug("moved", "move", number, "bytes", size)
		})
		switch {
		case err == nil:
			log.Info("a dispute is over", "verdict", d.Verdict, "silent", d.Silent, "moves", d.Turn, "slash", d.Slash)
			c.drop(x, "")
			return
		case ctx.Err() != nil:
			return
		}
		log.Warn("a dispute cannot be played now", "err", err)
		if !c.wait(ctx) {
			return
		}
	}
}

func (c *Challenger) wait(ctx context.Context) bool {
	t := time.NewTimer(c.cfg.Poll)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// again runs what a receipt is of; nil: it cannot. Why is not said: the words could quote the prompt.
func (c *Challenger) again(ctx context.Context, x claim) *trial.Run {
	plain, err := c.cfg.Seal.Open(x.input, x.receipt.Input[:])
	if err != nil {
		return nil
	}
	in, err := essaim.DecodeInput(plain)
	e := c.cfg.Engines[x.receipt.Model]
	if err != nil || e == nil {
		return nil
	}
	run, err := trial.Again(ctx, e, x.receipt, in.Prompt, in.PlanSalt())
	if err != nil {
		return nil
	}
	return run
}
