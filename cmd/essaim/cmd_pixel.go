package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/picture"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/quant"
)

func newPixelCommand(c *cli) *cobra.Command {
	var o localOptions
	cmd := &cobra.Command{
		Use:   "pixel PROMPT",
		Short: "Draw with the built-in engine on this machine: no network, no receipt, no price",
		Long: `Draws what PROMPT says with the engine that every miner has, in this process. The
same prompt, seed, size and steps give the same pixels on every machine: the hash
that is printed is the one that a miner's receipt would name.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.prompt, o.hasSeed = args[0], cmd.Flags().Changed("seed")
			return drawLocally(cmd.Context(), c, o)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 0, "fixes the picture bit for bit (default: drawn at random)")
	f.IntVar(&o.count, "count", 1, "pictures, with consecutive seeds")
	f.StringVar(&o.size, "size", "", "WxH in pixels (default: the model's)")
	f.Uint32Var(&o.steps, "steps", 0, "sampling steps (default: the model's)")
	f.StringVarP(&o.out, "out", "o", "", "file to write (default: after the prompt)")
	f.StringVar(&o.trace, "trace", "", "file to write the run's trace to: every operator's output, in the form that package quant defines")
	f.StringVar(&o.manifest, "model", "", "manifest of another model of this engine, its files beside it (default: the one in the binary)")
	return cmd
}

// localOptions is what the flags of pixel say.
type localOptions struct {
	imagineOptions
	manifest string
	trace    string
}

// request checks what can be checked before the engine is opened.
func (o localOptions) request() (engine.Request, error) {
	r, err := o.imagineOptions.request()
	if err == nil && o.trace != "" && o.count > 1 {
		err = essaim.Errorf(essaim.CodeBadInput, "draw one picture at a time", "--trace writes one run, not --count %d", o.count)
	}
	return engine.Request{Prompt: r.Prompt, Seed: r.Seed, Width: int(r.Width), Height: int(r.Height), Steps: int(r.Steps)}, err
}

// local is one picture that was drawn on this machine.
type local struct {
	engine.Result
	request engine.Request
	file    string
	took    time.Duration
	root    *essaim.Digest // of the trace; nil: none was written
}

// enough is the memory beyond its files, in bytes, that drawing is to get by with: below it a
// collection follows every few large pictures instead of waiting until there is twice as much.
const enough = 40 << 20

func drawLocally(ctx context.Context, c *cli, o localOptions) error {
	began := time.Now()
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // else GOMEMLIMIT says otherwise
		debug.SetMemoryLimit(enough)
	}
	r, err := o.request()
	if err != nil {
		return err
	}
	e, err := openPixel(o.manifest)
	if err != nil {
		return err
	}
	models, err := e.Models(ctx)
	if err != nil {
		return err
	}
	model := models[0]
	r.Model = model.Digest
	ready := time.Since(began)
	st := newStatus(c.stderr)
	defer st.clear()
	var report []map[string]any
	for i := range o.count {
		p, err := drawOne(ctx, e, model, r, o.trace, func(p engine.Progress) {
			st.set("drawing %d of %d %s step %d of %d", i+1, o.count, bar(p.Step, p.Steps), p.Step, p.Steps)
		})
		if err != nil {
			return err
		}
		p.file = o.fileName(i)
		if err := writePicture(p.file, p.Data); err != nil {
			return err
		}
		st.clear()
		if c.json {
			report = append(report, p.report())
		} else if err := c.tellLocal(model, p, o.trace); err != nil {
			return err
		}
		r.Seed++
	}
	if c.json {
		return term.JSON(c.stdout, localReport(model, report, ready))
	}
	return nil
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

// drawOne runs one request whose size and steps may be 0, the model's defaults, and
// writes its trace if a file is named.
func drawOne(ctx context.Context, e *pixel.Engine, m engine.Model, r engine.Request, trace string, progress func(engine.Progress)) (local, error) {
	began := time.Now()
	p := local{}
	var err error
	if p.request, err = m.Fit(r); err == nil {
		if trace == "" {
			p.Result, err = e.Run(ctx, p.request, progress)
		} else {
			err = p.runTraced(ctx, e, trace)
		}
	}
	if errors.Is(err, engine.ErrBadRequest) {
		var sizes []string
		for _, s := range m.Sizes {
			sizes = append(sizes, s.String())
		}
		hint := fmt.Sprintf("%s draws what it knows by a name in Latin letters, in sizes %s", m.Name, strings.Join(sizes, ", "))
		if m.MaxSteps > 1 {
			hint += fmt.Sprintf(" and %d to %s", m.MinSteps, steps(m.MaxSteps))
		}
		return p, essaim.Errorf(essaim.CodeBadInput, hint, "%w", err)
	}
	p.took = time.Since(began)
	return p, err
}

// runTraced writes the records of all operators, one after the other, and commits to
// them with their root.
func (p *local) runTraced(ctx context.Context, e *pixel.Engine, name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "choose another place with --trace", "write trace: %w", err)
	}
	w := bufio.NewWriter(f) // keeps its first error until Flush
	var (
		hash   quant.TraceHash
		record []byte
	)
	p.Result, err = e.RunTraced(ctx, p.request, func(o quant.Op) {
		record = o.AppendRecord(record[:0])
		w.Write(record)
		hash.Add(o)
	})
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(name))
	}
	root := essaim.Digest(hash.Root())
	p.root = &root
	return errors.Join(w.Flush(), f.Close())
}

// tellLocal tells of one picture as soon as it is drawn, so that none is kept for the next.
func (c *cli) tellLocal(model engine.Model, p local, trace string) error {
	w := c.stdout
	if err := picture.Show(w, picture.Detect(c.stdout, c.getenv), p.Data); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n", p.file)
	fmt.Fprintf(w, "  picture   %s, seed %d, %s of %s, drawn in %d ms\n",
		engine.Size{Width: p.request.Width, Height: p.request.Height}, p.request.Seed, steps(p.Steps), model.Name, p.took.Milliseconds())
	fmt.Fprintf(w, "  pixels    %s\n", p.PixelsDigest)
	if p.root != nil {
		fmt.Fprintf(w, "  trace     %s, root %s\n", trace, p.root)
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(c.stderr, "essaim: warning: %s\n", oneLine(warning))
	}
	return nil
}

// report is the JSON object of one picture, without the picture itself.
func (p local) report() map[string]any {
	out := map[string]any{
		"picture": p.file, "pixels_sha256": p.PixelsDigest, "seed": p.request.Seed, "steps": p.Steps,
		"width": p.request.Width, "height": p.request.Height, "elapsed_ms": p.took.Milliseconds(), "warnings": append([]string{}, p.Warnings...),
	}
	if p.root != nil {
		out["trace_root"] = p.root
	}
	return out
}

// localReport is the JSON object of pixel. Its flat fields are about the first picture;
// with --count above 1, "pictures" has them all.
func localReport(model engine.Model, pictures []map[string]any, ready time.Duration) map[string]any {
	out := maps.Clone(pictures[0])
	out["model"], out["model_digest"], out["engine"], out["ready_ms"] = model.Name, model.Digest, pixel.Name, ready.Milliseconds()
	if len(pictures) > 1 {
		out["pictures"] = pictures
	}
	return out
}
