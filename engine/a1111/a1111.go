// Package a1111 is the driver of the web interface of stable diffusion that is known as
// AUTOMATIC1111, started with --api, and of programs that speak its interface, such as Forge and the
// server of stable-diffusion.cpp.
//
// One picture is drawn at a time, as the program does anyway: so its progress and its interruption
// are those of the request at hand. A checkpoint is named by its own digest where the program has
// computed one.
//
// The server of stable-diffusion.cpp has one checkpoint, computes no digest, tells no progress and cannot be interrupted; and
// it reads settings out of the prompt, which would let a stranger have it do anything: such a prompt is refused.
//
// The package must not change the program's settings for anybody else: what it overrides is
// restored after each picture.
package a1111

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// Name of the engine.
const Name = "a1111"

const (
	settings  = "<sd_cpp_extra_args>" // what stable-diffusion.cpp reads out of a prompt begins so
	maxModels = 500
	sampler   = "Euler a" // which every version has
	look      = 300 * time.Millisecond
	stopTime  = 5 * time.Second // for the interruption of a picture that nobody wants any more
)

// Engine is one server. Use New.
type Engine struct {
	client  *adapter.Client
	catalog adapter.Catalog
	sizes   []engine.Size
	turn    chan struct{} // holds a token while a picture is drawn
}

var _ engine.Engine = (*Engine)(nil)

// New names a server, such as http://127.0.0.1:7860, or with the sizes that it draws, http://127.0.0.1:7860?sizes=512x512.
// Nothing is sent yet.
func New(address string) (*Engine, error) {
	client, err := adapter.Dial(address)
	if err != nil {
		return nil, err
	}
	sizes, err := adapter.SizesAt(address)
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", Name, err)
	}
	e := &Engine{client: client, sizes: sizes, turn: make(chan struct{}, 1)}
	e.catalog.List = e.list
	return e, nil
}

// Name is "a1111".
func (e *Engine) Name() string { return Name }

// Close drops the connections that are not in use.
func (e *Engine) Close() error { e.client.Close(); return nil }

// Models asks the server for its checkpoints.
func (e *Engine) Models(ctx context.Context) ([]engine.Model, error) { return e.catalog.Models(ctx) }

// checkpoint is one as the server lists it. Its title is what selects it.
type checkpoint struct {
	Title  string `json:"title"`
	Name   string `json:"model_name"`
	Hash   string `json:"hash"` // the first digits of the digest
	SHA256 string `json:"sha256"`
}

func (e *Engine) checkpoints(ctx context.Context) ([]checkpoint, error) {
	var got []checkpoint
	err := e.client.Get(ctx, "/sdapi/v1/sd-models", adapter.MaxSmall, &got)
	return got[:min(len(got), maxModels)], err
}

// source is the digest; stable-diffusion.cpp has the digit 8 throughout for all of them.
func (c checkpoint) source() string {
	if c.SHA256 != "" && strings.Trim(c.SHA256, c.SHA256[:1]) == "" {
		return ""
	}
	return c.SHA256
}

func (e *Engine) describe(name, source string) engine.Model {
	m := adapter.Describe(Name, name, essaim.KindImage, essaim.MeterPixelStep, source)
	m.Sizes, m.MinSteps, m.MaxSteps, m.Steps = e.sizes, 1, 100, 20
	m.Inits = true
	return m
}

func (e *Engine) list(ctx context.Context) ([]engine.Model, error) {
	list, err := e.checkpoints(ctx)
	if err != nil {
		return nil, err
	}
	var out []engine.Model
	seen := map[essaim.Digest]bool{}
	for _, c := range list {
		if m := e.describe(c.Name, c.source()); c.Name != "" && !seen[m.Digest] {
			seen[m.Digest] = true
			out = append(out, m)
		}
	}
	return out, nil
}

type drawRequest struct {
	Prompt   string            `json:"prompt"`
	Seed     uint64            `json:"seed"`
	Sampler  string            `json:"sampler_name"`
	Batch    int               `json:"batch_size"`
	Rounds   int               `json:"n_iter"`
	Steps    int               `json:"steps"`
	Width    int               `json:"width"`
	Height   int               `json:"height"`
	Override map[string]string `json:"override_settings"`
	Restore  bool              `json:"override_settings_restore_afterwards"`
	NoFile   bool              `json:"do_not_save_samples"`
	NoGrid   bool              `json:"do_not_save_grid"`
	Send     bool              `json:"send_images"`
	Save     bool              `json:"save_images"`

	Inits    [][]byte `json:"init_images,omitempty"`
	Strength float64  `json:"denoising_strength,omitempty"`
}

// Run draws a picture.
func (e *Engine) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	m, r, err := e.catalog.Fit(ctx, r)
	if err != nil {
		return engine.Result{}, err
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return engine.Result{}, ctx.Err()
	}
	if strings.Contains(r.Prompt, settings) {
		return engine.Result{}, fmt.Errorf("%w: the prompt has settings in it", engine.ErrBadRequest)
	}
	c, err := e.find(ctx, m)
	if err != nil {
		return engine.Result{}, err
	}
	stop := e.watch(ctx, r, progress)
	file, err := e.draw(ctx, c, r)
	stop()
	if ctx.Err() != nil {
		e.interrupt(context.WithoutCancel(ctx))
		return engine.Result{}, ctx.Err()
	}
	if err != nil {
		return engine.Result{}, err
	}
	return adapter.Picture(file, r, r.Steps)
}

// draw asks for a picture and returns its file.
func (e *Engine) draw(ctx context.Context, c checkpoint, r engine.Request) ([]byte, error) {
	var got struct {
		Images []string
		Info   string // is JSON
	}
	path, ask := "/sdapi/v1/txt2img", drawRequest{
		Prompt: r.Prompt, Seed: adapter.Seed(r.Seed), Sampler: sampler, Batch: 1, Rounds: 1, Steps: r.Steps, Width: r.Width, Height: r.Height,
		Override: map[string]string{"sd_model_checkpoint": c.Title}, Restore: true, NoFile: true, NoGrid: true, Send: true,
	}
	if r.Init != "" {
		path, ask.Inits, ask.Strength = "/sdapi/v1/img2img", [][]byte{[]byte(r.Init)}, float64(r.Strength)/1000
	}
	if err := e.client.Post(ctx, path, ask, adapter.MaxPicture, &got); err != nil {
		return nil, err
	}
	if len(got.Images) != 1 {
		return nil, fmt.Errorf("%w: %d pictures, one was asked for", adapter.ErrBroken, len(got.Images))
	}
	var with struct {
		Hash string `json:"sd_model_hash"`
	}
	_ = json.Unmarshal([]byte(got.Info), &with) // a server that does not say with what it has drawn is believed
	if with.Hash != "" && c.Hash != "" && with.Hash != c.Hash {
		return nil, fmt.Errorf("%w: it has drawn with another checkpoint", adapter.ErrBroken) // as it does when it cannot find the one that was asked for
	}
	file, err := decode(got.Images[0])
	if err != nil {
		return nil, fmt.Errorf("%w: the picture is not base64", adapter.ErrBroken)
	}
	return file, nil
}

// decode reads a picture, which older versions write as a data URL.
func decode(s string) ([]byte, error) {
	_, data, ok := strings.Cut(s, "base64,")
	if !ok {
		data = s
	}
	return base64.StdEncoding.DecodeString(data)
}

// find returns a model's checkpoint as the server has it now; it may have computed the digest since it was listed.
func (e *Engine) find(ctx context.Context, m engine.Model) (checkpoint, error) {
	list, err := e.checkpoints(ctx)
	if err != nil {
		return checkpoint{}, err
	}
	for _, c := range list {
		if e.describe(c.Name, c.source()).Digest == m.Digest || e.describe(c.Name, "").Digest == m.Digest {
			return c, nil
		}
	}
	return checkpoint{}, fmt.Errorf("%w: the checkpoint was removed", engine.ErrNoModel)
}

// watch reports the server's progress until stop is called, which waits for the last report.
func (e *Engine) watch(ctx context.Context, r engine.Request, progress func(engine.Progress)) (stop func()) {
	steps, path := r.Steps, "/sdapi/v1/progress?skip_current_image=true"
	if r.Previews {
		path = "/sdapi/v1/progress"
	}
	if progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(look)
		defer tick.Stop()
		for last := 0; ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			var got struct {
				State struct {
					Jobs  *int `json:"job_count"` // 0: the numbers are those of the picture before
					Step  int  `json:"sampling_step"`
					Steps int  `json:"sampling_steps"`
				}
				Image string `json:"current_image"`
			}
			if err := e.client.Get(ctx, path, adapter.MaxPicture, &got); errors.Is(err, engine.ErrNoModel) {
				return // it tells no progress
			} else if err != nil {
				continue // the picture itself says whether the server works
			}
			// With a picture to begin with the server takes fewer steps than it was asked for.
			if s := got.State; (s.Jobs == nil || *s.Jobs != 0) && s.Step > last && s.Step <= s.Steps && s.Steps <= steps {
				last = s.Step
				file, _ := decode(got.Image) // a preview that cannot be read is none
				progress(engine.Progress{Step: s.Step, Steps: s.Steps, Preview: adapter.Preview(file)})
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// interrupt stops the picture at hand: the server would go on without a reader.
func (e *Engine) interrupt(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	_ = e.client.Post(ctx, "/sdapi/v1/interrupt", struct{}{}, adapter.MaxSmall, nil) // it stops by itself, too, only later
}
