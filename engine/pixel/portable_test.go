package pixel

import (
	"runtime"
	"testing"

	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/internal/portabletest"
)

var (
	// exact are the tests that hold golden values: pictures, traces, both alone and together.
	exact = portabletest.Binary{Folder: ".", Pattern: "^(TestReference|TestGolden|TestTraceGolden|TestBatchIsTheSame)$"}
	// integers are those of what they are computed with.
	integers = portabletest.Binary{Folder: "../../quant"}
)

func TestNoFloats(t *testing.T) { enginetest.IntegersOnly(t, exact.Folder, integers.Folder) }

func TestOtherMachines(t *testing.T) { portabletest.OtherMachines(t, exact, integers) }

// TestOtherPaths runs the tests of exactness on every path that this machine has, and
// without assembly.
func TestOtherPaths(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the other tests again")
	}
	t.Run("purego", func(t *testing.T) {
		exact.Build(t, nil, "-tags", "purego").Run(t)
		integers.Build(t, nil, "-tags", "purego").Run(t)
	})
	if runtime.GOARCH != "amd64" {
		return
	}
	for _, deny := range []string{"cpu.avx512vnni=off", "cpu.avx512vnni=off,cpu.avx512f=off,cpu.avx2=off"} { // quant tests that this works
		t.Run(deny, func(t *testing.T) {
			b := exact
			b.Env = []string{"GODEBUG=" + deny}
			b.Run(t)
		})
	}
}
