package verifier

import (
	"strings"
	"testing"

	"github.com/essaim/essaim"
)

// TestPromptsVary: what canaries ask for seldom repeats, is never empty, and has the forms of what people write.
func TestPromptsVary(t *testing.T) {
	const n = 5000
	seen := map[string]int{}
	var plain, several, upper int
	for range n {
		p := prompt(nil)
		if err := essaim.CheckPrompt(p); err != nil || strings.Contains(p, "  ") {
			t.Fatalf("%q: %v", p, err)
		}
		seen[p]++
		if strings.Contains(p, " and ") || strings.Contains(p, " et ") {
			several++
		}
		if strings.ToLower(p) == p {
			plain++
		} else {
			upper++
		}
	}
	if len(seen) < n*3/5 || several < n/20 || plain < n/2 || upper < n/10 {
		t.Errorf("%d prompts of %d, %d of several things, %d with a capital", len(seen), n, several, upper)
	}
	if p := prompt([]string{"zebra"}); !strings.Contains(strings.ToLower(p), "z") {
		t.Errorf("%q has no word of the model's", p)
	}
}
