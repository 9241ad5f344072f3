package program

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/essaim/essaim/quant"
)

// ErrProgram is wrapped by complaints about operators that are not the run's.
var ErrProgram = errors.New("not an operator of this run")

// A Run is what a receipt says of one.
type Run struct {
	Engine string
	Seed   uint64
	Width  int // pixels; 0 for kinds without
}

// A Program is the operators of one run.
type Program struct {
	headers []quant.Header
}

// Known reports whether the package knows an engine's runs.
func Known(engine string) bool { return engine == "pixel" || engine == "text" }

// Of makes the program of a run whose first operator is words.
//
// Errors: wraps ErrProgram if no run of the engine begins so.
func Of(r Run, words quant.Header) (*Program, error) {
	want := quant.Header{ID: 1, Kind: "words", Layer: "words", Vectors: words.Vectors, Elements: words.Elements, Type: quant.Int32, Numbers: words.Numbers}
	if !equal(words, want) || words.Elements%2 != 0 || words.Elements > maxPairs*2 {
		return nil, fmt.Errorf("%w: %s of %s, %d x %d, begins none", ErrProgram, words.Kind, words.Layer, words.Vectors, words.Elements)
	}
	b := &builder{Program: &Program{headers: []quant.Header{words}}, vectors: words.Vectors}
	ok := false
	switch r.Engine {
	case "pixel":
		ok = b.pixel(r)
	case "text":
		ok = b.text(r)
	}
	if !ok {
		return nil, fmt.Errorf("%w: engine %q, %d lists, width %d", ErrProgram, r.Engine, words.Vectors, r.Width)
	}
	return b.Program, nil
}

// maxPairs bounds the rows that stand for a thing, above what any engine needs.
const maxPairs = 2048

// Len is the number of operators.
func (p *Program) Len() int { return len(p.headers) }

// Header is that of operator id, from 1.
func (p *Program) Header(id int) quant.Header { return p.headers[id-1] }

// Check compares an operator with the one of its ID.
//
// Errors: wraps ErrProgram.
func (p *Program) Check(h quant.Header) error {
	if h.ID < 1 || h.ID > len(p.headers) {
		return fmt.Errorf("%w: number %d of %d", ErrProgram, h.ID, len(p.headers))
	}
	if want := p.headers[h.ID-1]; !equal(h, want) {
		return fmt.Errorf("%w: number %d is %s of %s, want %s of %s", ErrProgram, h.ID, h.Kind, h.Layer, want.Kind, want.Layer)
	}
	return nil
}

func equal(a, b quant.Header) bool {
	return a.ID == b.ID && a.Step == b.Step && a.Kind == b.Kind && a.Layer == b.Layer && slices.Equal(a.In, b.In) &&
		a.Vectors == b.Vectors && a.Elements == b.Elements && a.Type == b.Type && slices.Equal(a.Numbers, b.Numbers)
}

// Kinds are all kinds whose elements follow from inputs and model.
func Kinds() map[string]quant.Kind {
	out := quant.Kinds()
	maps.Copy(out, pictureKinds())
	return out
}

// A builder appends operators.
type builder struct {
	*Program
	vectors, step int
}

// do appends an operator and returns its ID.
func (b *builder) do(kind, layer string, elements int, typ quant.Type, numbers []int32, in ...int) int {
	id := len(b.headers) + 1
	b.headers = append(b.headers, quant.Header{
		ID: id, Step: b.step, Kind: kind, Layer: layer, In: in, Vectors: b.vectors, Elements: elements, Type: typ, Numbers: numbers,
	})
	return id
}

func (b *builder) product(layer string, rows int, bias int32, x int) int {
	return b.do("product", layer, rows, quant.Int32, []int32{bias}, x)
}

func (b *builder) activate(layer string, n int, lo, hi int32, x int) int {
	typ := quant.Int8
	if lo < -128 || hi > 127 {
		typ = quant.Int16
	}
	return b.do("activate", layer, n, typ, []int32{lo, hi}, x)
}

func (b *builder) activated(layer string, rows int, lo, hi int32, x int) int {
	return b.activate(layer, rows, lo, hi, b.product(layer, rows, 1, x))
}

func (b *builder) rescaled(layer string, rows int, bias int32, x int) int {
	return b.do("rescale", layer, rows, quant.Int32, nil, b.product(layer, rows, bias, x))
}

// text is a run of the engine text.
func (b *builder) text(r Run) bool {
	if b.vectors != 1 || r.Width != 0 || len(b.headers[0].Numbers) != 0 {
		return false
	}
	sum := b.do("gather", "table", 128, quant.Int32, nil, 1)
	h := b.activated("up", 512, 0, 127, b.activate("table", 128, -127, 127, sum))
	b.activated("out", 128, -127, 127, h)
	return true
}
