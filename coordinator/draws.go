package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/receipts"
)

// answerTimeout bounds one look at the draws. A transaction that a ledger's node has lost with
// its mempool is waited for in vain: it must be sent again while there is time.
const answerTimeout = 15 * time.Second

// answerDraws shows the ledger the leaves that the beacon asks for, what is due first first,
// and of several sessions side by side: each answer waits for a block. What fails is tried
// again at the next look: an unanswered draw costs this coordinator a part of its stake,
// and its miners what waits.
func (c *Coordinator) answerDraws(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	draws, err := c.cfg.Ledger.Draws(ctx, c.key)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("draws cannot be asked for", "err", err)
		}
		return
	}
	slices.SortFunc(draws, func(a, b essaim.Draw) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Session, b.Session), cmp.Compare(a.Index, b.Index))
	})
	var group errgroup.Group
	group.SetLimit(settleParallel)
	for len(draws) > 0 {
		n := slices.IndexFunc(draws, func(d essaim.Draw) bool { return d.Session != draws[0].Session })
		if n < 0 {
			n = len(draws)
		}
		list := draws[:n]
		draws = draws[n:]
		group.Go(func() error {
			if err := c.showLeaves(ctx, list[0].Session, list); err != nil && ctx.Err() == nil {
				c.log.Error("a draw is not answered", "session", list[0].Session.String(), "due", list[0].Due, "err", err)
			}
			return nil
		})
	}
	_ = group.Wait() // each has said what went wrong
}

// showLeaves answers a session's draws from the set that its settlement names. Should the
// set be lost, it is made again: the log keeps every receipt.
func (c *Coordinator) showLeaves(ctx context.Context, id essaim.SessionID, draws []essaim.Draw) error {
	i, err := c.store.Intent(ctx, id)
	if err != nil {
		return err
	}
	if i == nil {
		return errors.New("the settlement is not in this log")
	}
	fetch := func(ctx context.Context, d, _ essaim.Digest) ([]byte, error) {
		b, err := c.cfg.Blobs.Get(ctx, d)
		if err != nil && essaim.CodeOf(err) == essaim.CodeNotFound {
			if _, err := receipts.SumChecked(ctx, c.cfg.Blobs.Put, c.cfg.ChainID, id, c.store.Counted(ctx, id)); err != nil {
				return nil, fmt.Errorf("make the set again: %w", err)
			}
			b, err = c.cfg.Blobs.Get(ctx, d)
		}
		return b, err
	}
	opener, err := receipts.Open(ctx, fetch, i.Settlement.Receipts)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range draws {
		o, err := opener.At(ctx, d.Point)
		if err == nil {
			_, err = c.cfg.Ledger.Open(ctx, d, o)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("draw %d: %w", d.Index, err))
			continue
		}
		c.log.Info("draw answered", "session", id.String(), "draw", d.Index, "leaf", o.Index)
	}
	return errors.Join(errs...)
}
