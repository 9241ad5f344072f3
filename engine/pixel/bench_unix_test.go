//go:build unix

package pixel

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim/engine"
)

// cpuTime is what this process has computed so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkNew opens the embedded model.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		newEngine(b)
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
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
				if _, err := e.draw(b.Context(), plans, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
			spent := cpuTime(b) - before
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N*n), "cpu-µs/picture")
		})
	}
}

// BenchmarkBatch64 makes results of 64 x 64 together, PNG files and digests included.
func BenchmarkBatch64(b *testing.B) {
	for _, n := range []int{1, 4, 16, 32} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := newEngine(b)
			rs := make([]engine.Request, n)
			for i := range rs {
				rs[i] = engine.Request{Model: e.model.Digest, Prompt: "red apple", Seed: uint64(i), Width: side, Height: side}
			}
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if _, err := e.RunBatch(b.Context(), rs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N*n), "cpu-µs/picture")
		})
	}
}

// BenchmarkTrace draws pictures of each size, with nobody watching and with the trace's commitment, and says
// how much longer that takes; neither includes the PNG file.
func BenchmarkTrace(b *testing.B) {
	for _, n := range []int{side, 256, 512} {
		e := newEngine(b)
		var alone, traced time.Duration
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				for _, trace := range []bool{false, true} {
					r := engine.Request{Model: e.model.Digest, Prompt: "red apple", Width: n, Height: n, Trace: trace}
					p, err := e.plan(r)
					if err != nil {
						b.Fatal(err)
					}
					before := cpuTime(b)
					if _, err := e.draw(b.Context(), []plan{p}, nil, nil); err != nil {
						b.Fatal(err)
					}
					if took := cpuTime(b) - before; trace {
						traced += took
					} else {
						alone += took
					}
				}
			}
			b.ReportMetric(float64(alone.Microseconds())/float64(b.N), "drawing-cpu-µs")
			b.ReportMetric(float64((traced-alone).Microseconds())/float64(b.N), "trace-cpu-µs")
		})
	}
}
