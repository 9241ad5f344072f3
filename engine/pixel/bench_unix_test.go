//go:build unix

package pixel

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// cpuTime is what this process has computed so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDraw draws pictures of 64 x 64 together, without writing PNG files.
func BenchmarkDraw(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := newEngine(b)
			plans := make([]plan, n)
			for i := range plans {
				p, err := e.plan(engine.Request{Model: e.model.Digest, Prompt: "red apple", Seed: uint64(i), Width: side, Height: side})
				if err != nil {
					b.Fatal(err)
				}
				plans[i] = p
			}
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if _, err := e.draw(b.Context(), new(quant.Tape), plans, nil); err != nil {
					b.Fatal(err)
				}
			}
			spent := cpuTime(b) - before
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N*n), "cpu-µs/picture")
		})
	}
}
