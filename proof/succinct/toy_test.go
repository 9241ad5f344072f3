package succinct

import (
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/prooftest"
	"github.com/essaim/essaim/quant"
)

// A stage is everything about a toy model.
type stage struct {
	engine *prooftest.Toy
	public *prooftest.Toy // without its matrices
	prover *proof.Prover
	model  *proof.Model
}

func newStage(seed uint64) (*stage, error) {
	s, file := &stage{}, prooftest.File(seed)
	tensors, err := quant.ReadTensors(file)
	if err != nil {
		return nil, err
	}
	if s.engine, err = prooftest.New(tensors); err != nil {
		return nil, err
	}
	manifest := essaim.DigestOf(file)
	if s.prover, err = proof.NewProver(manifest, file, 1); err != nil {
		return nil, err
	}
	public, err := quant.Public(file)
	if err != nil {
		return nil, err
	}
	if tensors, _, err = quant.ReadPublic(public); err != nil {
		return nil, err
	}
	if s.public, err = prooftest.New(tensors); err != nil {
		return nil, err
	}
	root, err := quant.ModelRoot(file)
	if err != nil {
		return nil, err
	}
	s.model, err = proof.NewModel(manifest, root, s.prover.Root(), public)
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
func (s *stage) statement() proof.Statement {
	return proof.Statement{Chain: "essaim-test", Task: essaim.DigestOf([]byte("task")), Model: s.model.Digest(), Prompt: "red apple", Seed: 7, Steps: 3}
}

// run runs an engine, with a lie or without, and makes the statement say what came out.
func run(t testing.TB, e *prooftest.Toy, s proof.Statement, lie func(quant.Op) (quant.Value, bool)) (proof.Statement, *Run) {
	t.Helper()
	r, whole := new(Run), new(proof.Run)
	both := func(o quant.Op) { r.Watch(o); whole.Watch(o) }
	if err := e.Walk(t.Context(), s.Request(), lie, both); err != nil {
		t.Fatal(err)
	}
	s.Result = whole.Result()
	return s, r
}

// cheat proves without asking whether it can be: as a cheater does, who may alter what he has assigned.
func cheat(t testing.TB, p *proof.Prover, s proof.Statement, r *Run, alter func(*assignment)) *Proof {
	t.Helper()
	a, script, out, err := assign(p, []proof.Statement{s}, []*Run{r})
	if err != nil {
		t.Fatal(err)
	}
	if alter != nil {
		alter(a)
	}
	if err := a.argue(script, p.Weights(), out); err != nil {
		t.Fatal(err)
	}
	return out
}

// verify checks a proof as it travels.
func (s *stage) verify(t testing.TB, p *Proof, statements ...proof.Statement) error {
	t.Helper()
	return Verify(t.Context(), s.model, s.public, p.Encode(), statements...)
}
