package pixel

import (
	"context"
	"strconv"

	"github.com/essaim/essaim/quant"
)

// A condition is what the texts of some pictures contribute to every step: biases, a
// vector for each picture, computed once.
type condition struct {
	in     quant.Value   // wide, for x
	blocks []quant.Value // in the unit of each block's up sums
}

// condition computes the biases of prompts from their table rows.
func (w *weights) condition(t *quant.Tape, lists [][]quant.Weighted) *condition {
	sum := t.Do("text.table", quant.Gather{Table: w.table, Cols: w.text1.Cols, Lists: lists})
	e := t.Do("text", quant.Activate{Scale: w.text, Lo: -127, Hi: 127}, sum)
	c := w.text2.relu(t, "text2", w.text1.relu(t, "text1", e))

	out := &condition{in: w.cond.wide(t, "cond", c)}
	for l := range w.blocks {
		out.blocks = append(out.blocks, w.blocks[l].cond.wide(t, nth("cond", l), c))
	}
	return out
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

// sample goes from the noise of seeds to the coefficients of their pictures, in 1/4096.
// After each step it calls done, if not nil, with the number of steps made and that
// step's estimate.
//
// Errors: the context's, looked at before each step.
func (w *weights) sample(ctx context.Context, t *quant.Tape, c *condition, seeds []uint64, steps int, done func(step int, estimate quant.Value)) (quant.Value, error) {
	z := t.Do("z", quant.Random{Keys: seeds, Elements: w.in.Cols})
	for i := range steps {
		if err := ctx.Err(); err != nil {
			return quant.Value{}, err
		}
		t.Step = i + 1
		at := moment(i, steps)
		e := w.estimate(t, c, z, at)
		z = t.Do("rate", quant.Blend{Mul: w.rate[at]}, z, e)
		if done != nil {
			done(i+1, e)
		}
	}
	t.Step = 0
	return z, nil
}

// estimate estimates the pictures from z at a moment.
func (w *weights) estimate(t *quant.Tape, c *condition, z quant.Value, at int) quant.Value {
	x := w.in.wide(t, "in", t.Do("in.pre", quant.Activate{Scale: w.inPre[at], Lo: -127, Hi: 127}, z))
	x = t.Do("in", quant.Sum{}, x, c.in)
	for l := range w.blocks {
		x = w.blocks[l].add(t, l, x, c.blocks[l], at)
	}
	f := w.out.sums(t, "out", t.Do("out.pre", quant.Activate{Scale: w.outPre, Lo: -127, Hi: 127}, x))
	f = t.Do("out", quant.Rescale{Scale: w.gain[at]}, f)
	return t.Do("out", quant.Sum{}, t.Do("skip", quant.Rescale{Scale: w.skip[at]}, z), f)
}

// add adds the output of block l to x.
func (b *block) add(t *quant.Tape, l int, x, cond quant.Value, at int) quant.Value {
	up, down := nth("up", l), nth("down", l)
	h := b.up.sums(t, up, t.Do(up+".pre", quant.Activate{Scale: b.pre, Lo: -127, Hi: 127}, x))
	h = t.Do(up+".time", quant.Sum{}, h, quant.Value{Vectors: 1, Wide: b.time[at]})
	h = t.Do(up, quant.Sum{}, h, cond)
	h = t.Do(up, quant.Activate{Scale: b.up.Scale, Lo: 0, Hi: 127}, h)
	return t.Do(down, quant.Sum{}, x, b.down.wide(t, down, h))
}
