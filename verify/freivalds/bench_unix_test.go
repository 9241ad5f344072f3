//go:build unix

package freivalds

import (
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim/quant"
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

// BenchmarkCheck compares a layer of 512 x 512 on 512 vectors: computing the products by the
// fastest kernel of this machine and by the portable definition, and checking them, with a
// key that was kept and with a fresh one.
func BenchmarkCheck(b *testing.B) {
	const n = 512
	m, x, sums := layer(3, n, n, n)
	k := key(b, m)
	out := make([]int32, len(sums))
	check := func(k *Key) {
		if _, ok := k.Check(sums, x); !ok {
			b.Fatal("refused")
		}
	}
	for _, one := range []struct {
		name string
		do   func()
	}{
		{"products/kernel", func() { m.Products(out, x, n, 1) }},
		{"products/portable", func() { portable(m, out, x) }},
		{"check/kept", func() { check(k) }},
		{"check/fresh", func() { check(key(b, m)) }},
	} {
		b.Run(one.name, func(b *testing.B) {
			before := cpuTime(b)
			for b.Loop() {
				one.do()
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// portable is the product in plain Go, four rows at a time as package quant does without
// assembly.
func portable(m *quant.Matrix, dst []int32, x []int16) {
	n := m.Cols
	for v := range len(x) / n {
		in := x[v*n:][:n]
		for r := 0; r+4 <= m.Rows; r += 4 {
			a, b, c, d := m.W[r*n:][:n], m.W[(r+1)*n:][:n], m.W[(r+2)*n:][:n], m.W[(r+3)*n:][:n]
			var sa, sb, sc, sd int32
			for i, y := range in {
				y := int32(y)
				sa += int32(a[i]) * y
				sb += int32(b[i]) * y
				sc += int32(c[i]) * y
				sd += int32(d[i]) * y
			}
			copy(dst[v*m.Rows+r:], []int32{sa, sb, sc, sd})
		}
	}
}
