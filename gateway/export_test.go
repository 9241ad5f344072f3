package gateway

import (
	"context"

	"github.com/essaim/essaim"
)

// TakeUp is what Run begins with.
func (g *Gateway) TakeUp(ctx context.Context) { g.takeUp(ctx) }

// UsePurse takes a session that can pay need, and gives it back.
func (g *Gateway) UsePurse(ctx context.Context, need essaim.Amount) error {
	f, err := g.purse.acquire(ctx, need)
	if err == nil {
		g.purse.release(f, need, false)
	}
	return err
}
