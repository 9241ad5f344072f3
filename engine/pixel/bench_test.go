package pixel

import (
	"fmt"
	"testing"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// BenchmarkDraw draws pictures of 64 x 64 together, without writing PNG files; time is a
// batch's.
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
			for b.Loop() {
				if _, err := e.draw(b.Context(), new(quant.Tape), plans, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/picture")
		})
	}
}
