package receiptlog_test

import (
	"math/rand/v2"
	"testing"

	"github.com/essaim/essaim/coordinator/receiptlog"
)

// TestNumbers: no number is free twice, none of the log's is, and those that come in about
// their order are.
func TestNumbers(t *testing.T) {
	n := receiptlog.Above(7)
	for seq := range uint64(8) {
		if n.Take(seq) {
			t.Errorf("%d is the log's", seq)
		}
	}
	taken := map[uint64]bool{}
	late := 0
	for i := range uint64(20_000) {
		seq := 8 + i + uint64(rand.N(100))
		free := n.Take(seq)
		if free && taken[seq] {
			t.Fatalf("%d is free twice", seq)
		}
		if !free && !taken[seq] {
			late++
		}
		taken[seq] = true
	}
	if late > 0 {
		t.Errorf("%d numbers near the newest were not known to be free", late)
	}
}
