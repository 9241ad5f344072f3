package coordinator

import (
	"math"
	"testing"

	"github.com/essaim/essaim"
)

func TestChanceIsBondTimesQuality(t *testing.T) {
	c := &Coordinator{quality: map[essaim.NodeKey]*quality{}}
	var miners []*miner
	for i, bond := range []essaim.Amount{100, 300, 600, 600} {
		m := &miner{key: essaim.NodeKey{byte(i)}, bond: bond}
		c.quality[m.key] = new(quality)
		miners = append(miners, m)
	}
	bad := c.quality[miners[3].key]
	for range 500 {
		bad.note(false)
	}
	if r := bad.ratio(); r > 0.06 || r < qualityFloor {
		t.Errorf("ratio after failures only: %v", r)
	}
	const rounds = 20_000
	first := map[*miner]int{}
	for range rounds {
		drawn := c.draw(append([]*miner(nil), miners...), 3)
		if len(drawn) != 3 || drawn[0] == drawn[1] || drawn[1] == drawn[2] || drawn[0] == drawn[2] {
			t.Fatalf("drawn %v", drawn)
		}
		first[drawn[0]]++
	}
	total := 1000 + 600*bad.ratio()
	for i, m := range miners {
		want := float64(m.bond) * c.quality[m.key].ratio() / total
		if got := float64(first[m]) / rounds; math.Abs(got-want) > 0.02 {
			t.Errorf("miner %d is first in %.3f of the draws, want %.3f", i, got, want)
		}
	}
}

func TestQualityRecovers(t *testing.T) {
	var q quality
	if q.ratio() != 1 {
		t.Errorf("ratio of a miner that nobody has seen is %v", q.ratio())
	}
	for range 50 {
		q.note(false)
	}
	low := q.ratio()
	for range 50 {
		q.note(true)
	}
	if q.ratio() < 0.85 || low > 0.1 {
		t.Errorf("ratio %v after failures, %v after as many successes", low, q.ratio())
	}
}
