package text

import (
	"context"
	_ "embed"
	"fmt"
	"unicode/utf8"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// Name of the engine.
const Name = "text"

// weightsName is the weights file's.
const weightsName = "weights.bin"

var (
	//go:embed manifest.json
	manifestFile string
	//go:embed weights.bin
	weightsFile []byte
	//go:embed concepts.txt
	conceptsFile string
)

// Manifest is the model's manifest, in JSON; the model's digest is its SHA-256.
func Manifest() []byte { return []byte(manifestFile) }

// Engine is the text engine with its one model. Use New.
type Engine struct {
	model    engine.Model
	units    uint64 // of work that an embedding is
	weights  *weights
	file     []byte // of the weights
	concepts []Concept
	lengths  []int64 // squared, of the concepts' embeddings
	public   bool    // the weights are not here: products must be given
}

var _ engine.Engine = (*Engine)(nil)

// New reads the embedded model and checks it against its manifest. It fails only if the
// binary was built wrongly.
func New() (*Engine, error) {
	return open(engine.ModelFiles{
		Manifest: Manifest(),
		Files:    map[string][]byte{weightsName: weightsFile, "concepts.txt": []byte(conceptsFile)},
	})
}

// Open reads another model of the same shape from its manifest's file and the files beside
// it, which it maps: they must not be changed in place while the program runs.
func Open(manifest string) (*Engine, error) {
	files, err := engine.ReadModel(manifest, Name)
	if err != nil {
		return nil, fmt.Errorf("text model: %w", err)
	}
	return open(files)
}

func open(files engine.ModelFiles) (*Engine, error) {
	m, err := engine.ParseManifest(files.Manifest, Name)
	if err == nil {
		err = m.Check(files.Files)
	}
	if err != nil {
		return nil, fmt.Errorf("text model: %w", err)
	}
	if m.Kind != essaim.KindEmbed {
		return nil, fmt.Errorf("text model: its kind is %q, want %q", m.Kind, essaim.KindEmbed)
	}
	e := &Engine{model: m.Model(), units: m.Units.Each, file: files.Files[weightsName]}
	if e.concepts, err = readConcepts(string(files.Files["concepts.txt"])); err != nil {
		return nil, fmt.Errorf("text model: %w", err)
	}
	if e.weights, err = readWeights(quant.NewReader(files.Files[weightsName]), len(e.concepts)); err != nil {
		return nil, fmt.Errorf("text weights: %w", err)
	}
	for i := range e.concepts {
		c := e.weights.concepts[i*size:][:size]
		e.lengths = append(e.lengths, dot(c, c))
	}
	return e, nil
}

// Weights are the embedded weights file. Nobody may write to it.
func Weights() []byte { return weightsFile }

// Weights is the weights file, for who shows parts of it; nil of an engine that has the public part only.
func (e *Engine) Weights() []byte { return e.file }

// Name is "text".
func (e *Engine) Name() string { return Name }

// Models is the one model.
func (e *Engine) Models(context.Context) ([]engine.Model, error) {
	return []engine.Model{e.model}, nil
}

// Run embeds the prompt: the result's data are the 128 numbers, one byte each. It calls
// no progress.
func (e *Engine) Run(ctx context.Context, r engine.Request, _ func(engine.Progress)) (engine.Result, error) {
	return e.RunTraced(ctx, r, nil)
}

// RunTraced is Run, and calls watch for each operator that computes the embedding, as it
// is finished. An operator's layer is the name of its tensors in the weights file,
// without the part after the last dot; the last one's output is the embedding.
func (e *Engine) RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error) {
	return e.run(ctx, r, &quant.Tape{Watch: watch})
}

// RunWatched is RunTraced: there is no progress to tell of.
func (e *Engine) RunWatched(ctx context.Context, r engine.Request, _ func(engine.Progress), watch func(quant.Op)) (engine.Result, error) {
	return e.RunTraced(ctx, r, watch)
}

// Walk goes through the operators of a request and shows each to watch, without computing those whose
// output given knows: whoever checks what another has computed takes the costly ones from him. given
// may know outputs of the right shape only.
//
// Errors: those of Run.
func (e *Engine) Walk(ctx context.Context, r engine.Request, given func(quant.Op) (quant.Value, bool), watch func(quant.Op)) error {
	_, err := e.run(ctx, r, &quant.Tape{Watch: watch, Given: given})
	return err
}

func (e *Engine) run(ctx context.Context, r engine.Request, t *quant.Tape) (engine.Result, error) {
	if r.Model != e.model.Digest {
		return engine.Result{}, fmt.Errorf("%w: text has %s only", engine.ErrNoModel, e.model.Digest.Short())
	}
	r, err := e.model.Fit(r)
	if err != nil {
		return engine.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return engine.Result{}, fmt.Errorf("embedding a text: %w", err)
	}
	if r.Trace {
		t.Hash = new(quant.TraceHash)
	}
	v, more, err := e.embed(r.Prompt, t)
	if err != nil {
		return engine.Result{}, err
	}
	out := engine.Result{MediaType: engine.MediaEmbedding, Data: make([]byte, size), Units: e.units, Trace: t.Hash.Root()}
	for i, x := range v {
		out.Data[i] = byte(x)
	}
	if more {
		out.Warnings = []string{fmt.Sprintf("only the first %d words are read", maxWords)}
	}
	return out, nil
}

func (e *Engine) embed(text string, t *quant.Tape) (v []int8, more bool, err error) {
	if e.public && t.Given == nil {
		return nil, false, fmt.Errorf("%w: of its weights only the public part", engine.ErrNoModel)
	}
	words, more, err := read(text)
	if err != nil {
		return nil, false, err
	}
	return e.weights.embed(t, words), more, nil
}

// Plan is what the model reads out of a request's text; see engine.Planner.
func (e *Engine) Plan(r engine.Request) (essaim.Digest, error) {
	if r.Model != e.model.Digest {
		return essaim.Digest{}, fmt.Errorf("%w: text has %s only", engine.ErrNoModel, e.model.Digest.Short())
	}
	words, _, err := read(r.Prompt)
	if err != nil {
		return essaim.Digest{}, err
	}
	return essaim.Digest(words.Plan()), nil
}

// read is what the network reads of a text; more says that it was too long.
func read(text string) (w quant.Words, more bool, err error) {
	if !utf8.ValidString(text) {
		return w, false, fmt.Errorf("%w: the text is not UTF-8", engine.ErrBadRequest)
	}
	ws, more := words(text)
	if len(ws) == 0 {
		return w, false, fmt.Errorf("%w: the text has no word in Latin or Cyrillic letters or digits", engine.ErrBadRequest)
	}
	return quant.Words{Lists: [][]quant.Weighted{encode(ws)}}, more, nil
}
