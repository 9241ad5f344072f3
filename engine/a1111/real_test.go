package a1111_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
)

// running is the address of a server that really runs.
func running(t *testing.T) string {
	t.Helper()
	return enginetest.Running(t, "ESSAIM_TEST_A1111", "http://127.0.0.1:7860, or stable-diffusion.cpp's at http://127.0.0.1:1234")
}

// TestRealA1111 keeps the whole contract with a real server.
func TestRealA1111(t *testing.T) {
	address := running(t)
	enginetest.Run(t, func() engine.Engine { return enginetest.Brief{Engine: open(t, address)} })
}

// TestRealA1111Begins: a picture to begin with matters, its strength does, and one that was called off holds nothing up for good.
func TestRealA1111Begins(t *testing.T) {
	e := open(t, running(t))
	models, err := e.Models(t.Context())
	if err != nil || len(models) == 0 {
		t.Fatalf("%d models: %v", len(models), err)
	}
	var results [][]byte
	for _, strength := range []int{0, 300, 900} {
		ask := engine.Request{Model: models[0].Digest, Prompt: "a red apple", Steps: 4}
		if strength > 0 {
			ask.Init, ask.Strength = string(enginetest.Painted(engine.Request{Prompt: "init", Width: 80, Height: 40}, "")), strength
		}
		got, err := e.Run(t.Context(), ask, nil)
		if err != nil {
			t.Fatalf("strength %d: %v", strength, err)
		}
		for _, r := range results {
			if bytes.Equal(r, got.Data) {
				t.Errorf("strength %d changes nothing", strength)
			}
		}
		results = append(results, got.Data)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := e.Run(ctx, engine.Request{Model: models[0].Digest, Prompt: "x", Steps: 20}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("called off: %v", err)
	}
	began := time.Now()
	if _, err := e.Run(t.Context(), engine.Request{Model: models[0].Digest, Prompt: "x", Steps: 1}, nil); err != nil {
		t.Error(err)
	}
	t.Logf("the next picture after one that was called off took %v", time.Since(began))
}
