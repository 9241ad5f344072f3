package coordinator_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/transport"
)

// BenchmarkDispatch measures the time from a task's submission at the coordinator to its offer's arrival, over
// libp2p, at a miner that waits: in a market of its own, and in one of 100 miners of which the others are busy, with
// 1,000 tasks that wait for those. The task's signature, session and price are checked within that time. What the
// miner does with it is not measured.
func BenchmarkDispatch(b *testing.B) {
	for _, market := range []struct{ busy, waiting int }{{0, 0}, {99, 1000}} {
		b.Run(fmt.Sprintf("miners=%d/waiting=%d", market.busy+1, market.waiting), func(b *testing.B) {
			n := newNetwork(b, func(c *coordinator.Config) {
				c.Logger, c.MaxTasks = nil, 1<<20
				c.Poll, c.ActorTTL, c.Rejoin, c.TaskTimeout, c.AttemptTimeout = 0, 0, 0, time.Hour, time.Hour // as the program has them, or longer
			})
			busy := n.fill(market.busy, market.waiting)
			idle := n.lie()
			n.beat(append(busy, idle)...)
			p := n.payer(1 << 40)
			var took []time.Duration
			for b.Loop() {
				s := p.sealedTo(append([]*liar{idle}, busy[:min(2, len(busy))]...)...)
				began := time.Now()
				delivered := wait(func() (essaim.Delivery, error) { return n.co.Submit(b.Context(), s, nil) })
				o := within(b, idle.offers, "the offer arrives")
				took = append(took, time.Since(began))
				right := idle.result(o, nil)
				o.say(b, transport.Report{Result: &right})
				if r := within(b, delivered, "the task is delivered"); r.err != nil {
					b.Fatal(r.err)
				}
				close(o.done)
			}
			slices.Sort(took)
			b.ReportMetric(0, "ns/op") // of the whole loop
			for _, p := range []int{50, 99} {
				b.ReportMetric(float64(took[len(took)*p/100].Microseconds())/1e3, fmt.Sprintf("p%d-ms", p))
			}
		})
	}
}

// fill makes miners with one place each, which they have given away, and tasks that wait for them, each sealed to
// three, of ten payers.
func (n *network) fill(miners, waiting int) (busy []*liar) {
	n.t.Helper()
	for i := range miners {
		l := n.lieWith(calmBeat, 1)
		busy = append(busy, l)
		n.begin(n.payer(1 << 40).sealedTo(l))
		within(n.t, l.offers, fmt.Sprintf("miner %d is busy", i))
	}
	for i := range min(waiting, 10) {
		p := n.payer(1 << 40)
		for k := range waiting / 10 {
			at := (10*k + i) % (miners - 2)
			n.begin(p.sealedTo(busy[at : at+3]...))
		}
	}
	eventually(n.t, "all tasks are under way", func() bool { return n.co.Stats().Tasks == miners+waiting })
	return busy
}

// sealedTo makes a task for these miners, whom no quote has named.
func (p *payer) sealedTo(miners ...*liar) essaim.Submission {
	p.n.t.Helper()
	in := essaim.Input{Prompt: "a stone", Salt: make([]byte, 16), ReplyKey: p.reply.PublicKey()}
	p.seq++
	t := essaim.NewTask(chainID, p.session, p.seq)
	t.Kind, t.Model, t.Input, t.MaxPrice = essaim.KindImage, modelDigest, in.Digest(), unitPrice
	var keys [][]byte
	for _, l := range miners {
		keys = append(keys, p.n.hpkeOf(essaim.NodeKeyOf(l.key)))
	}
	sealed, err := seal.Seal(in.Encode(), t.Input[:], keys...)
	if err != nil {
		p.n.t.Fatal(err)
	}
	signed, err := essaim.SignTask(t, p.key)
	if err != nil {
		p.n.t.Fatal(err)
	}
	return essaim.Submission{Task: signed, Input: sealed}
}

// begin hands in a task that is not waited for.
func (n *network) begin(s essaim.Submission) {
	background(n.t, func(ctx context.Context) error {
		_, _ = n.co.Submit(ctx, s, nil)
		return nil
	})
}

// beat has liars beat until the test ends, each often enough.
func (n *network) beat(all ...*liar) {
	background(n.t, func(ctx context.Context) error {
		tick := time.NewTicker(calmBeat / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			for _, l := range all {
				_, _ = l.beat(nil)
			}
		}
	})
}
