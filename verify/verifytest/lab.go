// Package verifytest holds the conformance suite of verification methods, and the lab
// that measures how often each is wrong: honest miners and cheaters of every kind, on the
// real reference engine.
//
// It exists because a method's word is worth what its measured errors are. It is imported by
// tests only, and must not be easier on a method than a cheater with time would be: every
// cheater whose lie is not about signatures binds it perfectly.
package verifytest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/rerun"
)

// Lab has the reference engine in honest hands and models that cheaters run instead. Its
// engines remember what they have drawn.
type Lab struct {
	t      testing.TB
	Model  engine.Model
	Honest *Memory // the model as it is
	Six    *Memory // with weights of six bits
	Four   *Memory // with weights of four bits
	Other  *Memory // another model of the same shape: other words for its things
}

// NewLab opens the engines. models is the folder of package engine/pixel.
func NewLab(t testing.TB, models string) *Lab {
	t.Helper()
	honest, err := pixel.New()
	if err != nil {
		t.Fatal(err)
	}
	all, err := honest.Models(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{t: t, Model: all[0], Honest: remember(honest)}
	l.Six = remember(l.altered(models, rounded(4)))
	l.Four = remember(l.altered(models, rounded(16)))
	l.Other = remember(l.altered(models, func(all quant.Tensors) {
		table := all["text.table"]
		cols := table.Shape[1]
		w := table.Int8()
		moved := append(bytes8(w[37*cols:]), w[:37*cols]...)
		copy(w, moved)
	}))
	return l
}

func bytes8(b []int8) []int8 { return append([]int8(nil), b...) }

// rounded leaves each weight a multiple of by, as fewer bits would.
func rounded(by int) func(quant.Tensors) {
	return func(all quant.Tensors) {
		for _, t := range all {
			w := t.Int8()
			for i, v := range w {
				n := (int(v) + by/2 + 128) / by * by
				w[i] = int8(max(-127, min(127, n-128)))
			}
		}
	}
}

// altered opens the model with other weights.
func (l *Lab) altered(models string, alter func(quant.Tensors)) *pixel.Engine {
	l.t.Helper()
	dir := l.t.TempDir()
	fail := func(err error) {
		if err != nil {
			l.t.Fatal(err)
		}
	}
	var manifest map[string]any
	fail(json.Unmarshal(pixel.Manifest(), &manifest))
	for _, f := range manifest["files"].([]any) {
		entry := f.(map[string]any)
		name := entry["name"].(string)
		b, err := os.ReadFile(filepath.Join(models, name))
		fail(err)
		if name == "weights.bin" {
			all, err := quant.ReadTensors(b)
			fail(err)
			alter(all) // int8 tensors are b itself
			entry["sha256"] = essaim.DigestOf(b).String()
		}
		fail(os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	file, err := json.Marshal(manifest)
	fail(err)
	fail(os.WriteFile(filepath.Join(dir, "manifest.json"), file, 0o600))
	e, err := pixel.Open(filepath.Join(dir, "manifest.json"))
	fail(err)
	return e
}

// Memory is an engine whose one model answers to whatever model is asked for, and that
// remembers its results: cheaters draw the same pictures for every method.
type Memory struct {
	engine  *pixel.Engine
	model   engine.Model
	mu      sync.Mutex
	results map[engine.Request]engine.Result
}

func remember(e *pixel.Engine) *Memory {
	all, err := e.Models(context.Background())
	if err != nil {
		panic(err) // the built-in engine always knows its model
	}
	return &Memory{engine: e, model: all[0], results: map[engine.Request]engine.Result{}}
}

// Name is the engine's.
func (m *Memory) Name() string { return m.engine.Name() }

// Models is the engine's.
func (m *Memory) Models(ctx context.Context) ([]engine.Model, error) { return m.engine.Models(ctx) }

// Run is the engine's, of its own model, or what it gave before.
func (m *Memory) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	r.Model = m.model.Digest
	m.mu.Lock()
	result, ok := m.results[r]
	m.mu.Unlock()
	if ok && progress == nil {
		result.Data = bytes.Clone(result.Data)
		return result, ctx.Err()
	}
	result, err := m.engine.Run(ctx, r, progress)
	if err == nil {
		m.mu.Lock()
		m.results[r] = result
		m.mu.Unlock()
		result.Data = bytes.Clone(result.Data)
	}
	return result, err
}

// Walk is the engine's.
func (m *Memory) Walk(ctx context.Context, r engine.Request, given func(quant.Op) (quant.Value, bool), watch func(quant.Op)) error {
	return m.engine.Walk(ctx, r, given, watch)
}

// Prompts are what the lab asks for: one thing, coloured things, several things.
var Prompts = []string{
	"red apple", "house", "blue car and a tree", "two cats", "a dog", "green frog", "a ship", "sun and cloud", "yellow banana", "guitar",
	"a bicycle", "three balloons", "a fish", "rocket", "purple flower", "cup of coffee", "an elephant", "pizza and a pear", "clock", "umbrella",
}

// Trial is one task of the lab with what its miner hands over.
type Trial struct {
	lab     *Lab
	N       int // number of the trial
	Machine int // whose float noise the miner's results have
	Noise   int // levels of it: 0 for an exact model
	Request engine.Request

	drawn   *Memory // what the miner has last drawn, whose trace it shows
	drawing engine.Request
}

// Trial sets up the n-th task. noise is what machines of an inexact model differ by, in
// levels of 256; 0 is the exact model as it is. side is the picture's.
func (l *Lab) Trial(n, side, noise int) *Trial {
	r := engine.Request{Model: l.Model.Digest, Prompt: Prompts[n%len(Prompts)], Seed: uint64(1000 + n), Width: side, Height: side, Steps: l.Model.Steps}
	return &Trial{lab: l, N: n, Machine: 1, Noise: noise, Request: r, drawn: l.Honest, drawing: r}
}

// Draw is what an engine gives for a request on a machine, with the noise of that machine.
func (k *Trial) Draw(e *Memory, r engine.Request, machine int) essaim.Output {
	k.lab.t.Helper()
	if machine == k.Machine {
		k.drawn, k.drawing = e, r
	}
	result, err := e.Run(context.Background(), r, nil)
	if err != nil {
		k.lab.t.Fatalf("drawing %q: %v", r.Prompt, err)
	}
	out := essaim.Output{MediaType: result.MediaType, Data: result.Data}
	if k.Noise > 0 {
		out = k.Shake(out, machine, k.Noise)
	}
	return out
}

// Shake changes each channel of a picture by up to by levels, the same way each time on
// the same machine.
func (k *Trial) Shake(o essaim.Output, machine, by int) essaim.Output {
	m := picture(k.lab.t, o)
	d := essaim.DigestOf(o.Data)
	r := rand.New(rand.NewPCG(uint64(machine), binary.BigEndian.Uint64(d[:8])))
	for i, v := range m.Pix {
		if i%4 != 3 {
			m.Pix[i] = uint8(max(0, min(255, int(v)+r.IntN(2*by+1)-by)))
		}
	}
	return file(k.lab.t, m)
}

// Honest is what the model gives.
func (k *Trial) Honest() essaim.Output { return k.Draw(k.lab.Honest, k.Request, k.Machine) }

// Case binds an output to the trial's task, perfectly.
func (k *Trial) Case(o essaim.Output) verify.Case {
	input := essaim.Input{Prompt: k.Request.Prompt, Salt: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(k.N)), ReplyKey: []byte{1}}
	task := essaim.NewTask("essaim-lab", 1, uint64(k.N+1))
	task.Kind, task.Model, task.Input, task.Seed = essaim.KindImage, k.Request.Model, input.Digest(), k.Request.Seed
	task.Width, task.Height, task.Steps, task.MaxPrice = uint32(k.Request.Width), uint32(k.Request.Height), uint32(k.Request.Steps), 1000
	c := verify.Case{Task: task, Receipt: k.receipt(task, o, 1), Input: input, Output: o}
	if k.Noise == 0 {
		c.Trace, c.Receipt.Trace = k.trace()
	}
	return c
}

// trace is that of the miner's last drawing, with what its receipt says of it.
func (k *Trial) trace() (records []byte, commitment essaim.Digest) {
	k.lab.t.Helper()
	r := k.drawing
	r.Model = k.drawn.model.Digest
	var hash quant.TraceHash
	_, err := k.drawn.engine.RunTraced(context.Background(), r, func(o quant.Op) {
		records = o.AppendRecord(records)
		hash.Add(o)
	})
	if err != nil {
		k.lab.t.Fatal(err)
	}
	return records, essaim.Digest(hash.Root())
}

func (k *Trial) receipt(task essaim.Task, o essaim.Output, miner byte) essaim.Receipt {
	r := essaim.NewReceipt(task)
	r.Attempt, r.Miner, r.Coordinator, r.Engine, r.Units, r.Price = 1, essaim.NodeKey{miner}, essaim.NodeKey{100}, pixel.Name, task.Units(), 1000
	r.Output, r.MediaType, r.Size = essaim.DigestOf(o.Data), o.MediaType, uint64(len(o.Data))
	if m, err := verify.Decode(o); err == nil {
		r.Pixels = verify.PixelsDigest(m)
	}
	return r
}

// Answered adds an honest miner's answer to a case, from another machine.
func (k *Trial) Answered(c verify.Case) verify.Case {
	o := k.Draw(k.lab.Honest, k.Request, 3)
	c.Answers = []verify.Answer{{Receipt: k.receipt(c.Task, o, 2), Output: o}}
	return c
}

// Runner reruns on the verifier's machine, whose noise is another.
func (l *Lab) Runner(noise int) verify.Runner { return &runner{l, noise, rerun.With(l.Honest)} }

type runner struct {
	lab     *Lab
	noise   int
	engines *rerun.Engines
}

func (r *runner) Again(ctx context.Context, c verify.Case) (verify.Again, error) {
	again, err := r.engines.Again(ctx, c)
	if err == nil && r.noise > 0 {
		again.Exact = false
		again.Output = (&Trial{lab: r.lab}).Shake(again.Output, 2, r.noise)
	}
	return again, err
}

// Exact says whether the lab's model is exact with that noise.
func Exact(noise int) func(essaim.Digest) bool { return func(essaim.Digest) bool { return noise == 0 } }

func picture(t testing.TB, o essaim.Output) *image.RGBA {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(o.Data))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := m.(*image.RGBA); ok {
		return p
	}
	out := image.NewRGBA(m.Bounds())
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.Set(x, y, m.At(x, y))
		}
	}
	return out
}

func file(t testing.TB, m image.Image) essaim.Output {
	t.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return essaim.Output{MediaType: "image/png", Data: b.Bytes()}
}

// Method makes a method for a lab whose machines differ by noise levels.
type Method struct {
	Name string
	Make func(l *Lab, noise int) verify.Method
}

// String names the method.
func (m Method) String() string { return fmt.Sprintf("method %s", m.Name) }
