package trust_test

import (
	"math/rand/v2"
	"testing"

	"github.com/essaim/essaim/verify/trust"
)

// TestDuties: a miner that is gone is found within six audits, one that misses every other soon, and one that misses
// one in ten not in 2,000 lives of 1,000 audits each, but for what α allows.
func TestDuties(t *testing.T) {
	var gone trust.Duties
	n := 1
	for ; !gone.Drawn(false); n++ {
	}
	if n != 6 || gone != (trust.Duties{}) {
		t.Errorf("found after %d audits, %+v", n, gone)
	}
	random := rand.New(rand.NewPCG(1, 2))
	lives := func(missed float64, lives, audits int) (found, sum int) {
		for range lives {
			var d trust.Duties
			for i := range audits {
				if d.Drawn(random.Float64() >= missed) {
					found++
					sum += i + 1
					break
				}
			}
		}
		return found, sum
	}
	if found, sum := lives(0.5, 1000, 1000); found != 1000 || sum/1000 > 30 {
		t.Errorf("every other: %d of 1000 found, after %d audits in the mean", found, sum/max(1, found))
	}
	if found, _ := lives(0.1, 2000, 1000); found > 25 {
		t.Errorf("one in ten: %d of 2000 held for absent", found)
	}
	if found, _ := lives(0.02, 2000, 1000); found != 0 {
		t.Errorf("one in fifty: %d of 2000 held for absent", found)
	}
}
