package chain_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/receipts/sumtree"
)

// BenchmarkSettle: a session of a million receipts and a hundred payees.
func BenchmarkSettle(b *testing.B) {
	for _, c := range []struct {
		name string
		ack  essaim.Amount
	}{{"acknowledged", 1_000_000_000}, {"half", 500_000_000}, {"waits", 0}} {
		b.Run(c.name, func(b *testing.B) { benchmarkSettle(b, c.ack, false) })
	}
	b.Run("end of the window", func(b *testing.B) { benchmarkSettle(b, 0, true) })
}

// benchmarkSettle times a settlement, or the end of the block that pays what waited.
func benchmarkSettle(b *testing.B, acknowledged essaim.Amount, later bool) {
	w := newWaiting(b, nil)
	var lines []essaim.Line
	for i := range 100 {
		name := string(binary.BigEndian.AppendUint16([]byte("miner"), uint16(i)))
		m := registerMiner(account(i%accounts), name)
		w.must(b, m)
		lines = append(lines, line(name, firstModel, 10_000_000, 10_000))
	}
	b.ReportAllocs()
	var size int
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		x := w.branch()
		x.must(b, &registryv1.MsgAddBond{Owner: coordinatorOwner.String(), NodeKey: public("c").String(), Amount: 200_000_000})
		x.must(b, openSession(1_000_000_000, 900))
		m := settle(1, "c", slices.Clone(lines)...)
		if acknowledged > 0 {
			m.Voucher = voucher(b, 1, acknowledged, nil)
		}
		size = m.Size()
		if later {
			x.must(b, m)
			x.ctx = x.ctx.WithBlockHeight(x.ctx.BlockHeight() + int64(waitingParams().ChallengeBlocks))
		}
		b.StartTimer()
		start := cpu(b)
		if later {
			if err := market.NewModule(x.app.Market).EndBlock(x.ctx); err != nil {
				b.Fatal(err)
			}
		} else {
			x.must(b, m)
		}
		spent += cpu(b) - start
	}
	b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(size), "message-bytes")
}

// BenchmarkOpening: what the ledger does for one opening of a million leaves.
func BenchmarkOpening(b *testing.B) {
	w := newWaiting(b, nil)
	j := honest()[0]
	o, l := j.opening(b, 1)
	mine := sumtree.Leaf{Task: essaim.DigestOf(o.Task), Receipt: essaim.DigestOf(o.Receipt), Amount: o.Amount}
	tree := must(sumtree.Build(func(yield func(sumtree.Leaf) bool) {
		for i := range uint64(1_000_000) {
			x := sumtree.Leaf{Task: essaim.DigestOf(binary.BigEndian.AppendUint64(nil, i)), Amount: o.Amount}
			if i == 123_456 {
				x = mine
			}
			if !yield(x) {
				return
			}
		}
	}))
	l.Amount, l.Tasks = 1000*1_000_000, 1_000_000
	k := work{session: 1, tree: tree, lines: []essaim.Line{l}}
	p := tree.Prove(123_456)
	o.Index, o.Siblings = p.Index, p.Siblings
	w.must(b, &registryv1.MsgAddBond{Owner: coordinatorOwner.String(), NodeKey: public("c").String(), Amount: 200_000_000})
	w.must(b, openSession(1_000_000_000, 900))
	w.must(b, k.settle(b, 0))
	m := challenge(1, stored(o))
	start := cpu(b)
	for b.Loop() {
		if _, err := w.do(m); err == nil {
			b.Fatal("convicted")
		}
	}
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(m.Openings[0].Size()-len(o.Task)-len(o.Receipt)), "proof-bytes")
	b.ReportMetric(float64(m.Size()), "message-bytes")
}
