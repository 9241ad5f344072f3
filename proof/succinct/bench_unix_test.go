//go:build unix

package succinct

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim/engine/pixel"
)

// cpuTime is what this process has computed so far: on a machine with other work, only that
// can be compared.
func cpuTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// measure reports the CPU time of do, and what it takes from the heap.
func measure(b *testing.B, do func()) {
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkPicture proves pictures of one thing and of four, and checks them without weights.
func BenchmarkPicture(b *testing.B) {
	m := of(b, pixel.Name)
	m.prover.Weights().Workers = 1
	for _, c := range []struct {
		name, prompt string
		size         int
	}{{"one/64", "red apple", 64}, {"one/256", "red apple", 256}, {"four/256", "a cat and a dog and two red cars", 256}} {
		s, r := m.run(b, c.prompt, 3, c.size)
		p := m.prove(b, s, r)
		b.Run(c.name+"/prove", func(b *testing.B) { measure(b, func() { m.prove(b, s, r) }) })
		b.Run(c.name+"/verify", func(b *testing.B) {
			measure(b, func() {
				if err := Verify(b.Context(), m.model, m.public, p, s); err != nil {
					b.Fatal(err)
				}
			})
			b.ReportMetric(float64(len(p)), "bytes")
		})
	}
	runtime.KeepAlive(m)
}
