//go:build unix

package quant

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what this process has computed so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkShapes is our side of bench/engine/compare.py: one after the other, matrices of
// 16 MiB in all times some vectors of int8. A name is rows x columns x vectors, then the path.
func BenchmarkShapes(b *testing.B) {
	for _, shape := range [][2]int{{2048, 512}, {512, 2048}, {1024, 256}, {6144, 512}} {
		for _, vectors := range []int{1, 4, 16, 64} {
			b.Run(fmt.Sprintf("%dx%dx%d", shape[0], shape[1], vectors), func(b *testing.B) {
				benchmarkShape(b, shape[0], shape[1], vectors)
			})
		}
	}
}

func benchmarkShape(b *testing.B, rows, cols, vectors int) {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]*Matrix, 16<<20/(rows*cols))
	for i := range all {
		all[i] = &Matrix{Rows: rows, Cols: cols, W: fill(r, rows*cols, weightFills["any"])}
	}
	x, dst := fill(r, vectors*cols, activationFills["bytes"]), make([]int32, vectors*rows)
	for _, p := range paths {
		b.Run(p.name, func(b *testing.B) {
			force(b, p)
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				for _, m := range all {
					m.Products(dst, x, vectors, 1)
				}
			}
			spent, work := cpuTime(b)-before, rows*cols*vectors*len(all)*b.N
			b.ReportMetric(float64(work)/float64(spent.Nanoseconds()), "MAC/cpu-ns")
		})
	}
}
