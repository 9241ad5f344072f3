package pixel

import (
	"strconv"

	"github.com/essaim/essaim/quant"
)

// draw computes the coefficients of things, in 1/4096, from their table rows.
func (w *weights) draw(t *quant.Tape, lists [][]quant.Weighted) quant.Value {
	sum := t.Do("text.table", quant.Gather{Table: w.table, Cols: w.text1.Cols, Lists: lists})
	e := t.Do("text", quant.Activate{Scale: w.text, Lo: -127, Hi: 127}, sum)
	c := w.text2.relu(t, "text2", w.text1.relu(t, "text1", e))
	x := w.cond.wide(t, "cond", c)
	for l := range w.blocks {
		x = w.blocks[l].add(t, l, x, c)
	}
	return w.out.wide(t, "out", t.Do("out.pre", quant.Activate{Scale: w.outPre, Lo: -127, Hi: 127}, x))
}

// add adds to x what block l makes of it and of the text's c.
func (b *block) add(t *quant.Tape, l int, x, c quant.Value) quant.Value {
	up, cond, down := nth("up", l), nth("cond", l), nth("down", l)
	h := b.up.sums(t, up, t.Do(up+".pre", quant.Activate{Scale: b.pre, Lo: -127, Hi: 127}, x))
	h = t.Do(up, quant.Sum{}, h, b.cond.wide(t, cond, c))
	h = t.Do(up, quant.Activate{Scale: b.up.Scale, Lo: 0, Hi: 127}, h)
	return t.Do(down, quant.Sum{}, x, b.down.wide(t, down, h))
}

// nth is the name of a layer of block l.
func nth(name string, l int) string { return name + strconv.Itoa(l) }

func (l *linear) sums(t *quant.Tape, name string, x quant.Value) quant.Value {
	return t.Do(name, quant.Product{Matrix: &l.Matrix}, x)
}

func (l *linear) relu(t *quant.Tape, name string, x quant.Value) quant.Value {
	return t.Do(name, quant.Activate{Scale: l.Scale, Lo: 0, Hi: 127}, l.sums(t, name, x))
}

func (l *linear) wide(t *quant.Tape, name string, x quant.Value) quant.Value {
	return t.Do(name, quant.Rescale{Scale: l.Scale}, l.sums(t, name, x))
}
