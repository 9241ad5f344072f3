// Package draws answers the beacon's draws: it shows the ledger the leaves of settlements that a random value
// has named. What is drawn and what silence costs is the ledger's matter, what is settled the coordinator's.
package draws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/receipts"
)

const (
	// answerTimeout bounds one look at the draws. A transaction that a ledger's node has lost with
	// its mempool is waited for in vain: it must be sent again while there is time.
	answerTimeout = 15 * time.Second

	parallel = 8 // sessions at the same time
)

// Ledger is what is asked of the chain.
type Ledger interface {
	// Draws lists the leaves of a coordinator's settlements that the beacon asks for and
	// that were not shown yet.
	Draws(ctx context.Context, coordinator essaim.NodeKey) ([]essaim.Draw, error)

	// Open shows the leaf that covers a draw's point.
	Open(ctx context.Context, d essaim.Draw, o essaim.Opening) (essaim.Tx, error)
}

// Answerer answers a coordinator's draws.
type Answerer struct {
	Coordinator essaim.NodeKey
	ChainID     string
	Ledger      Ledger
	Blobs       blob.Store
	Store       *receiptlog.Log
	Log         *slog.Logger

	// Ours says which sessions are answered for here.
	Ours func(context.Context, essaim.SessionID) bool
}

// Answer shows the ledger the leaves that the beacon asks for, what is due first first,
// and of several sessions side by side: each answer waits for a block. What fails is tried
// again at the next look: an unanswered draw costs this coordinator a part of its stake,
// and its miners what waits.
func (a *Answerer) Answer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	draws, err := a.Ledger.Draws(ctx, a.Coordinator)
	if err != nil {
		if ctx.Err() == nil {
			a.Log.Warn("draws cannot be asked for", "err", err)
		}
		return
	}
	slices.SortFunc(draws, func(a, b essaim.Draw) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Session, b.Session), cmp.Compare(a.Index, b.Index))
	})
	var group errgroup.Group
	group.SetLimit(parallel)
	for len(draws) > 0 {
		n := slices.IndexFunc(draws, func(d essaim.Draw) bool { return d.Session != draws[0].Session })
		if n < 0 {
			n = len(draws)
		}
		list := draws[:n]
		draws = draws[n:]
		group.Go(func() error {
			if !a.Ours(ctx, list[0].Session) {
				return nil
			}
			if err := a.show(ctx, list[0].Session, list); err != nil && ctx.Err() == nil {
				a.Log.Error("a draw is not answered", "session", list[0].Session.String(), "due", list[0].Due, "err", err)
			}
			return nil
		})
	}
	_ = group.Wait() // each has said what went wrong
}

// show answers a session's draws from the set that its settlement names. Should the
// set be lost, it is made again: the log keeps every receipt.
func (a *Answerer) show(ctx context.Context, id essaim.SessionID, draws []essaim.Draw) error {
	i, err := a.Store.Intent(ctx, id)
	if err != nil {
		return err
	}
	if i == nil {
		return errors.New("the settlement is not in this log")
	}
	fetch := func(ctx context.Context, d, _ essaim.Digest) ([]byte, error) {
		b, err := a.Blobs.Get(ctx, d)
		if err != nil && essaim.CodeOf(err) == essaim.CodeNotFound {
			if _, err := receipts.SumChecked(ctx, a.Blobs.Put, a.ChainID, id, a.Store.Counted(ctx, id)); err != nil {
				return nil, fmt.Errorf("make the set again: %w", err)
			}
			b, err = a.Blobs.Get(ctx, d)
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
			_, err = a.Ledger.Open(ctx, d, o)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("draw %d: %w", d.Index, err))
			continue
		}
		a.Log.Info("draw answered", "session", id.String(), "draw", d.Index, "leaf", o.Index)
	}
	return errors.Join(errs...)
}
