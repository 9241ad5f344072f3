package pixel

import (
	"context"
	"errors"
	"fmt"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// together is how many things are drawn at once, or one picture's if that is more: yet more
// would read the weights hardly less often and take more memory.
const together = 16

// RunBatch draws several pictures, each the same as Run would draw, and returns their
// results in the order of the requests. It reads each weight once for up to sixteen things. A picture whose trace
// is asked for is drawn alone: what is drawn together has one trace.
//
// Errors: as Run, for the first request that cannot be run, before any is.
func (e *Engine) RunBatch(ctx context.Context, rs []engine.Request) ([]engine.Result, error) {
	plans := make([]plan, len(rs))
	for i, r := range rs {
		p, err := e.plan(r)
		if err != nil {
			return nil, fmt.Errorf("request %d of %d: %w", i+1, len(rs), err)
		}
		plans[i] = p
	}
	var out []engine.Result
	for len(plans) > 0 {
		n, things := 1, len(plans[0].things)
		for n < len(plans) && things+len(plans[n].things) <= together && plans[0].hash == nil && plans[n].hash == nil {
			things += len(plans[n].things)
			n++
		}
		some, err := e.drawSome(ctx, plans[:n])
		if err != nil {
			return nil, fmt.Errorf("drawing %d pictures: %w", n, err)
		}
		out, plans = append(out, some...), plans[n:]
	}
	return out, nil
}

func (e *Engine) drawSome(ctx context.Context, ps []plan) ([]engine.Result, error) {
	pictures, err := e.draw(ctx, ps, nil, nil)
	if err != nil {
		return nil, err
	}
	out, failed := make([]engine.Result, len(ps)), make([]error, len(ps))
	quant.Each(len(ps), e.workers, func(i int) { out[i], failed[i] = e.finish(ps[i], pictures[i]) })
	return out, errors.Join(failed...)
}
