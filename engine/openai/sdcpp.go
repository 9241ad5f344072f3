package openai

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// The server of stable-diffusion.cpp calls its model by the same name whatever its weights are, and takes no seed and no
// steps, except in the prompt: between these two it reads settings of every kind, and takes them out. So the driver asks for
// the weights' name elsewhere, writes seed and steps there, and refuses what anybody else has written there, with any server.
const (
	sdcpp  = "sd-cpp-local"
	opens  = "<sd_cpp_extra_args>"
	closes = "</sd_cpp_extra_args>"
)

const maxSteps = 100

// weights are the model that a stable-diffusion.cpp has now.
//
// Errors: wraps adapter.ErrBroken if it does not say or if they draw no pictures, else those of adapter.Client.
func (e *Engine) weights(ctx context.Context) (engine.Model, error) {
	var got struct {
		Model struct{ Stem string }
		Modes map[string]struct {
			Sample struct {
				Steps int `json:"sample_steps"`
			} `json:"sample_params"`
		} `json:"defaults_by_mode"`
	}
	if err := e.client.Get(ctx, "/sdcpp/v1/capabilities", adapter.MaxSmall, &got); errors.Is(err, engine.ErrNoModel) {
		return engine.Model{}, fmt.Errorf("%w: this stable-diffusion.cpp does not say which weights it has; a newer one does", adapter.ErrBroken)
	} else if err != nil {
		return engine.Model{}, err
	}
	mode, ok := got.Modes["img_gen"]
	if !ok || got.Model.Stem == "" {
		return engine.Model{}, fmt.Errorf("%w: it names no weights that draw pictures", adapter.ErrBroken)
	}
	m := adapter.Describe(Name, got.Model.Stem, essaim.KindImage, essaim.MeterPixelStep, "")
	m.Sizes, m.MinSteps, m.MaxSteps, m.Steps = e.sizes, 1, maxSteps, min(max(cmp.Or(mode.Sample.Steps, 20), 1), maxSteps)
	return m, nil
}

// order is a picture's prompt as the server takes it. Models of other servers have no steps.
//
// Errors: wraps engine.ErrBadRequest or engine.ErrNoModel, or those of weights.
func (e *Engine) order(ctx context.Context, m engine.Model, r engine.Request) (string, error) {
	if strings.Contains(r.Prompt, opens) {
		return "", fmt.Errorf("%w: the prompt has settings in it", engine.ErrBadRequest)
	}
	if m.MaxSteps == 0 {
		return r.Prompt, nil
	}
	if now, err := e.weights(ctx); err != nil {
		return "", err
	} else if now.Digest != m.Digest {
		return "", fmt.Errorf("%w: the server has other weights now", engine.ErrNoModel)
	}
	settings, err := json.Marshal(map[string]any{"seed": adapter.Seed(r.Seed), "sample_params": map[string]int{"sample_steps": r.Steps}})
	if err != nil {
		return "", fmt.Errorf("write the settings: %w", err) // numbers always encode
	}
	return opens + string(settings) + closes + r.Prompt, nil
}
