package pixel

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"image"
	"image/png"
	"strings"
	"unicode/utf8"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// Name of the engine.
const Name = "pixel"

var (
	//go:embed manifest.json
	manifestFile string
	//go:embed weights.bin
	weightsFile []byte
	//go:embed vocabulary.txt
	vocabularyFile string
)

// Manifest is the model's manifest, in JSON; the model's digest is its SHA-256.
func Manifest() []byte { return []byte(manifestFile) }

// Draws of the seed that choose, counted from those that make the noise.
const (
	drawStyle = iota
	drawFlip
)

// Engine is the reference engine with its one model. Use New.
type Engine struct {
	model   engine.Model
	units   uint64 // of work that a picture is
	weights *weights
	known   vocabulary
	workers int
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
	return open(engine.ModelFiles{
		Manifest: Manifest(),
		Files:    map[string][]byte{"weights.bin": weightsFile, "vocabulary.txt": []byte(vocabularyFile)},
	}, options)
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
	switch {
	case err != nil:
		return nil, fmt.Errorf("pixel model: %w", err)
	case m.Kind != essaim.KindImage:
		return nil, fmt.Errorf("pixel model: its kind is %q, want %q", m.Kind, essaim.KindImage)
	case m.Steps.Min < minSteps || m.Steps.Max > maxSteps:
		return nil, fmt.Errorf("pixel model: it offers %d to %d steps, the weights have %d to %d", m.Steps.Min, m.Steps.Max, minSteps, maxSteps)
	}
	w, err := readWeights(files.Files["weights.bin"])
	if err != nil {
		return nil, err
	}
	e := &Engine{
		model: m.Model(), units: m.Units.Each, weights: w,
		known: newVocabulary(string(files.Files["vocabulary.txt"])), workers: 1,
	}
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

// Run draws a picture; see engine.Engine. Previews are of the native size.
func (e *Engine) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	return e.run(ctx, r, progress, nil)
}

func (e *Engine) run(ctx context.Context, r engine.Request, progress func(engine.Progress), watch func(quant.Op)) (engine.Result, error) {
	p, err := e.plan(r)
	if err != nil {
		return engine.Result{}, err
	}
	all, err := e.draw(ctx, &quant.Tape{Workers: e.workers, Watch: watch}, []plan{p}, progress)
	if err != nil {
		return engine.Result{}, fmt.Errorf("drawing a picture: %w", err)
	}
	return e.finish(p, all[0])
}

// finish makes the result of a picture.
func (e *Engine) finish(p plan, picture *image.RGBA) (engine.Result, error) {
	// Better compression saves a fifth of the file and takes longer than the picture did.
	var file bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&file, picture); err != nil {
		return engine.Result{}, fmt.Errorf("writing a PNG: %w", err)
	}
	return engine.Result{
		MediaType:    "image/png",
		Data:         file.Bytes(),
		PixelsDigest: sha256.Sum256(rgb(picture)),
		Steps:        p.request.Steps,
		Units:        e.units,
		Warnings:     p.warnings,
	}, nil
}

// A plan is what a request's words and seed decide before any arithmetic.
type plan struct {
	request  engine.Request // with its defaults filled
	words    []string
	style    string
	flip     bool
	warnings []string
}

func (e *Engine) plan(r engine.Request) (plan, error) {
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
	ws, more := words(r.Prompt, maxWords)
	ws, named := namedStyle(ws)
	if len(ws) == 0 {
		return plan{}, fmt.Errorf("%w: the prompt has no word to draw in Latin letters or digits", engine.ErrBadRequest)
	}
	if named < 0 {
		named = int(e.choice(r.Seed, drawStyle) >> 32 % uint64(len(styles)))
	}
	p := plan{request: r, words: ws, style: styles[named], flip: e.choice(r.Seed, drawFlip)>>63 == 1}
	for _, w := range ws {
		p.flip = p.flip && !lettered[w]
	}
	if unseen := e.known.unseen(ws); len(unseen) > 0 {
		for i, w := range unseen {
			unseen[i] = w[:min(len(w), maxLetters)]
		}
		p.warnings = append(p.warnings, "words never seen in training: "+strings.Join(unseen, ", "))
	}
	if more {
		p.warnings = append(p.warnings, fmt.Sprintf("only the first %d words that say something are read", maxWords))
	}
	return p, nil
}

// choice is a draw of the seed that is not noise.
func (e *Engine) choice(seed uint64, n int) uint64 {
	return quant.Draw(seed, uint64(e.weights.in.Cols+n))
}

// draw draws pictures together; all take the same number of steps. progress is told of
// the first.
func (e *Engine) draw(ctx context.Context, t *quant.Tape, ps []plan, progress func(engine.Progress)) ([]*image.RGBA, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var (
		texts = make([][]quant.Weighted, len(ps))
		seeds = make([]uint64, len(ps))
		steps = ps[0].request.Steps
	)
	for i, p := range ps {
		texts[i], seeds[i] = encode(p.words, p.style), p.request.Seed
	}
	var done func(int, quant.Value)
	if progress != nil {
		done = func(step int, estimate quant.Value) {
			aside := &quant.Tape{Workers: e.workers}
			preview := e.weights.planes(aside, estimate.Vector(0))[0].image(ps[0].flip)
			progress(engine.Progress{Step: step, Steps: steps, Preview: preview})
		}
	}
	z, err := e.weights.sample(ctx, t, e.weights.condition(t, texts), seeds, steps, done)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := make([]*image.RGBA, len(ps))
	for i, native := range e.weights.planes(t, z) {
		big := native.enlarge(t, ps[i].request.Width/side)
		if t.Watch != nil {
			t.Do("rgb", pixels{ps[i].flip}, big.y, big.cb, big.cr)
		}
		out[i] = big.image(ps[i].flip)
	}
	return out, nil
}
