package proof

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// toy is an engine of every sort of operator that a proof has to do with, in no pleasant shape: a table, products with and
// without biases, steps, and two vectors at once as guidance has them. It is small enough to be lied about thousands of times.
type toy struct {
	table     []int8
	e         quant.Scale
	a, b      quant.Linear
	layers    [2]quant.Linear // of one shape, in turns
	skip      int             // steps that a cheater leaves out
	exchanged bool            // whether a cheater exchanges the layers
	tensors   quant.Tensors
}

const (
	toyRows, toyCols, toyHidden, toyWidth = 37, 24, 70, 33
)

// toyFile is a weights file by docs/protocol/weights.md.
func toyFile(seed uint64) []byte {
	shapes := map[string][]int{
		"table": {toyRows, toyCols}, "table.mul": {toyCols},
		"a.w": {toyHidden, toyCols}, "a.bias": {toyHidden}, "a.mul": {toyHidden},
		"b.w": {toyWidth, toyHidden}, "b.mul": {toyWidth},
		"c.w": {toyWidth, toyWidth}, "c.bias": {toyWidth}, "c.mul": {toyWidth},
		"d.w": {toyWidth, toyWidth}, "d.bias": {toyWidth}, "d.mul": {toyWidth},
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

func newToy(tensors quant.Tensors) (*toy, error) {
	r := tensors.Reader()
	t := &toy{
		table: r.Tensor("table", quant.Int8, toyRows, toyCols).Int8(),
		e:     r.Scale("table", toyCols),
		a:     r.Linear("a", toyHidden, toyCols, true),
		b:     r.Linear("b", toyWidth, toyHidden, false),
		layers: [2]quant.Linear{
			r.Linear("c", toyWidth, toyWidth, true),
			r.Linear("d", toyWidth, toyWidth, true),
		},
		tensors: tensors,
	}
	return t, r.Err()
}

// Walk runs it.
func (y *toy) Walk(ctx context.Context, r engine.Request, given func(quant.Op) (quant.Value, bool), watch func(quant.Op)) error {
	t := &quant.Tape{Given: given, Watch: watch}
	words := quant.Words{Lists: [][]quant.Weighted{nil, {{Row: int(r.Seed % 40), Weight: 3}}}}
	for _, c := range []byte(r.Prompt) {
		words.Lists[0] = append(words.Lists[0], quant.Weighted{Row: int(c % 40), Weight: 8}) // rows 37 to 39 are not there
	}
	sum := t.Do("table", quant.Gather{Table: y.table, Cols: toyCols}, t.Do("words", words))
	e := t.Do("table", quant.Activate{Scale: y.e, Lo: -127, Hi: 127}, sum)
	x := y.b.Rescaled(t, "b", y.a.Activated(t, "a", e, 0, 127))
	for i := range r.Steps - y.skip {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.Step = i + 1
		n := i % 2
		if y.exchanged {
			n = 1 - n
		}
		l, name := &y.layers[n], []string{"c", "d"}[n]
		in := t.Do(name, quant.Activate{Scale: l.Scale, Lo: -127, Hi: 127}, x)
		x = t.Do(name, quant.Sum{}, x, l.Rescaled(t, name, in))
	}
	t.Do("c", quant.Activate{Scale: y.layers[0].Scale, Lo: -127, Hi: 127}, x)
	return nil
}

// A stage is everything about a toy model.
type stage struct {
	file   []byte
	engine *toy
	public *toy // without its matrices
	prover *Prover
	model  *Model
}

func newStage(seed uint64) (*stage, error) {
	s := &stage{file: toyFile(seed)}
	tensors, err := quant.ReadTensors(s.file)
	if err != nil {
		return nil, err
	}
	if s.engine, err = newToy(tensors); err != nil {
		return nil, err
	}
	manifest := essaim.DigestOf(s.file)
	if s.prover, err = NewProver(manifest, s.file, 1); err != nil {
		return nil, err
	}
	public, err := quant.Public(s.file)
	if err != nil {
		return nil, err
	}
	if tensors, _, err = quant.ReadPublic(public); err != nil {
		return nil, err
	}
	if s.public, err = newToy(tensors); err != nil {
		return nil, err
	}
	root, err := quant.ModelRoot(s.file)
	if err != nil {
		return nil, err
	}
	s.model, err = NewModel(manifest, root, s.prover.Root(), public)
	return s, err
}

var stages [2]func() (*stage, error)

func init() {
	for i := range stages {
		stages[i] = sync.OnceValues(func() (*stage, error) { return newStage(uint64(100 * i)) })
	}
}

// theStage is one of two models of one shape.
func theStage(t testing.TB, i int) *stage {
	t.Helper()
	s, err := stages[i]()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// statement is one of the model, without result.
func (s *stage) statement() Statement {
	return Statement{Chain: "essaim-test", Task: essaim.DigestOf([]byte("task")), Model: s.model.digest, Prompt: "red apple", Seed: 7, Steps: 3}
}

// run runs an engine, with a lie or without, and makes the statement say what came out.
func (y *toy) run(t testing.TB, s Statement, lie func(quant.Op) (quant.Value, bool)) (Statement, *Run) {
	t.Helper()
	r := new(Run)
	if err := y.Walk(t.Context(), s.Request(), lie, r.Watch); err != nil {
		t.Fatal(err)
	}
	s.Result, s.Trace = r.Result(), r.Trace()
	return s, r
}

// prove proves without asking whether it can be: as a cheater does.
func (p *Prover) prove(t testing.TB, s Statement, r *Run) *Proof {
	t.Helper()
	all, given, err := r.claims(&p.Model)
	if err != nil {
		t.Fatal(err)
	}
	script := p.begin(1)
	absorb(script, s, r.headers, given)
	out := &Proof{Given: [][][]int32{given}}
	p.argue(script, all, out)
	return out
}

// verify checks a proof as it travels.
func (s *stage) verify(t testing.TB, p *Proof, statements ...Statement) error {
	t.Helper()
	return s.model.Verify(t.Context(), s.public, p.Encode(), statements...)
}
