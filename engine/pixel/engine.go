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

// Draws of the seed that choose; those before make the noise.
const (
	drawStyle = coefficients + iota
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

// Run draws a picture; see engine.Engine. Previews are of the native 64 x 64.
func (e *Engine) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	if r.Model != e.model.Digest {
		return engine.Result{}, fmt.Errorf("%w: pixel has %s only", engine.ErrNoModel, e.model.Digest.Short())
	}
	r, err := e.model.Fit(r)
	if err != nil {
		return engine.Result{}, err
	}
	p, err := e.plan(r)
	if err != nil {
		return engine.Result{}, err
	}
	picture, err := e.draw(ctx, r, p, progress)
	if err != nil {
		return engine.Result{}, fmt.Errorf("drawing a picture: %w", err)
	}
	// Better compression saves a fifth of the file and takes longer than the picture did.
	var file bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&file, picture); err != nil {
		return engine.Result{}, fmt.Errorf("writing a PNG: %w", err)
	}
	return engine.Result{
		MediaType:    "image/png",
		Data:         file.Bytes(),
		PixelsDigest: sha256.Sum256(rgb(picture)),
		Steps:        r.Steps,
		Units:        e.units,
		Warnings:     p.warnings,
	}, nil
}

// A plan is what a request's words and seed decide before any arithmetic.
type plan struct {
	words    []string
	style    string
	flip     bool
	warnings []string
}

func (e *Engine) plan(r engine.Request) (plan, error) {
	if !utf8.ValidString(r.Prompt) {
		return plan{}, fmt.Errorf("%w: the prompt is not UTF-8", engine.ErrBadRequest)
	}
	ws, more := words(r.Prompt, maxWords)
	ws, named := namedStyle(ws)
	if len(ws) == 0 {
		return plan{}, fmt.Errorf("%w: the prompt has no word to draw in Latin letters or digits", engine.ErrBadRequest)
	}
	if named < 0 {
		named = int(quant.Draw(r.Seed, drawStyle) >> 32 % uint64(len(styles)))
	}
	p := plan{words: ws, style: styles[named], flip: quant.Draw(r.Seed, drawFlip)>>63 == 1}
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

func (e *Engine) draw(ctx context.Context, r engine.Request, p plan, progress func(engine.Progress)) (*image.RGBA, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := e.weights.condition(encode(p.words, p.style), e.workers)
	var done func(int, []int32)
	if progress != nil {
		done = func(step int, estimate []int32) {
			progress(engine.Progress{Step: step, Steps: r.Steps, Preview: e.weights.planes(estimate, e.workers).image(p.flip)})
		}
	}
	z, err := newSampler(e.weights, c, e.workers).run(ctx, r.Seed, r.Steps, done)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return e.weights.planes(z, e.workers).enlarge(r.Width / side).image(p.flip), nil
}
