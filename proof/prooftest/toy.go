// Package prooftest is a small engine to try proofs on.
//
// It exists because cheats are tried by the thousand, and by the tests of each mode of proofs. It must not
// be imported but by tests, and knows no proof.
package prooftest

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// A Toy is an engine of every sort of operator that a proof has to do with, in no pleasant shape: a table, products with and
// without biases, steps, and two vectors at once as guidance has them. It is small enough to be lied about thousands of times.
type Toy struct {
	table     []int8
	e         quant.Scale
	a, b      quant.Linear
	layers    [2]quant.Linear // of one shape, in turns
	Skip      int             // steps that a cheater leaves out
	Exchanged bool            // whether a cheater exchanges the layers
}

// Shape of its matrices; Rows and Cols are those of the table.
const (
	Rows, Cols, hidden, width = 37, 24, 70, 33
)

// File is a weights file by docs/protocol/weights.md.
func File(seed uint64) []byte {
	shapes := map[string][]int{
		"table": {Rows, Cols}, "table.mul": {Cols},
		"a.w": {hidden, Cols}, "a.bias": {hidden}, "a.mul": {hidden},
		"b.w": {width, hidden}, "b.mul": {width},
		"c.w": {width, width}, "c.bias": {width}, "c.mul": {width},
		"d.w": {width, width}, "d.bias": {width}, "d.mul": {width},
	}
	names := slices.Sorted(maps.Keys(shapes))
	f := make([]byte, 64+64*len(names))
	copy(f, "essaimW\n")
	binary.LittleEndian.PutUint32(f[8:], 1)
	binary.LittleEndian.PutUint32(f[12:], uint32(len(names)))
	for i, name := range names {
		f = append(f, make([]byte, -len(f)&63)...)
		e, n := f[64+64*i:][:64], 1
		copy(e[:32], name)
		for d, length := range shapes[name] {
			binary.LittleEndian.PutUint32(e[40+4*d:], uint32(length))
			n *= length
		}
		matrix := len(shapes[name]) == 2
		e[32], e[33], e[34] = byte(quant.Int32), byte(len(shapes[name])), 12
		if matrix {
			e[32], e[34] = byte(quant.Int8), 0
		}
		binary.LittleEndian.PutUint64(e[56:], uint64(len(f)))
		for j := range n {
			v := quant.Draw(seed+uint64(i), uint64(j))
			switch {
			case matrix:
				f = append(f, byte(int8(v%255)-127))
			default:
				f = binary.LittleEndian.AppendUint32(f, uint32(20+v%80))
			}
		}
	}
	binary.LittleEndian.PutUint64(f[16:], uint64(len(f)))
	return f
}

// New reads its tensors, which may be without the matrices' content.
//
// Errors: wraps quant.ErrFormat.
func New(tensors quant.Tensors) (*Toy, error) {
	r := tensors.Reader()
	t := &Toy{
		table: r.Tensor("table", quant.Int8, Rows, Cols).Int8(),
		e:     r.Scale("table", Cols),
		a:     r.Linear("a", hidden, Cols, true),
		b:     r.Linear("b", width, hidden, false),
		layers: [2]quant.Linear{
			r.Linear("c", width, width, true),
			r.Linear("d", width, width, true),
		},
	}
	return t, r.Err()
}

// Walk runs it.
func (y *Toy) Walk(ctx context.Context, r engine.Request, given func(quant.Op) (quant.Value, bool), watch func(quant.Op)) error {
	t := &quant.Tape{Given: given, Watch: watch}
	words := quant.Words{Lists: [][]quant.Weighted{nil, {{Row: int(r.Seed % 40), Weight: 3}}}}
	for _, c := range []byte(r.Prompt) {
		words.Lists[0] = append(words.Lists[0], quant.Weighted{Row: int(c % 40), Weight: 8}) // rows 37 to 39 are not there
	}
	sum := t.Do("table", quant.Gather{Table: y.table, Cols: Cols}, t.Do("words", words))
	e := t.Do("table", quant.Activate{Scale: y.e, Lo: -127, Hi: 127}, sum)
	x := y.b.Rescaled(t, "b", y.a.Activated(t, "a", e, 0, 127))
	for i := range r.Steps - y.Skip {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.Step = i + 1
		n := i % 2
		if y.Exchanged {
			n = 1 - n
		}
		l, name := &y.layers[n], []string{"c", "d"}[n]
		in := t.Do(name, quant.Activate{Scale: l.Scale, Lo: -127, Hi: 127}, x)
		x = t.Do(name, quant.Sum{}, x, l.Rescaled(t, name, in))
	}
	t.Do("c", quant.Activate{Scale: y.layers[0].Scale, Lo: -127, Hi: 127}, x)
	return nil
}

// Lie is a tape's Given that alters one number of one operator's output by some amount.
func Lie(id, at int, by int32) func(quant.Op) (quant.Value, bool) {
	return func(o quant.Op) (quant.Value, bool) {
		if o.Out.ID != id {
			return quant.Value{}, false
		}
		out := o.Operator.Apply(o.In, nil)
		if out.Wide != nil {
			out.Wide[at%len(out.Wide)] += by
		} else {
			out.Narrow[at%len(out.Narrow)] += int16(int8(by | 1)) // within a byte, which is all that a trace has of it
		}
		return out, true
	}
}
