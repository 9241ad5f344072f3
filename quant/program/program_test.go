package program_test

import (
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/engine/text"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/program"
)

// source reads an executed operator's inputs and a whole weights file.
type source struct {
	op      quant.Op
	tensors map[string]quant.ModelTensor
}

func (s source) In(input, at int) int32 {
	if v := s.op.In[input]; v.Wide != nil {
		return v.Wide[at]
	}
	return int32(s.op.In[input].Narrow[at])
}

func (s source) Param(tensor string, at int) int32 {
	t := s.tensors[tensor]
	return t.Type.ElementOf(t.Data[at*t.Type.Size():])
}

func (s source) Tensor(name string) (int, uint) {
	return s.tensors[name].Elements, s.tensors[name].Shift
}

func tensors(t testing.TB, file string) map[string]quant.ModelTensor {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := quant.ReadModel(b)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]quant.ModelTensor{}
	for _, m := range all {
		out[m.Name] = m
	}
	return out
}

func value(v quant.Value, at int) int32 {
	if v.Wide != nil {
		return v.Wide[at]
	}
	return int32(v.Narrow[at])
}

func element(o quant.Op, at int) quant.Element {
	e := quant.Element{Header: o.Header(), At: at}
	for _, in := range o.In {
		h := quant.Header{ID: in.ID, Vectors: in.Vectors, Elements: in.Elements()}
		e.Inputs = append(e.Inputs, h)
	}
	return e
}

// compare holds some elements of an executed operator to the kind's definition.
func compare(t *testing.T, o quant.Op, m map[string]quant.ModelTensor, elements int, seed uint64) {
	t.Helper()
	kind, ok := program.Kinds()[o.Operator.Kind()]
	if !ok {
		t.Fatalf("kind %s has no definition", o.Operator.Kind())
	}
	n := o.Out.Vectors * o.Out.Elements()
	for i := range elements {
		at := int(quant.Draw(seed, uint64(i)) % uint64(n))
		switch i {
		case 0:
			at = 0
		case 1:
			at = n - 1
		}
		if got, want := kind.Element(element(o, at), source{o, m}), int64(value(o.Out, at)); got != want {
			t.Fatalf("operator %d, %s of %s: element %d is %d, want %d", o.Out.ID, o.Operator.Kind(), o.Layer, at, got, want)
		}
	}
}

// check holds a whole trace to the program: each header, and some elements of each output.
func check(t *testing.T, r program.Run, ops []quant.Op, m map[string]quant.ModelTensor, elements int) {
	t.Helper()
	p, err := program.Of(r, ops[0].Header())
	if err != nil {
		t.Fatal(err)
	}
	if p.Len() != len(ops) {
		t.Fatalf("%d operators, want %d", p.Len(), len(ops))
	}
	for _, o := range ops {
		h := o.Header()
		if err := p.Check(h); err != nil {
			t.Fatalf("%v: %+v, want %+v", err, h, p.Header(h.ID))
		}
		if want := p.Header(h.ID); !reflect.DeepEqual(h.Append(nil), want.Append(nil)) {
			t.Errorf("operator %d is %+v, want %+v", h.ID, h, want)
		}
		if h.ID > 1 {
			compare(t, o, m, elements, r.Seed+uint64(h.ID))
		}
	}
}

var prompts = []string{"red apple", "number", "tree and cat", "une fusée bleue et deux chats", "four blue cars", "red apple and a zorbified green pear and two dogs"}

// TestPixelFollowsItsProgram goes through sizes, numbers of things and seeds.
func TestPixelFollowsItsProgram(t *testing.T) {
	e, err := pixel.New()
	if err != nil {
		t.Fatal(err)
	}
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := tensors(t, "../../engine/pixel/weights.bin")
	kinds := map[string]bool{}
	for i, prompt := range prompts {
		for seed := range uint64(4) {
			size := []int{64, 256, 512}[(uint64(i)+seed)%3]
			var ops []quant.Op
			request := engine.Request{Model: models[0].Digest, Prompt: prompt, Seed: seed, Width: size, Height: size}
			if _, err := e.RunTraced(t.Context(), request, func(o quant.Op) { ops = append(ops, o) }); err != nil {
				t.Fatal(err)
			}
			check(t, program.Run{Engine: pixel.Name, Seed: seed, Width: size}, ops, m, 20)
			for _, o := range ops[1:] {
				kinds[o.Operator.Kind()] = true
			}
		}
	}
	if want := program.Kinds(); len(kinds) != len(want) {
		t.Errorf("kinds %v, want %v", slices.Sorted(maps.Keys(kinds)), slices.Sorted(maps.Keys(want)))
	}
}

func TestTextFollowsItsProgram(t *testing.T) {
	e, err := text.New()
	if err != nil {
		t.Fatal(err)
	}
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := tensors(t, "../../engine/text/weights.bin")
	for _, prompt := range []string{"apple", "ein roter Apfel mit vielen Blättern", "Ёжик в тумане"} {
		var ops []quant.Op
		if _, err := e.RunTraced(t.Context(), engine.Request{Model: models[0].Digest, Prompt: prompt}, func(o quant.Op) { ops = append(ops, o) }); err != nil {
			t.Fatal(err)
		}
		check(t, program.Run{Engine: text.Name}, ops, m, 128)
	}
}

// TestWhatIsNoOperator changes each part of each header.
func TestWhatIsNoOperator(t *testing.T) {
	words := quant.Header{ID: 1, Kind: "words", Layer: "words", Vectors: 2, Elements: 40, Type: quant.Int32, Numbers: []int32{1, 0}}
	run := program.Run{Engine: "pixel", Seed: 3, Width: 256}
	p, err := program.Of(run, words)
	if err != nil {
		t.Fatal(err)
	}
	for id := 1; id <= p.Len(); id++ {
		for name, change := range map[string]func(h *quant.Header){
			"ID": func(h *quant.Header) { h.ID = h.ID%p.Len() + 1 }, "step": func(h *quant.Header) { h.Step++ }, "kind": func(h *quant.Header) { h.Kind += "x" },
			"layer": func(h *quant.Header) { h.Layer = "" }, "inputs": func(h *quant.Header) { h.In = append(h.In, 1) }, "vectors": func(h *quant.Header) { h.Vectors++ },
			"elements": func(h *quant.Header) { h.Elements++ }, "type": func(h *quant.Header) { h.Type ^= 1 }, "numbers": func(h *quant.Header) { h.Numbers = append(h.Numbers, 0) },
		} {
			h := p.Header(id)
			h.In, h.Numbers = slices.Clone(h.In), slices.Clone(h.Numbers)
			if change(&h); id == 1 && name == "vectors" {
				continue // that makes another program
			}
			if err := p.Check(h); !errors.Is(err, program.ErrProgram) {
				t.Errorf("operator %d with other %s: error %v", id, name, err)
			}
		}
		h := p.Header(id)
		for i := range h.Numbers {
			h.Numbers = slices.Clone(h.Numbers)
			if h.Numbers[i] += 2; h.Kind != "" {
				if err := p.Check(h); !errors.Is(err, program.ErrProgram) {
					t.Errorf("operator %d with another number: error %v", id, err)
				}
			}
		}
	}
	for name, r := range map[string]program.Run{"engine": {Engine: "openai", Width: 64}, "size": {Engine: "pixel", Width: 128}, "no size": {Engine: "pixel"}, "text": {Engine: "text"}} {
		if _, err := program.Of(r, words); !errors.Is(err, program.ErrProgram) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, w := range []quant.Header{{}, p.Header(2), {ID: 1, Kind: "words", Layer: "words", Vectors: 5, Elements: 40, Type: quant.Int32}, {ID: 1, Kind: "words", Layer: "words", Vectors: 1, Elements: 41, Type: quant.Int32}} {
		if _, err := program.Of(run, w); !errors.Is(err, program.ErrProgram) {
			t.Errorf("%+v: error %v", w, err)
		}
	}
}

// TestRandomOperators holds the definitions to Apply on any shapes and numbers.
func TestRandomOperators(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		number := func(name string, lo, hi int32) int32 { return rapid.Int32Range(lo, hi).Draw(r, name) }
		vectors, n, rows := int(number("vectors", 1, 3)), int(number("elements", 1, 600)), int(number("rows", 1, 9))
		seed := rapid.Uint64().Draw(r, "seed")
		wide := func(k uint64, n int) []int32 {
			out := make([]int32, n)
			for i := range out {
				out[i] = int32(quant.Draw(seed+k, uint64(i)))
			}
			return out
		}
		narrow := func(k uint64, n int) (out []int16, bytes []int8) {
			for _, v := range wide(k, n) {
				out, bytes = append(out, int16(int8(v))), append(bytes, int8(v))
			}
			return out, bytes
		}
		m := map[string]quant.ModelTensor{}
		put := func(name string, typ quant.Type, shift uint, all ...int32) {
			t := quant.ModelTensor{Name: name, Type: typ, Elements: len(all), Shift: shift}
			for _, v := range all {
				t.Data = append(t.Data, []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}[:typ.Size()]...)
			}
			m[name] = t
		}
		a, b := quant.Value{ID: 1, Vectors: vectors, Wide: wide(1, vectors*n)}, quant.Value{ID: 2, Vectors: 1, Wide: wide(2, n)}
		x, _ := narrow(3, vectors*n)
		_, w := narrow(4, rows*n)
		scale := quant.Scale{Mul: wide(5, n), Shift: uint(number("shift", 1, 46))}
		for i := range scale.Mul {
			scale.Mul[i] &= 0xffff
		}
		table := quant.Table{First: number("first", -300, 300)}
		for _, v := range wide(6, rows*20) {
			table.Out = append(table.Out, int16(v))
		}
		matrix := &quant.Matrix{Rows: rows, Cols: n, W: w}
		if rapid.Bool().Draw(r, "bias") {
			matrix.Bias = wide(7, rows)
			put("l.bias", quant.Int32, 0, matrix.Bias...)
		}
		var w32, t32 []int32
		for _, v := range w {
			w32 = append(w32, int32(v))
		}
		for _, v := range table.Out {
			t32 = append(t32, int32(v))
		}
		put("l.w", quant.Int8, 0, w32...)
		put("l.mul", quant.Int32, scale.Shift, scale.Mul...)
		lists := quant.Words{Lists: make([][]quant.Weighted, vectors)}
		for v := range lists.Lists {
			for i := range int(number("pairs", 0, 5)) {
				lists.Lists[v] = append(lists.Lists[v], quant.Weighted{Row: int(quant.Draw(seed, uint64(i)) % uint64(rows+1)), Weight: int32(i) - 2})
			}
		}
		from := int(number("from", 0, int32(n-1)))
		for i, c := range []struct {
			o  quant.Operator
			in []quant.Value
		}{
			{quant.Sum{}, []quant.Value{a, a}}, {quant.Sum{}, []quant.Value{a, b}}, {quant.Rescale{Scale: scale}, []quant.Value{a}},
			{quant.Activate{Scale: scale, Lo: -127, Hi: 127}, []quant.Value{a}}, {quant.Activate{Scale: scale, Lo: 0, Hi: 16383}, []quant.Value{a}},
			{quant.Product{Matrix: matrix}, []quant.Value{{ID: 3, Vectors: vectors, Narrow: x}}},
			{quant.Lookup{Table: table, From: from, Elements: n - from}, []quant.Value{a}},
			{quant.Gather{Table: w, Cols: n}, []quant.Value{lists.Apply(nil, nil)}},
		} {
			switch c.o.Kind() {
			case "lookup":
				put("l", quant.Int16, 0, t32...)
			case "gather":
				put("l", quant.Int8, 0, w32...)
			}
			compare(t, quant.Op{Layer: "l", Operator: c.o, In: c.in, Out: c.o.Apply(c.in, nil)}, m, 12, seed+uint64(i))
		}
	})
}

// TestNoDefinitionPanics: headers and numbers from anyone give some number.
func TestNoDefinitionPanics(t *testing.T) {
	p, err := program.Of(program.Run{Engine: "pixel", Seed: 1, Width: 512}, quant.Header{ID: 1, Kind: "words", Layer: "words", Vectors: 2, Elements: 40, Type: quant.Int32, Numbers: []int32{1, 0}})
	if err != nil {
		t.Fatal(err)
	}
	kinds := program.Kinds()
	rapid.Check(t, func(r *rapid.T) {
		h := p.Header(rapid.IntRange(2, p.Len()).Draw(r, "operator"))
		e := quant.Element{Header: h, At: rapid.IntRange(0, h.Vectors*h.Elements-1).Draw(r, "at")}
		for _, in := range h.In {
			e.Inputs = append(e.Inputs, p.Header(in))
		}
		k := kinds[h.Kind]
		k.Step(e, rapid.IntRange(0, k.StepsOf(e)-1).Draw(r, "step"), rapid.Int64().Draw(r, "before"), anything(rapid.Uint64().Draw(r, "seed")))
	})
}

// anything is a source of any numbers.
type anything uint64

func (a anything) In(input, at int) int32 {
	return int32(quant.Draw(uint64(a)+uint64(input), uint64(at)))
}
func (a anything) Param(name string, at int) int32 {
	return int32(quant.Draw(uint64(a)^uint64(len(name)), uint64(at)))
}
func (a anything) Tensor(name string) (int, uint) {
	return int(quant.Draw(uint64(a), 1)%1000) + 1, uint(quant.Draw(uint64(a), 2)%46) + 1
}

// TestManifestsStateTheRoot: train/tensors.py wrote them.
func TestManifestsStateTheRoot(t *testing.T) {
	for engineName, manifest := range map[string][]byte{pixel.Name: pixel.Manifest(), text.Name: text.Manifest()} {
		m, err := engine.ParseManifest(manifest, engineName)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile("../../engine/" + engineName + "/weights.bin")
		if err != nil {
			t.Fatal(err)
		}
		root, err := quant.ModelRoot(file)
		if err != nil || m.Root != root || m.Root.IsZero() {
			t.Errorf("%s: root %x, error %v, its manifest states %s", engineName, root, err, m.Root)
		}
	}
}
