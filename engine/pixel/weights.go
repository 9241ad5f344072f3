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
	r := quant.NewReader(file)
	w := &weights{
		table: r.Tensor("text.table", quant.Int8, textRows, textCols).Int8(),
		text:  r.Scale("text", textCols),
		text1: readLinear(r, "text1", textHidden, textCols, true),
		text2: readLinear(r, "text2", textOut, textHidden, true),

		inPre:  r.Scales("in.pre", moments, coefficients),
		in:     readLinear(r, "in", width, coefficients, true),
		cond:   readLinear(r, "cond", width, textOut, false),
		outPre: r.Scale("out.pre", width),
		out:    linear{Matrix: r.Matrix("out", coefficients, width, true)},
		gain:   r.Scales("out", moments, coefficients),
		skip:   r.Scales("skip", moments, coefficients),
		rate:   r.Tensor("rate", quant.Int32, moments).Int32(),

		basisPre: r.Scale("basis.pre", coefficients),
		basis:    readLinear(r, "basis", samples, coefficients, true),
		luma:     quant.Table{First: 0, Out: r.Tensor("luma", quant.Int16, 4097).Int16()},
		chroma:   quant.Table{First: -2048, Out: r.Tensor("chroma", quant.Int16, 4096).Int16()},
		flow:     newFlow(),
	}
	for l := range w.blocks {
		up, down, cond := fmt.Sprintf("up%d", l), fmt.Sprintf("down%d", l), fmt.Sprintf("cond%d", l)
		w.blocks[l] = block{
			pre:  r.Scale(up+".pre", width),
			up:   readLinear(r, up, hidden, width, false),
			time: r.Rows(up+".time", moments, hidden),
			cond: readLinear(r, cond, hidden, textOut, false),
			down: readLinear(r, down, width, hidden, true),
		}
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("pixel weights: %w", err)
	}
	return w, nil
}

func readLinear(r *quant.Reader, name string, rows, cols int, bias bool) linear {
	return linear{r.Matrix(name, rows, cols, bias), r.Scale(name, rows)}
}
