package pixel

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestNoFloats reads the source of this package and of quant: no floating-point
// type, literal or package function may be in it.
func TestNoFloats(t *testing.T) {
	for _, dir := range []string{".", quantFolder} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, error %v", dir, len(files), err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if what := floating(n); what != "" {
					t.Errorf("%s has %s", name, what)
				}
				return true
			})
		}
	}
}

func floating(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Ident:
		switch n.Name {
		case "float32", "float64", "complex64", "complex128":
			return n.Name
		}
	case *ast.BasicLit:
		if n.Kind == token.FLOAT || n.Kind == token.IMAG {
			return n.Value
		}
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && x.Name == "math" && !strings.HasPrefix(n.Sel.Name, "M") { // math.MaxInt32 and the like
			return "math." + n.Sel.Name
		}
	case *ast.ImportSpec:
		switch n.Path.Value {
		case `"math/cmplx"`, `"math/big"`, `"math/rand"`, `"math/rand/v2"`:
			return n.Path.Value
		}
	}
	return ""
}

const quantFolder = "../../quant"

// exact are the tests that hold golden values: pictures, traces, both alone and together.
const exact = "^(TestReference|TestGolden|TestTraceGolden|TestBatchIsTheSame)$"

// TestOtherMachines runs the tests of exactness, and those of package quant, on other
// architectures, emulated. s390x is big-endian, arm64 has vector code of its own.
func TestOtherMachines(t *testing.T) {
	if testing.Short() {
		t.Skip("emulation is slow")
	}
	for arch, qemu := range map[string]string{"arm64": "qemu-aarch64", "riscv64": "qemu-riscv64", "s390x": "qemu-s390x"} {
		t.Run(arch, func(t *testing.T) {
			emulator := lookAny(qemu+"-static", qemu)
			if emulator == "" {
				t.Skipf("no %s-static or %s on PATH (Debian: qemu-user-static)", qemu, qemu)
			}
			machine := []string{"GOOS=linux", "GOARCH=" + arch, "CGO_ENABLED=0"}
			runAgain(t, ".", nil, emulator, build(t, machine, "."), "-test.run", exact)
			runAgain(t, quantFolder, nil, emulator, build(t, machine, quantFolder))
		})
	}
}

// TestOtherPaths runs the tests of exactness on every path that this machine has, and
// without assembly.
func TestOtherPaths(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the other tests again")
	}
	t.Run("purego", func(t *testing.T) {
		runAgain(t, ".", nil, build(t, nil, ".", "-tags", "purego"), "-test.run", exact)
		runAgain(t, quantFolder, nil, build(t, nil, quantFolder, "-tags", "purego"))
	})
	if runtime.GOARCH != "amd64" {
		return
	}
	for _, deny := range []string{"cpu.avx512vnni=off", "cpu.avx512vnni=off,cpu.avx512f=off,cpu.avx2=off"} { // quant tests that this works
		t.Run(deny, func(t *testing.T) {
			runAgain(t, ".", []string{"GODEBUG=" + deny}, os.Args[0], "-test.run", exact)
		})
	}
}

// lookAny finds one of some programs.
func lookAny(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// build compiles a package's tests.
func build(t *testing.T, env []string, folder string, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "test")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"test", "-c", "-o", binary}, flags...), folder)...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compiling %s: %v\n%s", folder, err, out)
	}
	return binary
}

// runAgain runs a folder's compiled tests, which must pass and be some.
func runAgain(t *testing.T, folder string, env []string, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], "-test.v", "-test.short")...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
}
