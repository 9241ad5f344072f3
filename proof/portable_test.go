package proof

import (
	"testing"

	"github.com/essaim/essaim/internal/portabletest"
)

// TestOtherMachines: roots, challenges and proofs are the same bytes on every machine, and by every path of the vector code.
func TestOtherMachines(t *testing.T) {
	portabletest.OtherMachines(t,
		portabletest.Binary{Folder: ".", Pattern: "^(TestGolden|TestRightIsAccepted|TestFrozenHeart)$"},
		portabletest.Binary{Folder: "./field"},
	)
}

// TestPurego: without assembly, too.
func TestPurego(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the package again")
	}
	portabletest.Binary{Folder: ".", Pattern: "^(TestGolden|TestRightIsAccepted)$"}.Build(t, nil, "-tags=purego").Run(t)
}
