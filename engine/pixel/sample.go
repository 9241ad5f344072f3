package pixel

import (
	"context"

	"github.com/essaim/essaim/quant"
)

// A condition is what the text contributes to every step: biases, computed once a
// picture.
type condition struct {
	in     []int32         // wide, for x
	blocks [blocks][]int32 // in the unit of each block's up sums
}

// condition computes a prompt's biases from its table rows.
func (w *weights) condition(rows []row, workers int) *condition {
	sum := make([]int32, textCols)
	for _, r := range rows {
		for i, v := range w.table[r.index*textCols : (r.index+1)*textCols] {
			sum[i] += r.weight * int32(v)
		}
	}
	e := make([]int16, textCols)
	w.text.Narrow(e, sum, -127, 127)
	c := relu(&w.text2, relu(&w.text1, e, workers), workers)

	out := &condition{in: wide(&w.cond, c, workers)}
	for l := range out.blocks {
		out.blocks[l] = wide(&w.blocks[l].cond, c, workers)
	}
	return out
}

func relu(l *linear, x []int16, workers int) []int16 {
	sum, out := make([]int32, l.Rows), make([]int16, l.Rows)
	l.Product(sum, x, workers)
	l.Narrow(out, sum, 0, 127)
	return out
}

func wide(l *linear, x []int16, workers int) []int32 {
	out := make([]int32, l.Rows)
	l.Product(out, x, workers)
	l.Wide(out, out)
	return out
}

// A sampler draws one picture. It is for one goroutine.
type sampler struct {
	w       *weights
	c       *condition
	workers int

	x, y, estimate []int32
	sum            []int32
	act            []int16 // an input of width or coefficients
	h              []int16
}

func newSampler(w *weights, c *condition, workers int) *sampler {
	return &sampler{
		w: w, c: c, workers: workers,
		x: make([]int32, width), y: make([]int32, width), estimate: make([]int32, coefficients),
		sum: make([]int32, hidden), act: make([]int16, width), h: make([]int16, hidden),
	}
}

// run goes from noise to a picture's coefficients, in 1/4096. After each step it calls
// done, if not nil, with the number of steps made and that step's estimate, which is
// overwritten by the next.
//
// Errors: the context's, looked at before each step.
func (s *sampler) run(ctx context.Context, seed uint64, steps int, done func(step int, estimate []int32)) ([]int32, error) {
	z := make([]int32, coefficients)
	quant.Noise(z, seed)
	for i := range steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at := moment(i, steps)
		s.step(z, at)
		for k, e := range s.estimate {
			z[k] += quant.Requantise(e-z[k], s.w.rate[at], 16)
		}
		if done != nil {
			done(i+1, s.estimate)
		}
	}
	return z, nil
}

// step estimates the picture from z at a moment.
func (s *sampler) step(z []int32, at int) {
	w := s.w
	w.inPre[at].Narrow(s.act, z, -127, 127)
	w.in.Product(s.x, s.act, s.workers)
	w.in.Wide(s.x, s.x)
	quant.Add(s.x, s.c.in)
	for l := range w.blocks {
		s.block(&w.blocks[l], s.c.blocks[l], at)
	}
	w.outPre.Narrow(s.act, s.x, -127, 127)
	w.out.Product(s.y, s.act, s.workers)
	w.gain[at].Wide(s.y, s.y)
	w.skip[at].Wide(s.estimate, z)
	quant.Add(s.estimate, s.y)
}

// block adds one block's output to x.
func (s *sampler) block(b *block, cond []int32, at int) {
	b.pre.Narrow(s.act, s.x, -127, 127)
	b.up.Product(s.sum, s.act, s.workers)
	quant.Add(s.sum, b.time[at])
	quant.Add(s.sum, cond)
	b.up.Narrow(s.h, s.sum, 0, 127)
	b.down.Product(s.y, s.h, s.workers)
	b.down.Wide(s.y, s.y)
	quant.Add(s.x, s.y)
}
