package coordinator_test

import (
	"strings"
	"testing"

	"github.com/essaim/essaim/censor"
	"github.com/essaim/essaim/miner"
)

// TestDeclined: what one miner does not want to do another does, and nobody holds it against the
// first; what all decline costs nothing.
func TestDeclined(t *testing.T) {
	n := newNetwork(t, nil)
	no, err := censor.Parse(marker)
	if err != nil {
		t.Fatal(err)
	}
	shy := n.mine(&fake{}, func(c *miner.Config) { c.Declines = no })
	p := n.payer(20 * unitPrice)
	if _, err := p.imagine("a "+marker, nil); err == nil || !strings.Contains(err.Error(), "does not do this") || strings.Contains(err.Error(), marker) {
		t.Errorf("declined by all: %v", err)
	}
	good := n.mine(&fake{}, nil)
	delivered := uint64(0)
	for range 8 {
		if r := p.must(p.imagine("a "+marker, nil)); r.Miner != good.key {
			t.Errorf("delivered by %s", r.Miner.Short())
		}
		delivered++
	}
	for declined := false; !declined; delivered++ { // and it still gets what it does
		declined = p.must(p.imagine("a pear", nil)).Miner == shy.key
	}
	p.settle(delivered)
	n.stop()
	log := n.log()
	all, err := log.Quality(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if q := all[shy.key]; q.Good == 0 || q.Good != q.All {
		t.Errorf("the one that declines has %g of %g good attempts", q.Good, q.All)
	}
}
