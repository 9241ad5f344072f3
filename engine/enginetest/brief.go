package enginetest

import (
	"context"

	"github.com/essaim/essaim/engine"
)

// Brief is an engine whose models are asked for few tokens at a time: one of random numbers, with which real engines are
// tried, hardly ever stops by itself.
type Brief struct{ engine.Engine }

// Models are the engine's, with at most 12 tokens.
func (b Brief) Models(ctx context.Context) ([]engine.Model, error) {
	models, err := b.Engine.Models(ctx)
	for i := range models {
		models[i].Steps, models[i].MaxSteps = 6, 12
	}
	return models, err
}

// Run fits the request to those.
func (b Brief) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	models, err := b.Models(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	for _, m := range models {
		if m.Digest != r.Model {
			continue
		}
		if r, err = m.Fit(r); err != nil {
			return engine.Result{}, err
		}
	}
	return b.Engine.Run(ctx, r, progress)
}
