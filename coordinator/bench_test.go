package coordinator_test

import (
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/miner"
)

// BenchmarkTasks measures whole tasks, submitted by 32 clients at a time: admitted
// and logged, offered over libp2p to a miner with an engine that does nothing, the
// result sealed, stored and signed, the receipt logged by both, acknowledged and
// delivered. Sealing and signing the input is the client's work and not measured.
func BenchmarkTasks(b *testing.B) {
	n := newNetwork(b, func(c *coordinator.Config) { c.Logger = nil; c.MaxTasks = 1 << 20 })
	n.mine(&fake{steps: 1}, func(c *miner.Config) { c.Logger, c.Capacity, c.MaxUnacked = nil, 64, 1024 })
	p := n.payer(1 << 40)
	const batch = 256
	b.ReportAllocs()
	tasks := 0
	for b.Loop() {
		b.StopTimer()
		var ready [batch]essaim.Submission
		for i := range ready {
			s, err := p.prepare("a stone", nil)
			if err != nil {
				b.Fatal(err)
			}
			ready[i] = s
		}
		b.StartTimer()
		var group sync.WaitGroup
		places := make(chan struct{}, 32)
		for _, s := range ready {
			places <- struct{}{}
			group.Go(func() {
				defer func() { <-places }()
				if _, err := n.co.Submit(b.Context(), s, nil); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
		tasks += batch
	}
	b.ReportMetric(float64(tasks)/b.Elapsed().Seconds(), "tasks/s")
}
