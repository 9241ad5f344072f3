package node

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/trial"
	"github.com/essaim/essaim/wallet"
)

// Court binds the account that puts up the bond to the ledger, as whoever disputes a receipt wants it.
func Court(chain *chainclient.Client, account *wallet.Account) trial.Court {
	return court{chain, account}
}

type court struct {
	*chainclient.Client
	account *wallet.Account
}

func (c court) Ask(ctx context.Context, id uint64, move []byte) error {
	_, err := c.MoveDispute(ctx, c.account, id, move, nil)
	return err
}

// maxFaults bounds the results that wait to be disputed, and again those that are.
const maxFaults = 64

// challenger disputes what the verifier has found to be wrong. It believes no miner: it runs
// the request itself and disputes only what this machine gets another result of. Prompts are
// in memory until the dispute is over, so what is not disputed when the node ends never is,
// and a game that it leaves is lost with its bond.
type challenger struct {
	chain   *chainclient.Client
	account *wallet.Account // puts up bonds
	engines map[essaim.Digest]engine.Engine
	poll    time.Duration
	faults  chan verify.Fault
	log     *slog.Logger
}

// take takes a fault over, and does not block.
func (c *challenger) take(f verify.Fault) {
	if f.Input == nil {
		c.log.Info("a wrong result is not disputed: its prompt was sealed to miners only")
		return
	}
	select {
	case c.faults <- f:
	default:
		c.log.Warn("a wrong result is not disputed: too many wait")
	}
}

// run disputes until ctx ends.
func (c *challenger) run(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(maxFaults)
	for {
		select {
		case <-ctx.Done():
			return group.Wait()
		case f := <-c.faults:
			group.Go(func() error {
				c.dispute(ctx, f)
				return nil
			})
		}
	}
}

// dispute opens a dispute about a wrong result as soon as the ledger takes it, and plays.
func (c *challenger) dispute(ctx context.Context, f verify.Fault) {
	r, err := essaim.OpenReceipt(f.File.Receipt)
	if err != nil {
		c.log.Warn("a wrong result is not disputed", "err", err)
		return
	}
	log := c.log.With("receipt", r.Digest().Short(), "miner", r.Miner.Short())
	if err := c.settled(ctx, r.Session); err != nil {
		log.Info("a wrong result is not disputed: its session is not settled", "err", err)
		return
	}
	run := c.again(ctx, r, f.Input)
	if run == nil || !run.Differs(r) {
		log.Warn("a wrong result is not disputed: this machine does not find another one", "ran", run != nil)
		return
	}
	id, _, err := c.chain.OpenDispute(ctx, c.account, f.File)
	if err != nil {
		log.Warn("a wrong result is not disputed", "err", err)
		return
	}
	log = log.With("dispute", id)
	log.Info("disputes a wrong result")
	c.play(ctx, log, id, run)
}

// play plays to the end, whatever is in the way: the ledger says when it is over.
func (c *challenger) play(ctx context.Context, log *slog.Logger, id uint64, run *trial.Run) {
	for {
		d, err := run.Play(ctx, Court(c.chain, c.account), id, func(number uint64, size int) {
			log.Debug("moved", "move", number, "bytes", size)
		})
		if err == nil {
			log.Info("a dispute is over", "verdict", d.Verdict, "moves", d.Turn, "slash", d.Slash)
			return
		}
		log.Warn("a dispute cannot be played", "err", err)
		if !c.wait(ctx) {
			return
		}
	}
}

// settled waits until a session has been settled; before that nothing in it can be disputed.
//
// Errors: the context's; why the ledger will never have it settled.
func (c *challenger) settled(ctx context.Context, id essaim.SessionID) error {
	for {
		s, err := c.chain.Session(ctx, id)
		switch {
		case err == nil && (s.State == essaim.SessionSettled || s.State == essaim.SessionExpired):
			return nil
		case err != nil && essaim.CodeOf(err) == essaim.CodeNotFound:
			return err
		case !c.wait(ctx):
			return ctx.Err()
		}
	}
}

func (c *challenger) wait(ctx context.Context) bool {
	select {
	case <-time.After(c.poll):
		return true
	case <-ctx.Done():
		return false
	}
}

// again runs what a receipt is of; nil: it cannot. Why is not said: the words could quote
// the prompt.
func (c *challenger) again(ctx context.Context, r essaim.Receipt, input []byte) *trial.Run {
	e := c.engines[r.Model]
	in, err := essaim.DecodeInput(input)
	if err != nil || e == nil {
		return nil
	}
	run, err := trial.Again(ctx, e, r, in.Prompt, in.PlanSalt())
	if err != nil {
		return nil
	}
	return run
}
