package enginetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// IntegersOnly reads the source of the packages in these folders, tests aside: no
// floating-point type, literal or function of package math may be in it. A driver whose
// models are exact by integer arithmetic tests itself so.
func IntegersOnly(t *testing.T, dirs ...string) {
	for _, dir := range dirs {
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
		if slices.Contains([]string{"float32", "float64", "complex64", "complex128"}, n.Name) {
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
		if slices.Contains([]string{`"math/cmplx"`, `"math/big"`, `"math/rand"`, `"math/rand/v2"`}, n.Path.Value) {
			return n.Path.Value
		}
	}
	return ""
}
