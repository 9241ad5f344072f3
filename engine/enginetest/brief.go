package enginetest

import (
	"context"
	"os"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

// Brief is an engine whose models are asked for few tokens or steps at a time: one of random numbers, with which real engines
// are tried, hardly ever stops by itself, and no graphics card may be there.
type Brief struct{ engine.Engine }

// Models are the engine's, with at most 12 tokens, or with at most 3 steps if they draw and tell how many they take.
func (b Brief) Models(ctx context.Context) ([]engine.Model, error) {
	models, err := b.Engine.Models(ctx)
	for i, m := range models {
		switch {
		case m.Kind != essaim.KindImage:
			models[i].Steps, models[i].MaxSteps = 6, 12
		case m.MaxSteps > 0:
			models[i].Steps, models[i].MaxSteps = 1, 3
		}
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

// Running is the address, in an environment variable, of an engine's own server that really runs, to be asked for small pictures:
// there may be no graphics card. Without one the test is skipped; example shows how an address looks.
func Running(t *testing.T, variable, example string) string {
	t.Helper()
	address := os.Getenv(variable)
	if address == "" {
		t.Skipf("%s names no server that runs, such as %s", variable, example)
	}
	return address + "?sizes=64x64,128x64"
}
