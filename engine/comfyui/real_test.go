package comfyui_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
)

// running is the address of a server that really runs.
func running(t *testing.T) string {
	t.Helper()
	return enginetest.Running(t, "ESSAIM_TEST_COMFYUI", "http://127.0.0.1:8188")
}

// TestRealComfyUI keeps the whole contract with a real ComfyUI.
func TestRealComfyUI(t *testing.T) {
	address := running(t)
	enginetest.Run(t, func() engine.Engine { return enginetest.Brief{Engine: open(t, address)} })
	if v, err := open(t, address).Version(t.Context()); err != nil || v == "" {
		t.Errorf("version %q: %v", v, err)
	} else {
		t.Logf("ComfyUI %s", v)
	}
}

// TestRealComfyUITells every step of one with previews (--preview-method latent2rgb), begins with a picture, and frees the
// server when nobody waits any more.
func TestRealComfyUITells(t *testing.T) {
	e := open(t, running(t))
	models, err := e.Models(t.Context())
	if err != nil || len(models) == 0 {
		t.Fatalf("%d models: %v", len(models), err)
	}
	var steps []int
	shown := 0
	ask := engine.Request{Model: models[0].Digest, Prompt: "a red apple", Seed: uint64(time.Now().UnixNano()), Steps: 4, Previews: true}
	if _, err := e.Run(t.Context(), ask, func(p engine.Progress) {
		steps = append(steps, p.Step)
		if p.Preview != nil {
			shown++
		}
	}); err != nil || !slices.Equal(steps, []int{1, 2, 3, 4}) || shown == 0 {
		t.Errorf("steps %v, %d shown, %v", steps, shown, err)
	}

	ask.Init, ask.Strength, steps = string(enginetest.Painted(engine.Request{Prompt: "init", Width: 80, Height: 40}, "")), 500, nil
	if _, err := e.Run(t.Context(), ask, func(p engine.Progress) {
		steps = append(steps, p.Step)
		if p.Steps > 4 {
			t.Errorf("step %d of %d", p.Step, p.Steps)
		}
	}); err != nil || len(steps) == 0 {
		t.Errorf("beginning with a picture: steps %v, %v", steps, err)
	}

	ask.Init, ask.Steps, ask.Seed = "", 100, ask.Seed+1
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := e.Run(ctx, ask, func(engine.Progress) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
	ask.Steps, ask.Seed = 1, ask.Seed+1
	began := time.Now()
	if _, err := e.Run(t.Context(), ask, nil); err != nil {
		t.Error(err)
	}
	t.Logf("the next picture after one that was called off took %v", time.Since(began))
}
