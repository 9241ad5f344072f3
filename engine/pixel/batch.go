package pixel

import (
	"context"
	"fmt"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// together is how many pictures are drawn at once: more would read the weights hardly
// less often and take more memory.
const together = 16

// RunBatch draws several pictures, each the same as Run would draw, and returns their
// results in the order of the requests. It reads each weight once for up to sixteen
// pictures of the same number of steps.
//
// Errors: as Run, for the first request that cannot be run, before any is.
func (e *Engine) RunBatch(ctx context.Context, rs []engine.Request) ([]engine.Result, error) {
	plans := make([]plan, len(rs))
	bySteps := make([][]int, e.model.MaxSteps+1) // the requests' indices
	for i, r := range rs {
		p, err := e.plan(r)
		if err != nil {
			return nil, fmt.Errorf("request %d of %d: %w", i+1, len(rs), err)
		}
		plans[i] = p
		bySteps[p.request.Steps] = append(bySteps[p.request.Steps], i)
	}
	out := make([]engine.Result, len(rs))
	for _, same := range bySteps {
		for len(same) > 0 {
			n := min(len(same), together)
			if err := e.drawSome(ctx, out, plans, same[:n]); err != nil {
				return nil, fmt.Errorf("drawing %d pictures: %w", n, err)
			}
			same = same[n:]
		}
	}
	return out, nil
}

// drawSome puts the results of the chosen plans to their places in out.
func (e *Engine) drawSome(ctx context.Context, out []engine.Result, plans []plan, chosen []int) error {
	ps := make([]plan, len(chosen))
	for i, c := range chosen {
		ps[i] = plans[c]
	}
	pictures, err := e.draw(ctx, &quant.Tape{Workers: e.workers}, ps, nil)
	if err != nil {
		return err
	}
	failed := make([]error, len(ps))
	quant.Each(len(ps), e.workers, func(i int) { out[chosen[i]], failed[i] = e.finish(ps[i], pictures[i]) })
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}
