package gateway

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
)

// decideTick is how often tasks in doubt are asked after.
const decideTick = 5 * time.Second

// decideOften decides until the context ends, and a last time then: requests that were
// under way have ended.
func (g *Gateway) decideOften(ctx context.Context) {
	tick := time.NewTicker(decideTick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.decide(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), decideTick)
			defer cancel()
			g.decide(last)
			return
		}
	}
}

// decide asks the coordinator what became of the tasks whose request has ended without a
// picture, or with the program, and enters it into the books: each receipt is in them
// once, whoever bears it. What cannot be told yet is left for the next time.
func (g *Gateway) decide(ctx context.Context) {
	doubts, err := g.cfg.Keys.Undecided(ctx)
	if err != nil {
		if ctx.Err() == nil {
			g.log.Error("tasks in doubt cannot be read", "err", err)
		}
		return
	}
	for _, d := range doubts {
		if err := g.decideOne(ctx, d); err != nil && ctx.Err() == nil {
			g.log.Warn("a task stays in doubt", "task", d.Task.Short(), "session", d.Session, "err", err)
		}
	}
}

func (g *Gateway) decideOne(ctx context.Context, d apikey.Doubt) error {
	r, err := g.cfg.Coordinator.Task(ctx, d.Task)
	switch {
	case err != nil && essaim.CodeOf(err) == essaim.CodeNotFound:
		return g.cfg.Keys.Unpaid(d) // it was never handed in
	case err != nil:
		return err
	case r.State == essaim.TaskDelivered || r.State == essaim.TaskSettled:
		return g.cfg.Keys.Paid(ctx, d, r.Price)
	case r.State.Final():
		return g.cfg.Keys.Unpaid(d)
	}
	return nil
}
