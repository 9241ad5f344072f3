package pixel

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoFloats reads the source of this package and of quant: no floating-point
// type, literal or package function may be in it.
func TestNoFloats(t *testing.T) {
	for _, dir := range []string{".", "../../quant"} {
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

// TestArm64 runs TestReference and TestGolden on another architecture, emulated.
func TestArm64(t *testing.T) {
	if testing.Short() {
		t.Skip("emulation is slow")
	}
	if os.Getenv("GOARCH") == "arm64" {
		t.Skip("this is the inner run")
	}
	emulator := ""
	for _, name := range []string{"qemu-aarch64-static", "qemu-aarch64"} {
		if path, err := exec.LookPath(name); err == nil {
			emulator = path
			break
		}
	}
	if emulator == "" {
		t.Skip("no qemu-aarch64-static or qemu-aarch64 on PATH (Debian: qemu-user-static)")
	}
	binary := filepath.Join(t.TempDir(), "pixel.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cross-compiling: %v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), emulator, binary, "-test.run", "^(TestReference|TestGolden)$", "-test.v")
	out, err := run.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") != 2 {
		t.Fatalf("on arm64: %v\n%s", err, out)
	}
}
