package quant_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/essaim/essaim/quant"
)

// drawn executes one operator of each kind on two vectors.
func drawn(watch func(quant.Op), workers int) quant.Value {
	t := &quant.Tape{Room: &quant.Room{Workers: workers}, Watch: watch}
	z := t.Do("z", quant.Gather{Table: []int8{100, -100, 50, -50, 1, 2, 3, 4}, Cols: 4, Lists: [][]quant.Weighted{{{Row: 0, Weight: 40}}, {{Row: 1, Weight: 4096}}}})
	t.Step = 1
	m := &quant.Matrix{Rows: 4, Cols: 4, W: []int8{1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, -4, -4, -4, -4}, Bias: []int32{1, 2, 3, 4}}
	s := quant.Scale{Mul: []int32{100, 200, 300, 400}, Shift: 14}
	a := t.Do("a.pre", quant.Activate{Scale: s, Lo: -127, Hi: 127}, z)
	x := t.Do("a", quant.Product{Matrix: m}, a)
	x = t.Do("a.time", quant.Sum{}, x, quant.Value{Vectors: 1, Wide: []int32{1000, 2000, 3000, 4000}})
	x = t.Do("a", quant.Sum{}, x, t.Do("a", quant.Rescale{Scale: s}, z))
	z = t.Do("z", quant.Sum{}, z, x)
	t.Step = 0
	g := t.Do("text", quant.Gather{Table: []int8{1, 2, -3, 4, 5, -6}, Cols: 2, Lists: [][]quant.Weighted{{{Row: 0, Weight: 10}}, {{Row: 1, Weight: -1}, {Row: 2, Weight: 100}}}})
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
	if want := []string{"gather", "activate", "product", "sum", "rescale", "sum", "sum", "gather", "lookup"}; !slices.Equal(kinds, want) {
		t.Errorf("kinds %v, want %v", kinds, want)
	}
	if ops[1].Step != 1 || ops[7].Step != 0 || ops[3].In[1].ID != 0 || ops[5].In[1].ID != ops[4].Out.ID {
		t.Error("steps or inputs are not those that were given")
	}
	if got := ops[7].Out; got.Vectors != 2 || !slices.Equal(got.Wide, []int32{10, 20, 503, -604}) {
		t.Errorf("gathered %+v", got)
	}
	if v := ops[7].Out.Vector(1); !slices.Equal(v.Wide, []int32{503, -604}) || v.ID != 8 || v.Elements() != 2 {
		t.Errorf("its second vector is %+v", v)
	}
}

// TestRecordIsTheDocumentedBytes holds one record of each width, byte by byte.
func TestRecordIsTheDocumentedBytes(t *testing.T) {
	narrow := quant.Op{
		Step: 2, Layer: "up0.pre", Operator: quant.Activate{},
		In:  []quant.Value{{ID: 5}},
		Out: quant.Value{ID: 6, Vectors: 1, Narrow: []int16{1, -1}},
	}
	wide := quant.Op{
		Layer: "in", Operator: quant.Sum{},
		In:  []quant.Value{{ID: 300}, {}},
		Out: quant.Value{ID: 301, Vectors: 2, Wide: []int32{1, -2}},
	}
	for _, c := range []struct {
		op   quant.Op
		want string
	}{
		{narrow, "06000000" + "02000000" + "08" + "6163746976617465" + "07" + "7570302e707265" + "01" + "05000000" + "01000000" + "02000000" + "02" + "0100ffff"},
		{wide, "2d010000" + "00000000" + "03" + "73756d" + "02" + "696e" + "02" + "2c010000" + "00000000" + "02000000" + "01000000" + "04" + "01000000feffffff"},
	} {
		if got := hex.EncodeToString(c.op.AppendRecord(nil)); got != c.want {
			t.Errorf("record %s, want %s", got, c.want)
		}
	}
}

// merkle is the definition in RFC 6962, section 2.1.
func merkle(leaves [][]byte) [32]byte {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		left, right := merkle(leaves[:k]), merkle(leaves[k:])
		return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
	}
}

func TestTraceHashIsRFC6962(t *testing.T) {
	var (
		hash   quant.TraceHash
		leaves [][]byte
	)
	for i := range 70 {
		if got, want := hash.Root(), merkle(leaves); got != want {
			t.Fatalf("%d operators: %x, want %x", i, got, want)
		}
		op := quant.Op{Layer: "x", Operator: quant.Sum{}, Out: quant.Value{ID: i + 1, Vectors: 1, Wide: []int32{int32(i)}}}
		hash.Add(op)
		leaves = append(leaves, op.AppendRecord(nil))
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
