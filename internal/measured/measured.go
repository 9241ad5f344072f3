// Package measured keeps figures in documents true: a block between two comments is what a
// test has just computed, or the test fails.
//
// It exists so that no table of docs/ is typed by hand. It is imported by tests only, and
// must hold only what comes out the same on every machine: no times.
package measured

import (
	"os"
	"strings"
	"testing"
)

// Block compares the block of that name in a document with text, or replaces it. A block
// begins with a line "<!-- measured NAME: ... -->" and ends with "<!-- end -->". Tests that
// update one document must not run at the same time: go test -p 1.
func Block(t testing.TB, document, name, text string, update bool) {
	t.Helper()
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), "<!-- measured "+name+": ")
	how, rest, ok2 := strings.Cut(rest, " -->\n")
	was, tail, ok3 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("%s has no block %q", document, name)
	}
	switch {
	case was == text:
	case update:
		now := head + "<!-- measured " + name + ": " + how + " -->\n" + text + "<!-- end -->" + tail
		if err := os.WriteFile(document, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("block %q of %s is not what the code computes; run again with -update-docs, and read the page again. Computed:\n%s", name, document, text)
	}
}

// Table writes rows as Markdown, the first as the head.
func Table(rows [][]string) string {
	var b strings.Builder
	for i, r := range rows {
		b.WriteString("| " + strings.Join(r, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(r)) + "\n")
		}
	}
	return b.String()
}
