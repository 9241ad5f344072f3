package pixel

import (
	"strconv"

	"github.com/essaim/essaim/quant"
)

// draw computes the samples of things, in 1/4096, from their table rows.
func (w *weights) draw(t *quant.Tape, words quant.Words) quant.Value {
	rows := t.Do("words", words)
	sum := t.Do("text.table", quant.Gather{Table: w.table, Cols: w.text1.Cols}, rows)
	e := t.Do("text", quant.Activate{Scale: w.text, Lo: -127, Hi: 127}, sum)
	h := w.text1.Activated(t, "text1", e, 0, 127)
	c := w.text2.Activated(t, "text2", h, 0, 127)
	t.Free(rows, sum, e, h)
	x := w.cond.Rescaled(t, "cond", c)
	for l := range w.blocks {
		x = w.blocks[l].add(t, l, x, c)
	}
	last := t.Do("out.pre", quant.Activate{Scale: w.outPre, Lo: -127, Hi: 127}, x)
	z := w.out.Rescaled(t, "out", last)
	t.Free(c, x, last)
	wide := t.Do("basis.pre", quant.Activate{Scale: w.basisPre, Lo: -16383, Hi: 16383}, z)
	defer t.Free(z, wide)
	return w.basis.Rescaled(t, "basis", wide)
}

// add adds to x, whose memory it frees, what block l makes of it and of the text's c.
func (b *block) add(t *quant.Tape, l int, x, c quant.Value) quant.Value {
	up, cond, down := nth("up", l), nth("cond", l), nth("down", l)
	in := t.Do(up+".pre", quant.Activate{Scale: b.pre, Lo: -127, Hi: 127}, x)
	own := b.up.Sums(t, up, in)
	asked := b.cond.Rescaled(t, cond, c)
	sum := t.Do(up, quant.Sum{}, own, asked)
	h := t.Do(up, quant.Activate{Scale: b.up.Scale, Lo: 0, Hi: 127}, sum)
	t.Free(in, own, asked, sum)
	more := b.down.Rescaled(t, down, h)
	out := t.Do(down, quant.Sum{}, x, more)
	t.Free(x, h, more)
	return out
}

// nth is the name of a layer of block l.
func nth(name string, l int) string { return name + strconv.Itoa(l) }
