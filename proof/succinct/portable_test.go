package succinct

import (
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/portabletest"
)

// TestGolden: a proof is these bytes, on every machine.
func TestGolden(t *testing.T) {
	s := theStage(t, 0)
	st, r := run(t, s.engine, s.statement(), nil)
	p := cheat(t, s.prover, st, r, nil)
	if err := s.verify(t, p, st); err != nil {
		t.Fatal(err)
	}
	b := p.Encode()
	s.prover.Weights().Workers = 7
	defer func() { s.prover.Weights().Workers = 1 }()
	if again := cheat(t, s.prover, st, r, nil).Encode(); essaim.DigestOf(again) != essaim.DigestOf(b) {
		t.Error("seven workers make another proof than one")
	}
	const want = "9e11839ee95a2fd5aecaaf2214d2d4ce1e37efd591b3411e3e685e5240d3441d"
	if got := essaim.DigestOf(b).String(); got != want {
		t.Errorf("the proof is %s, want %s", got, want)
	}
}

// TestOtherMachines: proofs are the same bytes on every machine.
func TestOtherMachines(t *testing.T) {
	portabletest.OtherMachines(t, portabletest.Binary{Folder: ".", Pattern: "^(TestGolden|TestFollow)$"})
}

// TestPurego: without assembly, too.
func TestPurego(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the package again")
	}
	portabletest.Binary{Folder: ".", Pattern: "^(TestGolden|TestFollow)$"}.Build(t, nil, "-tags=purego").Run(t)
}
