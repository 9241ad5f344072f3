package quant_test

import (
	"slices"
	"testing"

	"github.com/essaim/essaim/quant"
)

// drawn executes one operator of each kind on two vectors.
func drawn(watch func(quant.Op), workers int) quant.Value {
	t := &quant.Tape{Room: &quant.Room{Workers: workers}, Watch: watch}
	z := t.Do("z", quant.Gather{Table: []int8{100, -100, 50, -50, 1, 2, 3, 4}, Cols: 4},
		t.Do("words", quant.Words{Lists: [][]quant.Weighted{{{Row: 0, Weight: 40}}, {{Row: 1, Weight: 4096}}}}))
	t.Step = 1
	m := &quant.Matrix{Rows: 4, Cols: 4, W: []int8{1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, -4, -4, -4, -4}, Bias: []int32{1, 2, 3, 4}}
	s := quant.Scale{Mul: []int32{100, 200, 300, 400}, Shift: 14}
	a := t.Do("a.pre", quant.Activate{Scale: s, Lo: -127, Hi: 127}, z)
	x := t.Do("a", quant.Product{Matrix: m}, a)
	x = t.Do("a.time", quant.Sum{}, x, quant.Value{Vectors: 1, Wide: []int32{1000, 2000, 3000, 4000}})
	x = t.Do("a", quant.Sum{}, x, t.Do("a", quant.Rescale{Scale: s}, z))
	z = t.Do("z", quant.Sum{}, z, x)
	t.Step = 0
	g := t.Do("text", quant.Gather{Table: []int8{1, 2, -3, 4, 5, -6}, Cols: 2},
		t.Do("words", quant.Words{Lists: [][]quant.Weighted{{{Row: 0, Weight: 10}}, {{Row: 1, Weight: -1}, {Row: 2, Weight: 100}}}}))
	_ = g
	return t.Do("table", quant.Lookup{Table: quant.Table{First: -1, Out: []int16{-5, 0, 5}}, From: 1, Elements: 2}, z)
}

func TestTapeShowsWhatItDoes(t *testing.T) {
	var ops []quant.Op
	out := drawn(func(o quant.Op) { ops = append(ops, o) }, 2)
	if alone := drawn(nil, 1); !alone.Equal(out) || out.ID != len(ops) || alone.ID != out.ID {
		t.Errorf("watched %+v, unwatched %+v, %d operators", out, alone, len(ops))
	}
	var kinds []string
	for i, o := range ops {
		kinds = append(kinds, o.Operator.Kind())
		if o.Out.ID != i+1 || !o.Holds() {
			t.Errorf("operator %d: %+v does not hold", i+1, o)
		}
	}
	if want := []string{"words", "gather", "activate", "product", "sum", "rescale", "sum", "sum", "words", "gather", "lookup"}; !slices.Equal(kinds, want) {
		t.Errorf("kinds %v, want %v", kinds, want)
	}
	if ops[2].Step != 1 || ops[9].Step != 0 || ops[4].In[1].ID != 0 || ops[6].In[1].ID != ops[5].Out.ID {
		t.Error("steps or inputs are not those that were given")
	}
	if got := ops[9].Out; got.Vectors != 2 || !slices.Equal(got.Wide, []int32{10, 20, 503, -604}) {
		t.Errorf("gathered %+v", got)
	}
	if v := ops[9].Out.Vector(1); !slices.Equal(v.Wide, []int32{503, -604}) || v.ID != 10 || v.Elements() != 2 {
		t.Errorf("its second vector is %+v", v)
	}
}

// TestAnUnwatchedTapeMakesOnlyOutputs counts allocations: a value, and what an interface
// takes to hold an operator and its inputs.
func TestAnUnwatchedTapeMakesOnlyOutputs(t *testing.T) {
	x := quant.Value{Vectors: 1, Wide: make([]int32, 64)}
	tape := new(quant.Tape)
	if n := testing.AllocsPerRun(100, func() { tape.Do("x", quant.Sum{}, x, x) }); n > 2 {
		t.Errorf("a sum takes %v allocations", n)
	}
}
