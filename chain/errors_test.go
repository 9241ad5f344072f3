package chain_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// TestErrorCodes: the SDK overwrites a code that is registered twice and reads code 0 as
// success, both silently, so the sources are checked.
func TestErrorCodes(t *testing.T) {
	for _, module := range []string{"model", "registry", "market", "tally", "trail", "beacon", "dispute"} {
		f, err := parser.ParseFile(token.NewFileSet(), "x/"+module+"/errors.go", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 4 {
				return true
			}
			code, err := strconv.Atoi(call.Args[1].(*ast.BasicLit).Value)
			if err != nil || code < 2 || seen[code] {
				t.Errorf("%s: code %v is below 2 or taken", module, call.Args[1])
			}
			seen[code] = true
			return true
		})
		if len(seen) == 0 {
			t.Errorf("%s: no codes found", module)
		}
	}
}
