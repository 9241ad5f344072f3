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

// BenchmarkTrace draws one picture of 64 x 64, with nobody watching, with someone who only
// looks, and with the trace's hash.
func BenchmarkTrace(b *testing.B) {
	for name, watch := range map[string]func() func(quant.Op){
		"none": func() func(quant.Op) { return nil },
		"look": func() func(quant.Op) { return func(quant.Op) {} },
		"hash": func() func(quant.Op) { return new(quant.TraceHash).Add },
	} {
		b.Run(name, func(b *testing.B) {
			e := newEngine(b)
			r := engine.Request{Model: e.model.Digest, Prompt: "red apple", Width: side, Height: side}
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if _, err := e.RunTraced(b.Context(), r, watch()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/picture")
		})
	}
}
