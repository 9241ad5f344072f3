package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
)

func newPixelCommand(c *cli) *cobra.Command {
	var (
		o        imagineOptions
		manifest string
	)
	cmd := &cobra.Command{
		Use:   "pixel PROMPT",
		Short: "Draw with the built-in engine on this machine: no network, no receipt, no price",
		Long: `Draws what PROMPT says with the engine that every miner has, in this process. The
same prompt, seed, size and steps give the same pixels on every machine: the hash
that is printed is the one that a miner's receipt would name.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.prompt, o.hasSeed = args[0], cmd.Flags().Changed("seed")
			return drawLocally(cmd.Context(), c, o, manifest)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 0, "fixes the picture bit for bit (default: drawn at random)")
	f.IntVar(&o.count, "count", 1, "pictures, with consecutive seeds")
	f.StringVar(&o.size, "size", "", "WxH in pixels (default: the model's)")
	f.Uint32Var(&o.steps, "steps", 0, "sampling steps (default: the model's)")
	f.StringVarP(&o.out, "out", "o", "", "file to write (default: after the prompt)")
	f.StringVar(&manifest, "model", "", "manifest of another model of this engine, its files beside it (default: the one in the binary)")
	return cmd
}

// local is one picture that was drawn on this machine.
type local struct {
	engine.Result
	request engine.Request
	file    string
	took    time.Duration
}

func drawLocally(ctx context.Context, c *cli, o imagineOptions, manifest string) error {
	began := time.Now()
	asked, err := o.request()
	if err != nil {
		return err
	}
	e, err := openPixel(manifest)
	if err != nil {
		return err
	}
	models, err := e.Models(ctx)
	if err != nil {
		return err
	}
	model := models[0]
	ready := time.Since(began)
	st := newStatus(c.stderr)
	defer st.clear()
	var pictures []local
	for i := range o.count {
		r := engine.Request{
			Model: model.Digest, Prompt: asked.Prompt, Seed: asked.Seed + uint64(i),
			Width: int(asked.Width), Height: int(asked.Height), Steps: int(asked.Steps),
		}
		p, err := drawOne(ctx, e, model, r, func(p engine.Progress) {
			st.set("drawing %d of %d %s step %d of %d", i+1, o.count, bar(p.Step, p.Steps), p.Step, p.Steps)
		})
		if err != nil {
			return err
		}
		p.file = o.fileName(i)
		if err := writePicture(p.file, p.Data); err != nil {
			return err
		}
		pictures = append(pictures, p)
	}
	st.clear()
	if c.json {
		return writeJSON(c.stdout, localReport(model, pictures, ready))
	}
	return c.tellLocal(model, pictures)
}

func openPixel(manifest string) (*pixel.Engine, error) {
	workers := pixel.WithWorkers(runtime.GOMAXPROCS(0)) // one picture at a time, so all of the machine for it
	if manifest == "" {
		return pixel.New(workers)
	}
	e, err := pixel.Open(manifest, workers)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "name a manifest.json with the files that it lists beside it", "--model %s: %w", manifest, err)
	}
	return e, nil
}

// drawOne runs one request whose size and steps may be 0, the model's defaults.
func drawOne(ctx context.Context, e *pixel.Engine, m engine.Model, r engine.Request, progress func(engine.Progress)) (local, error) {
	began := time.Now()
	fitted, err := m.Fit(r)
	var result engine.Result
	if err == nil {
		result, err = e.Run(ctx, fitted, progress)
	}
	if errors.Is(err, engine.ErrBadRequest) {
		var sizes []string
		for _, s := range m.Sizes {
			sizes = append(sizes, s.String())
		}
		hint := fmt.Sprintf("%s draws Latin words, in sizes %s and %d to %d steps", m.Name, strings.Join(sizes, ", "), m.MinSteps, m.MaxSteps)
		return local{}, essaim.Errorf(essaim.CodeBadInput, hint, "%w", err)
	}
	return local{Result: result, request: fitted, took: time.Since(began)}, err
}

func (c *cli) tellLocal(model engine.Model, pictures []local) error {
	w := c.stdout
	for _, p := range pictures {
		if err := showPicture(w, detectPictures(c.stdout, c.getenv), p.Data); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n", p.file)
		fmt.Fprintf(w, "  picture   %s, seed %d, %d steps of %s, drawn in %d ms\n",
			engine.Size{Width: p.request.Width, Height: p.request.Height}, p.request.Seed, p.Steps, model.Name, p.took.Milliseconds())
		fmt.Fprintf(w, "  pixels    %s\n", p.PixelsDigest)
		for _, warning := range p.Warnings {
			fmt.Fprintf(c.stderr, "essaim: warning: %s\n", oneLine(warning))
		}
	}
	return nil
}

// localReport is the JSON object of pixel. Its flat fields are about the first picture;
// with --count above 1, "pictures" has them all.
func localReport(model engine.Model, pictures []local, ready time.Duration) map[string]any {
	one := func(p local) map[string]any {
		return map[string]any{
			"picture": p.file, "pixels_sha256": p.PixelsDigest, "seed": p.request.Seed, "steps": p.Steps,
			"width": p.request.Width, "height": p.request.Height, "elapsed_ms": p.took.Milliseconds(), "warnings": append([]string{}, p.Warnings...),
		}
	}
	out := one(pictures[0])
	out["model"], out["model_digest"], out["engine"], out["ready_ms"] = model.Name, model.Digest, pixel.Name, ready.Milliseconds()
	if len(pictures) > 1 {
		all := make([]map[string]any, 0, len(pictures))
		for _, p := range pictures {
			all = append(all, one(p))
		}
		out["pictures"] = all
	}
	return out
}
