package pixel

import (
	"fmt"
	"slices"

	"github.com/essaim/essaim/quant"
)

// Shape of the network; see the package comment.
const (
	coefficients = 512  // of a picture: the length of z
	width        = 512  // of the residual stream x
	hidden       = 2048 // of a block
	blocks       = 4
	textHidden   = 1024
	textOut      = 512 // of c
	side         = 64  // of a picture, pixels
	half         = side / 2
	samples      = side*side + 2*half*half

	minSteps, maxSteps = 2, 4
	moments            = 2 + 3 + 4 // steps that have constants, over all step counts
)

// A linear layer: sums, and their change of unit.
type linear struct {
	quant.Matrix
	quant.Scale
}

type block struct {
	pre  quant.Scale // x to up's input
	up   linear      // to 0..127
	time [][]int32   // by moment: the bias of up
	cond linear      // c to the unit of up's sums
	down linear      // to wide
}

// weights are the content of weights.bin. They are not changed once read.
type weights struct {
	table        []int8
	text         quant.Scale
	text1, text2 linear

	inPre  []quant.Scale // by moment
	in     linear
	cond   linear
	blocks [blocks]block
	outPre quant.Scale
	out    linear        // its Scale is empty: gain stands for it
	gain   []quant.Scale // by moment
	skip   []quant.Scale // by moment
	rate   []int32       // by moment, in 1/65536

	basisPre     quant.Scale
	basis        linear
	luma, chroma quant.Table
	flow         quant.Table // not of the file
}

// moment is the index of the constants of step i of n.
func moment(i, n int) int { return n*(n-1)/2 - 1 + i }

func readWeights(file []byte) (*weights, error) {
	all, err := quant.ReadTensors(file)
	if err != nil {
		return nil, fmt.Errorf("pixel weights: %w", err)
	}
	r := &reader{all: all}
	w := &weights{
		table: r.get("text.table", quant.Int8, textRows, textCols).Int8(),
		text:  r.scale("text", textCols),
		text1: r.linear("text1", textHidden, textCols, true),
		text2: r.linear("text2", textOut, textHidden, true),

		inPre:  r.scales("in.pre", coefficients),
		in:     r.linear("in", width, coefficients, true),
		cond:   r.linear("cond", width, textOut, false),
		outPre: r.scale("out.pre", width),
		out:    linear{Matrix: r.matrix("out", coefficients, width, true)},
		gain:   r.scales("out", coefficients),
		skip:   r.scales("skip", coefficients),
		rate:   r.get("rate", quant.Int32, moments).Int32(),

		basisPre: r.scale("basis.pre", coefficients),
		basis:    r.linear("basis", samples, coefficients, true),
		luma:     quant.Table{First: 0, Out: r.get("luma", quant.Int16, 4097).Int16()},
		chroma:   quant.Table{First: -2048, Out: r.get("chroma", quant.Int16, 4096).Int16()},
		flow:     newFlow(),
	}
	for l := range w.blocks {
		up, down, cond := fmt.Sprintf("up%d", l), fmt.Sprintf("down%d", l), fmt.Sprintf("cond%d", l)
		w.blocks[l] = block{
			pre:  r.scale(up+".pre", width),
			up:   r.linear(up, hidden, width, false),
			time: r.rows(up+".time", hidden),
			cond: r.linear(cond, hidden, textOut, false),
			down: r.linear(down, width, hidden, true),
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("pixel weights: %w", r.err)
	}
	return w, nil
}

// reader takes tensors out of a file and keeps the first error.
type reader struct {
	all quant.Tensors
	err error
}

func (r *reader) get(name string, typ quant.Type, shape ...int) quant.Tensor {
	t, err := r.all.Get(name, typ, shape...)
	if r.err == nil {
		r.err = err
	}
	return t
}

func (r *reader) matrix(name string, rows, cols int, bias bool) quant.Matrix {
	m := quant.Matrix{Rows: rows, Cols: cols, W: r.get(name+".w", quant.Int8, rows, cols).Int8()}
	if bias {
		m.Bias = r.get(name+".bias", quant.Int32, rows).Int32()
	}
	return m
}

func (r *reader) linear(name string, rows, cols int, bias bool) linear {
	return linear{r.matrix(name, rows, cols, bias), r.scale(name, rows)}
}

// factors are the tensor NAME.mul, whose shift is one for all of its factors.
func (r *reader) factors(name string, shape ...int) quant.Tensor {
	t := r.get(name+".mul", quant.Int32, shape...)
	if r.err == nil && (t.Shift < 1 || t.Shift > 46) {
		r.err = fmt.Errorf("%w: the shift of %s.mul is %d, want 1 to 46", quant.ErrFormat, name, t.Shift)
	}
	return t
}

func (r *reader) scale(name string, n int) quant.Scale {
	t := r.factors(name, n)
	return quant.Scale{Mul: t.Int32(), Shift: t.Shift}
}

// scales reads one scale for each moment, all with one shift.
func (r *reader) scales(name string, n int) []quant.Scale {
	t := r.factors(name, moments, n)
	out := make([]quant.Scale, moments)
	for i, mul := range split(t.Int32(), n) {
		out[i] = quant.Scale{Mul: mul, Shift: t.Shift}
	}
	return out
}

// rows reads n numbers for each moment.
func (r *reader) rows(name string, n int) [][]int32 {
	return split(r.get(name, quant.Int32, moments, n).Int32(), n)
}

// split cuts all into rows of n.
func split(all []int32, n int) [][]int32 { return slices.Collect(slices.Chunk(all, n)) }
