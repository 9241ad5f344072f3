package pixel

import (
	"strconv"

	"github.com/essaim/essaim/quant"
)

// draw computes the samples of things, in 1/4096, from their table rows.
func (w *weights) draw(t *quant.Tape, lists [][]quant.Weighted) quant.Value {
	sum := t.Do("text.table", quant.Gather{Table: w.table, Cols: w.text1.Cols, Lists: lists})
	e := t.Do("text", quant.Activate{Scale: w.text, Lo: -127, Hi: 127}, sum)
	c := w.text2.relu(t, "text2", w.text1.relu(t, "text1", e))
	x := w.cond.keep(t, "cond", c)
	for l := range w.blocks {
		x = w.blocks[l].add(t, l, x, c)
	}
	z := w.out.wide(t, "out", t.Do("out.pre", quant.Activate{Scale: w.outPre, Lo: -127, Hi: 127}, x))
	t.Free(sum, c, x)
	x = t.Do("basis.pre", quant.Activate{Scale: w.basisPre, Lo: -16383, Hi: 16383}, z)
	t.Free(z)
	return w.basis.wide(t, "basis", x)
}

// add adds to x, whose memory it frees, what block l makes of it and of the text's c.
func (b *block) add(t *quant.Tape, l int, x, c quant.Value) quant.Value {
	up, cond, down := nth("up", l), nth("cond", l), nth("down", l)
	in := t.Do(up+".pre", quant.Activate{Scale: b.pre, Lo: -127, Hi: 127}, x)
	a := b.up.sums(t, up, in)
	k := b.cond.keep(t, cond, c)
	s := t.Do(up, quant.Sum{}, a, k)
	h := t.Do(up, quant.Activate{Scale: b.up.Scale, Lo: 0, Hi: 127}, s)
	t.Free(in, a, k, s)
	d := b.down.wide(t, down, h)
	out := t.Do(down, quant.Sum{}, x, d)
	t.Free(x, d)
	return out
}

// nth is the name of a layer of block l.
func nth(name string, l int) string { return name + strconv.Itoa(l) }

func (l *linear) sums(t *quant.Tape, name string, x quant.Value) quant.Value {
	return t.Do(name, quant.Product{Matrix: &l.Matrix}, x)
}

// relu is the layer's output as activations. It frees x.
func (l *linear) relu(t *quant.Tape, name string, x quant.Value) quant.Value {
	sums := l.sums(t, name, x)
	out := t.Do(name, quant.Activate{Scale: l.Scale, Lo: 0, Hi: 127}, sums)
	t.Free(x, sums)
	return out
}

// wide is the layer's output as wide values. It frees x.
func (l *linear) wide(t *quant.Tape, name string, x quant.Value) quant.Value {
	out := l.keep(t, name, x)
	t.Free(x)
	return out
}

// keep is wide for an x that is still needed.
func (l *linear) keep(t *quant.Tape, name string, x quant.Value) quant.Value {
	sums := l.sums(t, name, x)
	out := t.Do(name, quant.Rescale{Scale: l.Scale}, sums)
	t.Free(sums)
	return out
}
