package pixel

import (
	"fmt"

	"github.com/essaim/essaim/quant"
)

// Shape of the network; see the package comment.
const (
	coefficients = 512  // of a picture
	width        = 512  // of the residual stream x
	hidden       = 2048 // of a block
	blocks       = 4
	textHidden   = 1024
	textOut      = 512 // of c
	side         = 64  // of a picture, pixels
	half         = side / 2
	samples      = side*side + 2*half*half
)

type block struct {
	pre  quant.Scale  // x to up's input
	up   quant.Linear // to 0..127
	cond quant.Linear // c to the unit of up's sums
	down quant.Linear // to wide
}

// weights are the content of weights.bin. They are not changed once read.
type weights struct {
	table        []int8
	text         quant.Scale
	text1, text2 quant.Linear

	cond   quant.Linear // c to wide
	blocks [blocks]block
	outPre quant.Scale
	out    quant.Linear // to wide

	basisPre     quant.Scale
	basis        quant.Linear
	flowLuma     quant.Flow // of differences in 1/4096
	flowChroma   quant.Flow
	luma, chroma quant.Table // 1/4096 to 1/4080
}

func readWeights(r *quant.Reader) (*weights, error) {
	w := &weights{
		table: r.Tensor("text.table", quant.Int8, textRows, textCols).Int8(),
		text:  r.Scale("text", textCols),
		text1: r.Linear("text1", textHidden, textCols, true),
		text2: r.Linear("text2", textOut, textHidden, true),

		cond:   r.Linear("cond", width, textOut, true),
		outPre: r.Scale("out.pre", width),
		out:    r.Linear("out", coefficients, width, true),

		basisPre:   r.Scale("basis.pre", coefficients),
		basis:      r.Linear("basis", samples, coefficients, true),
		flowLuma:   r.Flow("flow.luma", -1024, 2048),
		flowChroma: r.Flow("flow.chroma", -1024, 2048),
		luma:       r.Table("luma", 0, 4097),
		chroma:     r.Table("chroma", -2048, 4096),
	}
	for l := range w.blocks {
		up, down, cond := fmt.Sprintf("up%d", l), fmt.Sprintf("down%d", l), fmt.Sprintf("cond%d", l)
		w.blocks[l] = block{
			pre:  r.Scale(up+".pre", width),
			up:   r.Linear(up, hidden, width, true),
			cond: r.Linear(cond, hidden, textOut, false),
			down: r.Linear(down, width, hidden, true),
		}
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("pixel weights: %w", err)
	}
	return w, nil
}
