//go:build unix

package proof_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/proof"
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

// measure reports the CPU time of do.
func measure(b *testing.B, do func()) {
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkPicture draws a picture of one thing and of four, proves it and checks it without weights. The walk is the part of
// checking that is the engine's: all operators but products and table rows.
func BenchmarkPicture(b *testing.B) {
	m := of(b, picture)
	for _, c := range []struct {
		name, prompt string
		size         int
	}{{"one/64", "red apple", 64}, {"one/256", "red apple", 256}, {"four/256", "a cat and a dog and two red cars", 256}} {
		s, r := m.run(b, c.prompt, 3, c.size)
		p := m.prove(b, s, r)
		b.Run(c.name+"/draw", func(b *testing.B) {
			measure(b, func() {
				if _, err := m.engine.Run(b.Context(), s.Request(), nil); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(c.name+"/prove", func(b *testing.B) { measure(b, func() { m.prove(b, s, r) }) })
		b.Run(c.name+"/verify", func(b *testing.B) {
			measure(b, func() {
				if err := m.model.Verify(b.Context(), m.public, p, s); err != nil {
					b.Fatal(err)
				}
			})
			b.ReportMetric(float64(len(p)), "bytes")
		})
		short := s
		short.Trace = essaim.Digest{} // as in the network, where nobody asks for it
		untraced := m.prove(b, short, r)
		b.Run(c.name+"/verify untraced", func(b *testing.B) {
			measure(b, func() {
				if err := m.model.Verify(b.Context(), m.public, untraced, short); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(c.name+"/walk", func(b *testing.B) { m.benchWalk(b, s.Request()) })
	}
}

func (m *built) benchWalk(b *testing.B, r engine.Request) {
	outputs := map[int]quant.Value{}
	keep := func(o quant.Op) { outputs[o.Out.ID] = o.Out }
	if err := m.engine.Walk(b.Context(), r, nil, keep); err != nil {
		b.Fatal(err)
	}
	given := func(o quant.Op) (quant.Value, bool) {
		kind := o.Operator.Kind()
		return outputs[o.Out.ID], kind == "product" || kind == "gather"
	}
	measure(b, func() {
		if err := m.public.Walk(b.Context(), r, given, nil); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkBatch proves 64 pictures of one prompt in one proof.
func BenchmarkBatch(b *testing.B) {
	m := of(b, picture)
	var (
		statements []proof.Statement
		runs       []*proof.Run
	)
	for seed := range uint64(64) {
		s, r := m.run(b, "red apple", seed, 64)
		statements, runs = append(statements, s), append(runs, r)
	}
	p, err := m.prover.Prove(statements, runs)
	if err != nil {
		b.Fatal(err)
	}
	encoded := p.Encode()
	b.Run("prove", func(b *testing.B) {
		measure(b, func() {
			if _, err := m.prover.Prove(statements, runs); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("verify", func(b *testing.B) {
		measure(b, func() {
			if err := m.model.Verify(b.Context(), m.public, encoded, statements...); err != nil {
				b.Fatal(err)
			}
		})
		b.ReportMetric(float64(len(encoded)), "bytes")
	})
}

// BenchmarkCommit commits to the picture model's weights, once per model, and reports what the prover keeps.
func BenchmarkCommit(b *testing.B) {
	m := of(b, picture)
	file := weights(b, m)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var p *proof.Prover
	measure(b, func() {
		var err error
		if p, err = proof.NewProver(m.digest, file, 1); err != nil {
			b.Fatal(err)
		}
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "kept-MB")
	runtime.KeepAlive(p)
}
