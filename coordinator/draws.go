package coordinator

import (
	"context"
	"errors"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/receipts"
)

// answerDraws shows the ledger the leaves that the beacon asks for. What fails is tried
// again at the next look: an unanswered draw costs this coordinator a part of its stake,
// and its miners what waits.
func (c *Coordinator) answerDraws(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	draws, err := c.cfg.Ledger.Draws(ctx, c.key)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("draws cannot be asked for", "err", err)
		}
		return
	}
	of := map[essaim.SessionID][]essaim.Draw{}
	for _, d := range draws {
		of[d.Session] = append(of[d.Session], d)
	}
	for id, list := range of {
		if err := c.showLeaves(ctx, id, list); err != nil && ctx.Err() == nil {
			c.log.Error("a draw is not answered", "session", id.String(), "due", list[0].Due, "err", err)
		}
	}
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
			if _, err := receipts.Sum(ctx, c.cfg.Blobs.Put, c.cfg.ChainID, id, c.store.Counted(ctx, id)); err != nil {
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
