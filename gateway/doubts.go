package gateway

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/once"
)

const (
	// decideTick is how often tasks in doubt are asked after.
	decideTick = 5 * time.Second

	// forgetTick is how often requests that are too old to be repeated are forgotten.
	forgetTick = time.Hour
)

// decideOften decides, and forgets what is old, until the context ends, and decides a last time then: requests that were
// under way have ended.
func (g *Gateway) decideOften(ctx context.Context) {
	tick, forget := time.NewTicker(decideTick), time.NewTicker(forgetTick)
	defer tick.Stop()
	defer forget.Stop()
	for {
		select {
		case <-tick.C:
			g.succeed(ctx)
			g.decide(ctx)
		case <-forget.C:
			g.forget()
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

// forget drops what is too old to be repeated.
func (g *Gateway) forget() {
	if err := g.cfg.Keys.ForgetRepeats(time.Now()); err != nil {
		g.log.Error("old requests are still kept", "err", err)
	}
}

// repeat says whether a request with an Idempotency-Key may be done, and what of it was done before. Tasks of it that are in doubt are
// asked after. The caller frees the request when it is over.
//
// Errors: as once.Request.Decide's; CodeUnavailable if another instance has it under way.
func (g *Gateway) repeat(ctx context.Context, r *once.Request) (free func(), err error) {
	if free, err = g.cfg.Keys.Claim(r); err != nil {
		return nil, err
	}
	err = g.cfg.Keys.Repeat(ctx, r)
	if essaim.CodeOf(err) == essaim.CodeUnavailable {
		g.decide(ctx)
		err = g.cfg.Keys.Repeat(ctx, r)
	}
	if err != nil {
		free()
		return nil, err
	}
	return free, nil
}
