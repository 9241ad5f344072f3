package pixel

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"image"
	"image/png"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// Name of the engine.
const Name = "pixel"

// weightsName is the weights file's.
const weightsName = "weights.bin"

var (
	//go:embed manifest.json
	manifestFile string
	//go:embed vocabulary.tsv joined.txt variants.tsv tintable.txt
	lexiconFolder embed.FS
)

// Manifest is the model's manifest, in JSON; the model's digest is its SHA-256.
func Manifest() []byte { return []byte(manifestFile) }

// Weights are the embedded weights file. Nobody may write to it.
func Weights() []byte { return weightsFile }

// Engine is the reference engine with its one model. Use New.
type Engine struct {
	model   engine.Model
	units   uint64 // of work that a picture is
	weights *weights
	file    []byte // of the weights
	lexicon *lexicon
	workers int
	rooms   sync.Pool // of *quant.Room
	files   pngBuffers
	public  bool // the weights are not here: products must be given
}

var _ engine.Engine = (*Engine)(nil)

// An Option changes what New makes.
type Option func(*Engine)

// WithWorkers lets one picture use n goroutines; the default is 1, which serves most
// pictures a second. The pictures are the same.
func WithWorkers(n int) Option { return func(e *Engine) { e.workers = n } }

// New reads the embedded model and checks it against its manifest, which takes some
// ten milliseconds. It fails only if the binary was built wrongly.
func New(options ...Option) (*Engine, error) {
	files, err := builtIn()
	if err != nil {
		return nil, err
	}
	files.Files[weightsName] = weightsFile
	return open(files, options)
}

// builtIn is the embedded model without its weights.
func builtIn() (engine.ModelFiles, error) {
	files := engine.ModelFiles{Manifest: Manifest(), Files: map[string][]byte{}}
	for _, name := range lexiconFiles {
		b, err := lexiconFolder.ReadFile(name)
		if err != nil {
			return files, fmt.Errorf("pixel model: %w", err)
		}
		files.Files[name] = b
	}
	return files, nil
}

// Open reads another model of the same shape from its manifest's file and the files beside
// it, which it maps: they must not be changed in place while the program runs.
func Open(manifest string, options ...Option) (*Engine, error) {
	files, err := engine.ReadModel(manifest, Name)
	if err != nil {
		return nil, fmt.Errorf("pixel model: %w", err)
	}
	return open(files, options)
}

func open(files engine.ModelFiles, options []Option) (*Engine, error) {
	m, err := engine.ParseManifest(files.Manifest, Name)
	if err == nil {
		err = m.Check(files.Files)
	}
	if err != nil {
		return nil, fmt.Errorf("pixel model: %w", err)
	}
	w, err := readWeights(quant.NewReader(files.Files[weightsName]))
	if err != nil {
		return nil, err
	}
	e, err := assemble(m, w, files.Files, options)
	if err == nil {
		e.file = files.Files[weightsName]
	}
	return e, err
}

// Weights is the weights file, for who shows parts of it; nil of an engine that has the public part only.
func (e *Engine) Weights() []byte { return e.file }

// assemble makes an engine of what was checked.
func assemble(m engine.Manifest, w *weights, files map[string][]byte, options []Option) (*Engine, error) {
	switch {
	case m.Kind != essaim.KindImage:
		return nil, fmt.Errorf("pixel model: its kind is %q, want %q", m.Kind, essaim.KindImage)
	case m.Steps.Min != 1 || m.Steps.Max != 1:
		return nil, fmt.Errorf("pixel model: it offers %d to %d steps, there is one", m.Steps.Min, m.Steps.Max)
	}
	l, err := newLexicon(files)
	if err != nil {
		return nil, fmt.Errorf("pixel model: %w", err)
	}
	e := &Engine{model: m.Model(), units: m.Units.Each, weights: w, lexicon: l, workers: 1}
	for _, o := range options {
		o(e)
	}
	return e, nil
}

// Name is "pixel".
func (e *Engine) Name() string { return Name }

// Models is the one embedded model.
func (e *Engine) Models(context.Context) ([]engine.Model, error) {
	return []engine.Model{e.model}, nil
}

// Run draws a picture; see engine.Engine. Its progress is told in things: one step for each that
// has been laid onto the picture, and one for the finished picture. Previews are of the native size.
func (e *Engine) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	return e.run(ctx, r, progress, nil)
}

func (e *Engine) run(ctx context.Context, r engine.Request, progress func(engine.Progress), watch func(quant.Op)) (engine.Result, error) {
	p, err := e.plan(r)
	if err != nil {
		return engine.Result{}, err
	}
	all, err := e.draw(ctx, []plan{p}, watch, progress)
	if err != nil {
		return engine.Result{}, fmt.Errorf("drawing a picture: %w", err)
	}
	return e.finish(p, all[0])
}

// finish makes the result of a picture.
func (e *Engine) finish(p plan, picture *image.RGBA) (engine.Result, error) {
	// Better compression saves a fifth of the file and takes longer than the picture did.
	var file bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: &e.files}).Encode(&file, picture); err != nil {
		return engine.Result{}, fmt.Errorf("writing a PNG: %w", err)
	}
	return engine.Result{
		MediaType:    "image/png",
		Data:         file.Bytes(),
		PixelsDigest: pixelsDigest(picture),
		Steps:        p.request.Steps,
		Units:        e.units,
		Warnings:     p.warnings,
		Trace:        p.hash.Root(),
	}, nil
}

// pngBuffers keep what writing a PNG file needs, which is more than drawing the picture does.
type pngBuffers struct{ pool sync.Pool }

// Get is one that nobody uses, or nil.
func (b *pngBuffers) Get() *png.EncoderBuffer {
	buffer, _ := b.pool.Get().(*png.EncoderBuffer)
	return buffer
}

// Put gives one back.
func (b *pngBuffers) Put(buffer *png.EncoderBuffer) { b.pool.Put(buffer) }

// A plan is what a request's words and seed decide before any arithmetic.
type plan struct {
	request  engine.Request // with its defaults filled
	things   []thing
	warnings []string
	hash     *quant.TraceHash // of the operators; nil: nobody asks
	given    func(quant.Op) (quant.Value, bool)
}

func (e *Engine) plan(r engine.Request) (plan, error) {
	if e.public {
		return plan{}, fmt.Errorf("%w: of its weights only the public part", engine.ErrNoModel)
	}
	return e.read(r)
}

// read is plan, weights or not.
func (e *Engine) read(r engine.Request) (plan, error) {
	if r.Model != e.model.Digest {
		return plan{}, fmt.Errorf("%w: pixel has %s only", engine.ErrNoModel, e.model.Digest.Short())
	}
	r, err := e.model.Fit(r)
	if err != nil {
		return plan{}, err
	}
	if !utf8.ValidString(r.Prompt) {
		return plan{}, fmt.Errorf("%w: the prompt is not UTF-8", engine.ErrBadRequest)
	}
	read := e.lexicon.read(r.Prompt)
	switch {
	case len(read.things) > 0:
	case len(read.unknown) > 0:
		return plan{}, fmt.Errorf("%w: the model knows nothing called %s", engine.ErrBadRequest, strings.Join(read.unknown, ", "))
	default:
		return plan{}, fmt.Errorf("%w: the prompt names nothing to draw in Latin letters or digits", engine.ErrBadRequest)
	}
	p := plan{request: r, things: e.lexicon.choose(read, r.Seed), warnings: read.warnings()}
	if r.Trace {
		p.hash = new(quant.TraceHash)
	}
	return p, nil
}

// read appends what the network reads of the things, and whether each may be mirrored: with the seed, all
// that the prompt decides.
func (p plan) read(w *quant.Words) {
	for _, thing := range p.things {
		may := int32(1)
		if thing.sided {
			may = 0
		}
		w.Lists, w.Facts = append(w.Lists, encode(thing.words, thing.style)), append(w.Facts, may)
	}
}

// Plan is what the model reads out of a request's prompt; see engine.Planner.
func (e *Engine) Plan(r engine.Request) (essaim.Digest, error) {
	p, err := e.plan(r)
	if err != nil {
		return essaim.Digest{}, err
	}
	var words quant.Words
	p.read(&words)
	return essaim.Digest(words.Plan()), nil
}

// warnings say where the picture may not be what was asked for.
func (r reading) warnings() (out []string) {
	for _, s := range r.slips {
		out = append(out, fmt.Sprintf("read %q as %q", s[0], s[1]))
	}
	if len(r.unknown) > 0 {
		out = append(out, "words never seen in training: "+strings.Join(r.unknown, ", "))
	}
	if r.longer {
		out = append(out, fmt.Sprintf("only the first %d words of a thing, and %d in all, are read", maxWords, maxPrompt))
	}
	if r.more {
		out = append(out, fmt.Sprintf("only the first %d things are drawn", maxThings))
	}
	return out
}

// draw draws pictures together. watch is only for one alone, progress is told of the first.
func (e *Engine) draw(ctx context.Context, ps []plan, watch func(quant.Op), progress func(engine.Progress)) ([]*image.RGBA, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var (
		words quant.Words
		first []int // thing of each picture
	)
	for _, p := range ps {
		first = append(first, len(words.Lists))
		p.read(&words)
	}
	t, leave := e.tape(e.workers)
	defer leave()
	t.Watch = watch
	if len(ps) == 1 {
		t.Hash, t.Given = ps[0].hash, ps[0].given
	}
	all := e.weights.draw(t, words)
	defer t.Free(all)
	if len(ps) == 1 {
		picture, err := e.paint(ctx, t, ps[0], all, progress)
		return []*image.RGBA{picture}, err
	}
	out, failed := make([]*image.RGBA, len(ps)), make([]error, len(ps))
	quant.Each(len(ps), e.workers, func(i int) { // one after the other, so that each stays in a near cache
		t, leave := e.tape(1)
		defer leave()
		var tell func(engine.Progress)
		if i == 0 {
			tell = progress
		}
		out[i], failed[i] = e.paint(ctx, t, ps[i], all.Some(first[i], len(ps[i].things)), tell)
	})
	return out, errors.Join(failed...)
}

// tape makes a tape in a room of the engine's, which leave gives back.
func (e *Engine) tape(workers int) (t *quant.Tape, leave func()) {
	room, _ := e.rooms.Get().(*quant.Room)
	if room == nil {
		room = new(quant.Room)
	}
	room.Workers = workers
	return &quant.Tape{Room: room}, func() { e.rooms.Put(room) }
}

// paint makes a picture of the samples of its things.
func (e *Engine) paint(ctx context.Context, t *quant.Tape, p plan, samples quant.Value, progress func(engine.Progress)) (*image.RGBA, error) {
	drawn, all := e.weights.planes(t, samples)
	defer all.free(t)
	canvas, err := p.compose(ctx, t, drawn, progress)
	if err != nil {
		return nil, err
	}
	defer t.Free(canvas)
	return picture(canvas), nil
}

// compose lays the things of a picture onto it.
func (p plan) compose(ctx context.Context, t *quant.Tape, drawn []planes, progress func(engine.Progress)) (quant.Value, error) {
	var canvas, preview quant.Value
	for i, thing := range p.things {
		if err := ctx.Err(); err != nil {
			return quant.Value{}, err
		}
		t.Step = i + 1
		canvas = thing.lay(t, drawn[i], p.request.Width/side, canvas)
		if progress != nil {
			told := engine.Progress{Step: i + 1, Steps: len(p.things) + 1}
			if p.request.Previews {
				preview = thing.lay(new(quant.Tape), drawn[i], 1, preview)
				told.Preview = picture(preview)
			}
			progress(told)
		}
	}
	if err := ctx.Err(); err != nil {
		return quant.Value{}, err
	}
	if progress != nil {
		told := engine.Progress{Step: len(p.things) + 1, Steps: len(p.things) + 1}
		if p.request.Previews {
			told.Preview = picture(preview)
		}
		progress(told)
	}
	return canvas, nil
}

// lay enlarges a drawn thing by a factor and lays it onto a canvas, which the
// first one has not and whose memory it frees.
func (o thing) lay(t *quant.Tape, drawn planes, factor int, canvas quant.Value) quant.Value {
	rgb := drawn.rgb(t, factor)
	if canvas.Vectors == 0 {
		canvas = t.Do("canvas", o.pose, rgb)
		t.Free(rgb)
		return canvas
	}
	out := t.Do("canvas", o.pose, rgb, canvas)
	t.Free(rgb, canvas)
	return out
}
