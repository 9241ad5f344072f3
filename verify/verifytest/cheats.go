package verifytest

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/verify"
)

// Hand is a miner: what it hands over for a trial.
type Hand struct {
	Name   string
	Honest bool // what it does must never be called invalid
	Bound  bool // V0 must see it
	Side   int  // of the pictures that it is asked for
	Exact  bool // it needs a model that is exact
	Do     func(l *Lab, k *Trial) verify.Case
}

// Hands are an honest miner and the cheaters.
func Hands() []Hand {
	return []Hand{
		{"honest", true, false, 64, false, func(_ *Lab, k *Trial) verify.Case { return k.Case(k.Honest()) }},
		{"wrong seed", false, false, 64, false, func(l *Lab, k *Trial) verify.Case {
			r := k.Request
			want := k.Draw(l.Honest, r, 0)
			for r.Seed += 77; bytes.Equal(k.Draw(l.Honest, r, 0).Data, want.Data); r.Seed++ {
				continue // this seed chooses the very same picture, which is then the right one
			}
			return k.Case(k.Draw(l.Honest, r, k.Machine))
		}},
		{"a quarter of the side, enlarged", false, false, 256, false, smaller},
		{"weights of 6 bits", false, false, 64, false, func(l *Lab, k *Trial) verify.Case { return k.Case(k.Draw(l.Six, k.Request, k.Machine)) }},
		{"weights of 4 bits", false, false, 64, false, func(l *Lab, k *Trial) verify.Case { return k.Case(k.Draw(l.Four, k.Request, k.Machine)) }},
		{"another model", false, false, 64, false, func(l *Lab, k *Trial) verify.Case { return k.Case(k.Draw(l.Other, k.Request, k.Machine)) }},
		{"another task's result", false, false, 64, false, func(l *Lab, k *Trial) verify.Case { return k.Case(k.Draw(l.Honest, next(l, k).Request, k.Machine)) }},
		{"earlier receipt replayed", false, true, 64, false, func(l *Lab, k *Trial) verify.Case {
			earlier := next(l, k)
			replayed, asked := earlier.Case(earlier.Honest()), k.Case(k.Honest())
			asked.Receipt, asked.Output = replayed.Receipt, replayed.Output
			return asked
		}},
		{"half precision, ±1 level", false, false, 64, false, func(_ *Lab, k *Trial) verify.Case { return k.Case(k.Shake(k.Honest(), 9, 1)) }},
		{"one channel off by one", false, false, 64, false, func(l *Lab, k *Trial) verify.Case {
			m := picture(l.t, k.Honest())
			m.Pix[4*(k.N*97%(64*64))] ^= 1
			return k.Case(file(l.t, m))
		}},
		{"prompt altered", false, false, 64, false, func(l *Lab, k *Trial) verify.Case {
			r := k.Request
			r.Prompt = alter(r.Prompt)
			return k.Case(k.Draw(l.Honest, r, k.Machine))
		}},
		{"a wrong sum, carried on", false, false, 64, true, func(l *Lab, k *Trial) verify.Case { return tampered(l, k) }},
		{"right result, made-up trace", false, false, 64, true, func(_ *Lab, k *Trial) verify.Case {
			c := k.Case(k.Honest())
			c.Trace[len(c.Trace)/2] ^= 1
			c.Receipt.Trace[0] ^= 1
			return c
		}},
		{"random pixels", false, false, 64, false, func(l *Lab, k *Trial) verify.Case { return k.Case(file(l.t, random(k))) }},
		{"output cut short", false, true, 64, false, func(_ *Lab, k *Trial) verify.Case {
			o := k.Honest()
			o.Data = o.Data[:len(o.Data)/2]
			return k.Case(o)
		}},
		{"bytes swapped after signing", false, true, 64, false, func(_ *Lab, k *Trial) verify.Case {
			c := k.Case(k.Honest())
			c.Output = k.Shake(c.Output, 9, 1)
			return c
		}},
	}
}

func next(l *Lab, k *Trial) *Trial { return l.Trial(k.N+1, k.Request.Width, k.Noise) }

// tampered adds one to one sum of a product, early or late in the run, and computes honestly with
// that: its trace is whole, and commits to what it did.
func tampered(l *Lab, k *Trial) verify.Case {
	var (
		products int
		records  []byte
		hash     quant.TraceHash
		last     quant.Value
	)
	given := func(o quant.Op) (quant.Value, bool) {
		if products++; o.Operator.Kind() != "product" {
			products--
			return quant.Value{}, false
		}
		out := o.Operator.Apply(o.In, nil)
		if products == 1+k.N%14 {
			out.Wide[k.N*53%len(out.Wide)] += 1 << 12
		}
		return out, true
	}
	err := l.Honest.Walk(context.Background(), k.Request, given, func(o quant.Op) {
		records = o.AppendRecord(records)
		hash.Add(o)
		last = o.Out
	})
	if err != nil {
		l.t.Fatal(err)
	}
	m := image.NewRGBA(image.Rect(0, 0, k.Request.Width, k.Request.Height))
	for i, v := range last.Narrow {
		m.Pix[i/3*4+i%3] = uint8(v)
		m.Pix[i/3*4+3] = 255
	}
	c := k.Case(file(l.t, m))
	c.Trace, c.Receipt.Trace = records, essaim.Digest(hash.Root())
	return c
}

// smaller draws 64 x 64 and enlarges it bilinearly.
func smaller(l *Lab, k *Trial) verify.Case {
	r := k.Request
	small := 64
	r.Width, r.Height = small, small
	from := picture(l.t, k.Draw(l.Honest, r, k.Machine))
	to := image.NewRGBA(image.Rect(0, 0, k.Request.Width, k.Request.Height))
	scale := k.Request.Width / small
	at := func(x, y, c int) int {
		return int(from.Pix[from.PixOffset(max(0, min(small-1, x)), max(0, min(small-1, y)))+c])
	}
	for y := range to.Rect.Dy() {
		for x := range to.Rect.Dx() {
			u, v := 2*x+1-scale, 2*y+1-scale // in 1/(2·scale) of a small pixel
			x0, y0 := floor(u, 2*scale), floor(v, 2*scale)
			fx, fy := u-2*scale*x0, v-2*scale*y0
			var p [3]uint8
			for c := range p {
				top := at(x0, y0, c)*(2*scale-fx) + at(x0+1, y0, c)*fx
				bottom := at(x0, y0+1, c)*(2*scale-fx) + at(x0+1, y0+1, c)*fx
				p[c] = uint8((top*(2*scale-fy) + bottom*fy) / (4 * scale * scale))
			}
			to.SetRGBA(x, y, color.RGBA{p[0], p[1], p[2], 255})
		}
	}
	return k.Case(file(l.t, to))
}

func floor(a, b int) int {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}

// alter leaves one word out, or adds one.
func alter(prompt string) string {
	words := strings.Fields(prompt)
	if len(words) < 2 || words[0] == "a" || words[0] == "an" {
		return "blue " + words[len(words)-1]
	}
	return strings.Join(words[1:], " ")
}

func random(k *Trial) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, k.Request.Width, k.Request.Height))
	r := rand.New(rand.NewPCG(uint64(k.N), 3))
	for i := range m.Pix {
		m.Pix[i] = uint8(r.Uint32())
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	return m
}

// Rate counts what a method found in trials of one hand.
type Rate struct {
	Valid, Unclear, Invalid, Near int // Near are some of Unclear and Invalid
	Cannot                        int
}

// Trials is how many there were.
func (r Rate) Trials() int { return r.Valid + r.Unclear + r.Invalid + r.Cannot }

// String is for a table: the share that was accepted, and the share left unclear if there is one.
func (r Rate) String() string {
	n := r.Trials()
	switch {
	case n == 0 || r.Cannot == n:
		return "–"
	case r.Unclear == 0:
		return percent(r.Valid, n)
	}
	return percent(r.Valid, n) + ", " + percent(r.Unclear, n) + " unclear"
}

func percent(part, of int) string {
	tenths := (1000*part + of/2) / of
	if tenths%10 == 0 {
		return fmt.Sprintf("%d %%", tenths/10)
	}
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

func (r *Rate) add(f verify.Finding) {
	switch f.Result {
	case essaim.VerdictValid:
		r.Valid++
	case essaim.VerdictUnclear:
		r.Unclear++
	default:
		r.Invalid++
	}
	if f.Near {
		r.Near++
	}
}
