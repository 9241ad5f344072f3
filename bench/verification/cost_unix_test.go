//go:build unix

package verification

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/dispute"
	"github.com/essaim/essaim/quant/program"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/freivalds"
	"github.com/essaim/essaim/verify/receipt"
	"github.com/essaim/essaim/verify/rerun"
	"github.com/essaim/essaim/verify/trial"
)

// spent is what this process has computed so far; a machine with other work has no other time.
func spent(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func measure(b *testing.B, do func()) {
	b.Helper()
	do() // what is made once is made now
	before := spent(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((spent(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// finished is a task that an honest miner has done.
type finished struct {
	verify.Case
	request engine.Request
	file    essaim.ReceiptFile
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func done(e *pixel.Engine, side int) finished {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	in := essaim.Input{Prompt: "a red house on a green hill at night", Salt: make([]byte, 16), ReplyKey: make([]byte, 32)}
	f := finished{request: engine.Request{Model: essaim.DigestOf(pixel.Manifest()), Prompt: in.Prompt, Seed: 7, Width: side, Height: side}}
	t := essaim.NewTask("bench", 1, 1)
	t.Kind, t.Model, t.Input, t.Seed, t.Width, t.Height, t.MaxPrice = essaim.KindImage, f.request.Model, in.Digest(), 7, uint32(side), uint32(side), 1
	f.Task, f.Input = t, in
	out := must(e.RunTraced(context.Background(), f.request, func(o quant.Op) { f.Trace = o.AppendRecord(f.Trace) }))
	r := essaim.NewReceipt(t)
	r.Miner, r.Engine, r.Steps, r.Units, r.Price = essaim.NodeKeyOf(key), e.Name(), uint32(out.Steps), 1, 1
	r.Output, r.MediaType, r.Size, r.Pixels, r.Trace = essaim.DigestOf(out.Data), out.MediaType, uint64(len(out.Data)), out.PixelsDigest, out.Trace
	f.Receipt, f.Output = r, essaim.Output{MediaType: out.MediaType, Data: out.Data}
	f.file = essaim.ReceiptFile{Task: must(essaim.SignTask(t, key)), Receipt: must(essaim.SignReceipt(r, key))}
	return f
}

// BenchmarkVerification has for each size what drawing costs, and each rung beside it.
func BenchmarkVerification(b *testing.B) {
	e := must(pixel.New())
	ctx := context.Background()
	check := func(m verify.Method, c verify.Case) {
		if f, err := m.Check(ctx, c); err != nil || f.Result != essaim.VerdictValid {
			b.Fatalf("%+v: %v", f, err)
		}
	}
	again := rerun.Method{Runner: rerun.With(e)}
	products := freivalds.New(e)
	for _, side := range []int{64, 256, 512} {
		f := done(e, side)
		untraced := f.Case
		untraced.Receipt.Trace = essaim.Digest{}
		for _, x := range []struct {
			name string
			do   func()
		}{
			{"draw", func() { must(e.Run(ctx, f.request, nil)) }},
			{"draw and trace", func() { must(e.RunTraced(ctx, f.request, func(quant.Op) {})) }},
			{"V0 signatures and binding", func() { must(must2(essaim.ReadReceiptFile(f.file.Encode()))) }},
			{"V0 with the result", func() { check(receipt.Method{}, untraced) }},
			{"V2 rerun and compare", func() { check(again, untraced) }},
			{"V3 freivalds", func() { check(products, f.Case) }},
		} {
			b.Run(fmt.Sprintf("%d/%s", side, x.name), func(b *testing.B) { measure(b, x.do) })
		}
		b.Run(fmt.Sprintf("%d/V4 dispute", side), func(b *testing.B) { game(b, e, f) })
	}
}

func must2(r essaim.Receipt, _ essaim.Task, _ essaim.NodeKey, err error) (essaim.Receipt, error) {
	return r, err
}

// cheat gets the last operator wrong in every red.
type cheat struct{ *pixel.Engine }

func (c cheat) RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error) {
	var pixels []byte
	out, err := c.Engine.RunTraced(ctx, r, func(o quant.Op) {
		if o.Operator.Kind() == "pose" {
			o.Out.Narrow = slices.Clone(o.Out.Narrow)
			for i := 0; i < len(o.Out.Narrow); i += 3 {
				o.Out.Narrow[i] ^= 0x40
			}
			pixels = pixels[:0]
			for _, v := range o.Out.Narrow {
				pixels = append(pixels, byte(v))
			}
		}
		watch(o)
	})
	out.PixelsDigest = essaim.DigestOf(pixels)
	return out, err
}

// game plays a dispute with a miner that cheats, and measures what the ledger computes of it.
func game(b *testing.B, e *pixel.Engine, f finished) {
	ctx := context.Background()
	r := f.Receipt
	r.Trace = essaim.Digest{}
	challenger := must(trial.Again(ctx, e, r, f.Input.Prompt, essaim.Digest{}))
	miner := must(trial.Again(ctx, cheat{e}, r, f.Input.Prompt, essaim.Digest{}))
	run := program.Run{Engine: e.Name(), Seed: r.Seed, Width: int(r.Width)}
	rules := dispute.Rules{Program: func(words quant.Header) (dispute.Program, error) { return program.Of(run, words) }, Kinds: program.Kinds()}
	claim := dispute.Claim{Result: quant.Hash(miner.Result.PixelsDigest), Model: must(dispute.NewModel(e.Weights())).Root()}
	moves, bytes, largest := 0, 0, 0
	var judging time.Duration
	games := 0
	for b.Loop() {
		games++
		g := dispute.New(claim)
		for g.Stage != dispute.Over {
			encoded := must(g.Encode())
			side := challenger.Ask
			if must(trial.MinersTurn(encoded)) {
				side = miner.Answer
			}
			text := must(side(encoded))
			before := spent(b)
			g = must(dispute.DecodeGame(encoded))
			if err := g.Move(rules, must(dispute.DecodeMove(text))); err != nil {
				b.Fatal(err)
			}
			judging += spent(b) - before
			moves, bytes, largest = moves+1, bytes+len(text), max(largest, len(text))
		}
		if g.Verdict != dispute.MinerWrong {
			b.Fatal(g.Verdict)
		}
	}
	b.ReportMetric(float64(moves)/float64(games), "moves")
	b.ReportMetric(float64(bytes)/float64(games), "bytes")
	b.ReportMetric(float64(largest), "bytes-largest")
	b.ReportMetric(float64(judging.Microseconds())/float64(games), "judge-cpu-µs")
}
