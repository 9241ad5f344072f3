package coordinator

import (
	"context"

	"github.com/essaim/essaim"
)

// reasonLost is why a task ended; it is shown to users and kept in the log.
const reasonLost = "the instance of the coordinator that had the task was lost before it was delivered"

// own makes sure that a session is this instance's. What another one had under way is not any more: its inputs were
// in memory only, and whoever waits hands them in again.
func (c *Coordinator) own(ctx context.Context, id essaim.SessionID) error {
	return c.shared.Own(ctx, id, func() error {
		if err := c.store.EndUndeliveredOf(id, reasonLost); err != nil {
			return err
		}
		open, err := c.store.OwedBy(ctx, id)
		for _, o := range open {
			c.expose(o.Miner, o.Session, o.Amount)
		}
		return err
	})
}

// ours reports whether a session is this instance's, or was nobody's.
func (c *Coordinator) ours(ctx context.Context, id essaim.SessionID) bool {
	return c.own(ctx, id) == nil
}

// drop forgets a session that is over.
func (c *Coordinator) drop(id essaim.SessionID) {
	c.book.drop(id)
	c.shared.Drop(id)
}
