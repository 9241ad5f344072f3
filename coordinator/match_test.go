package coordinator

import (
	"fmt"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/chance"
	"github.com/essaim/essaim/coordinator/cover"
	"github.com/essaim/essaim/coordinator/quality"
	"github.com/essaim/essaim/coordinator/share"
)

var oneModel = essaim.DigestOf([]byte("model"))

// hall is a coordinator without a network, with miners of these stakes.
func hall(stakes ...essaim.Amount) (*Coordinator, []*miner) {
	c := &Coordinator{
		shared:  share.Alone(""),
		cfg:     Config{Barred: func(essaim.NodeKey, essaim.Digest) bool { return false }},
		quality: quality.New(nil, quality.FirstPause), miners: map[essaim.NodeKey]*miner{},
		shares: map[essaim.Digest]*chance.Shares{}, exposed: map[essaim.NodeKey]*cover.Exposure{},
	}
	var list []*miner
	for i, stake := range stakes {
		m := &miner{
			key: essaim.NodeKey{byte(i + 1)}, capacity: 1 << 30, actor: essaim.Actor{Stake: stake},
			models: map[essaim.Digest]essaim.ModelInfo{oneModel: {Digest: oneModel, Kind: essaim.KindImage, UnitPrice: 10}},
		}
		c.miners[m.key] = m
		list = append(list, m)
	}
	return c, list
}

func imageJob() *job {
	return &job{task: essaim.Task{Model: oneModel, Kind: essaim.KindImage, MaxPrice: 10}}
}

// chiSquare compares counts with what the weights promise.
func chiSquare(counts []int, weights []float64) (x float64) {
	n, all := 0, 0.0
	for i := range counts {
		n, all = n+counts[i], all+weights[i]
	}
	for i, c := range counts {
		want := float64(n) * weights[i] / all
		x += (float64(c) - want) * (float64(c) - want) / want
	}
	return x
}

// The χ² distribution's quantiles at 1 − 10⁻⁵: a right draw fails once in 100,000 runs.
var chiLimit = map[int]float64{4: 28.5, 5: 30.9}

// TestChanceIsStakeTimesQuality draws tasks as they come: a quote names three of the
// miners, and one of those gets the task. Over all miners the shares must be those of
// stake × quality.
func TestChanceIsStakeTimesQuality(t *testing.T) {
	const draws = 10_000
	for _, stakes := range [][]essaim.Amount{
		{100, 300, 600, 600, 900},
		{1, 1, 1, 1, 96},
		{1000, 1, 10, 100, 100, 7},
	} {
		t.Run(fmt.Sprint(stakes), func(t *testing.T) {
			c, miners := hall(stakes...)
			for range 500 {
				c.quality.Note(miners[3].key, oneModel, quality.Failed, time.Second, time.Unix(1, 0))
			}
			if r := c.quality.Factor(miners[3].key, oneModel); r > 0.06 || r < quality.Floor {
				t.Errorf("ratio after failures only: %v", r)
			}
			counts, weights := make([]int, len(miners)), make([]float64, len(miners))
			first := make([]int, len(miners))
			at := map[*miner]int{}
			for i, m := range miners {
				at[m], weights[i] = i, c.weight(m, oneModel)
			}
			for range draws {
				named := c.candidates(oneModel, "", miners, nil)
				if len(named) != 3 || named[0] == named[1] || named[1] == named[2] || named[0] == named[2] {
					t.Fatalf("candidates %v", named)
				}
				first[at[named[0]]]++
				counts[at[c.choose(imageJob(), named)]]++
			}
			limit := chiLimit[len(miners)-1]
			if x := chiSquare(first, weights); x > limit {
				t.Errorf("candidates named first %v for weights %v: χ² = %.1f, limit %.1f", first, weights, x, limit)
			}
			if x := chiSquare(counts, weights); x > limit {
				t.Errorf("tasks %v for weights %v: χ² = %.1f, limit %.1f", counts, weights, x, limit)
			}
		})
	}
}

// TestShareIsCapped: a miner with nine tenths of the stake gets at most a quarter of the
// latest tasks, unless nobody else has room.
func TestShareIsCapped(t *testing.T) {
	c, miners := hall(9000, 200, 200, 200, 200, 200)
	whale := miners[0]
	s := func() *chance.Shares { return c.shares[oneModel] }
	for i := range 4 * chance.ShareWindow {
		var idle, busy []*miner
		for _, m := range miners {
			if m.idle() {
				idle = append(idle, m)
			} else {
				busy = append(busy, m)
			}
		}
		c.give(c.choose(imageJob(), c.candidates(oneModel, "", idle, busy)), imageJob())
		if n := s().Count(whale.key); i >= chance.ShareWindow && n*chance.MaxShare > chance.ShareWindow {
			t.Fatalf("task %d: %d of the last %d went to one miner", i, n, chance.ShareWindow)
		}
	}
	if n := s().Count(whale.key); n < chance.ShareWindow/chance.MaxShare-2 {
		t.Errorf("the largest miner got %d of %d, less than its share", n, chance.ShareWindow)
	}
	for _, m := range miners[1:] {
		m.capacity = 0
	}
	for range chance.ShareWindow {
		c.give(c.choose(imageJob(), []*miner{whale}), imageJob())
	}
	if n := s().Count(whale.key); n != chance.ShareWindow {
		t.Errorf("%d of %d tasks though no other miner had room", n, chance.ShareWindow)
	}
	for _, m := range miners[1:] { // and the cap is back when they have
		m.capacity = 1 << 30
	}
	if named := c.candidates(oneModel, "", miners, nil); len(named) != 3 || named[0] == whale || named[1] == whale || named[2] == whale {
		t.Error("a miner beyond its share is named before others with room")
	}
}

// TestBarredAtOnce: a miner that is barred from a model while it is connected is offered for it no more.
func TestBarredAtOnce(t *testing.T) {
	c, miners := hall(1, 1)
	offered := func() []*miner { return append(c.rivals(oneModel, true, nil), c.rivals(oneModel, false, nil)...) }
	if got := offered(); len(got) != 2 {
		t.Fatalf("%d rivals", len(got))
	}
	c.cfg.Barred = func(m essaim.NodeKey, model essaim.Digest) bool { return m == miners[0].key && model == oneModel }
	if got := offered(); len(got) != 1 || got[0] != miners[1] {
		t.Errorf("%d rivals, one is barred", len(got))
	}
}
