package pixel

import (
	"fmt"

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
		table: r.get("text.table", 1, textRows, textCols).Int8(),
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
		rate:   r.get("rate", 4, 1, moments).Int32(),

		basisPre: r.scale("basis.pre", coefficients),
		basis:    r.linear("basis", samples, coefficients, true),
		luma:     quant.Table{First: 0, Out: r.get("luma", 2, 1, 4097).Int16()},
		chroma:   quant.Table{First: -2048, Out: r.get("chroma", 2, 1, 4096).Int16()},
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

func (r *reader) get(name string, size, rows, cols int) quant.Tensor {
	t, err := r.all.Get(name, size, rows, cols)
	if r.err == nil {
		r.err = err
	}
	return t
}

func (r *reader) matrix(name string, rows, cols int, bias bool) quant.Matrix {
	m := quant.Matrix{Rows: rows, Cols: cols, W: r.get(name+".w", 1, rows, cols).Int8()}
	if bias {
		m.Bias = r.get(name+".bias", 4, 1, rows).Int32()
	}
	return m
}

func (r *reader) linear(name string, rows, cols int, bias bool) linear {
	return linear{r.matrix(name, rows, cols, bias), r.scale(name, rows)}
}

// shift is one number for all factors of a scale.
func (r *reader) shift(name string) uint {
	s := r.get(name+".shift", 4, 1, 1).Int32()
	if len(s) != 1 || s[0] < 1 || s[0] > 46 {
		if r.err == nil {
			r.err = fmt.Errorf("%w: %s.shift is %v, want 1 to 46", quant.ErrFormat, name, s)
		}
		return 1
	}
	return uint(s[0])
}

func (r *reader) scale(name string, n int) quant.Scale {
	return quant.Scale{Mul: r.get(name+".mul", 4, 1, n).Int32(), Shift: r.shift(name)}
}

// scales reads one scale for each moment, all with one shift.
func (r *reader) scales(name string, n int) []quant.Scale {
	shift := r.shift(name)
	out := make([]quant.Scale, moments)
	for i, mul := range r.rows(name+".mul", n) {
		out[i] = quant.Scale{Mul: mul, Shift: shift}
	}
	return out
}

// rows reads n numbers for each moment.
func (r *reader) rows(name string, n int) [][]int32 {
	all := r.get(name, 4, moments, n).Int32()
	if r.err != nil {
		return nil
	}
	out := make([][]int32, moments)
	for i := range out {
		out[i] = all[i*n : (i+1)*n]
	}
	return out
}
