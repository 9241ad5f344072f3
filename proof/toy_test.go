package proof

import (
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/proof/prooftest"
	"github.com/essaim/essaim/quant"
)

// A stage is everything about a toy model.
type stage struct {
	file   []byte
	engine *prooftest.Toy
	public *prooftest.Toy // without its matrices
	prover *Prover
	model  *Model
}

func newStage(seed uint64) (*stage, error) {
	s := &stage{file: prooftest.File(seed)}
	tensors, err := quant.ReadTensors(s.file)
	if err != nil {
		return nil, err
	}
	if s.engine, err = prooftest.New(tensors); err != nil {
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
	if s.public, err = prooftest.New(tensors); err != nil {
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
func runToy(t testing.TB, y *prooftest.Toy, s Statement, lie func(quant.Op) (quant.Value, bool)) (Statement, *Run) {
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
