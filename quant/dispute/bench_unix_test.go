//go:build unix

package dispute_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim/quant/dispute"
	"github.com/essaim/essaim/quant/program"
)

// cpuTime is what this process has computed so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkJudge reads and judges the last move about one number of an operator of each kind.
func BenchmarkJudge(b *testing.B) {
	r := pixelRun(b, "tree and cat", 2, 256)
	for kind := range program.Kinds() {
		b.Run(kind, func(b *testing.B) {
			at := 0
			for i, o := range r.record.Operators {
				if o.Kind == kind {
					at = i
				}
			}
			wrong := flipped(r.record, at, r.record.Operators[at].Elements/2)
			g := dispute.New(r.claim(wrong.Trace(), r.result))
			m := dispute.Move{}
			for ok := true; m.Evidence == nil && ok; {
				if g.Turn() == dispute.TheChallenger {
					m, ok = r.challenger(r.record)(g)
				} else {
					m, ok = r.miner(wrong)(g)
				}
				if m.Evidence == nil && (!ok || g.Move(r.rules, m) != nil) {
					b.Fatal(g.Stage)
				}
			}
			bytes, err := m.Encode()
			if err != nil {
				b.Fatal(err)
			}
			began := cpuTime(b)
			for b.Loop() {
				again := *g
				m, err := dispute.DecodeMove(bytes)
				if err == nil {
					err = again.Move(r.rules, m)
				}
				if err != nil || again.Verdict != dispute.MinerWrong {
					b.Fatal(err, again.Verdict)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-began).Nanoseconds())/float64(b.N)/1000, "cpu-µs")
			b.ReportMetric(float64(len(bytes)), "bytes")
		})
	}
}
