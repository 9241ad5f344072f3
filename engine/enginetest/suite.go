// Package enginetest holds the conformance suite that every engine driver passes,
// and Fake, an instant engine for the tests and benchmarks of other packages.
//
// A driver's own test is one line, enginetest.Run(t, open), besides tests of what only that
// driver does. The suite tests the contract that package engine states and nothing more: it
// must not ask for what only one driver promises. It is imported by tests only, and by devnet
// for Fake.
package enginetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"image"
	"image/png"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// Prompt is what the suite asks for: something that any model knows.
const Prompt = "red apple"

// Run tests that the engines which open makes keep the contract of package engine. Each
// part of the suite opens one, as a subtest.
func Run(t *testing.T, open func() engine.Engine) {
	for _, part := range []struct {
		name string
		test func(*suite)
	}{
		{"Models", (*suite).models},
		{"Results", (*suite).results},
		{"Exact", (*suite).exact},
		{"Seeds", (*suite).seeds},
		{"Prompts", (*suite).prompts},
		{"Progress", (*suite).progress},
		{"BadRequests", (*suite).badRequests},
		{"Cancel", (*suite).cancel},
		{"Concurrency", (*suite).concurrency},
		{"Trace", (*suite).trace},
	} {
		t.Run(part.name, func(t *testing.T) {
			s := &suite{T: t, engine: open()}
			var err error
			if s.all, err = s.engine.Models(t.Context()); err != nil {
				t.Fatalf("Models: %v", err)
			}
			part.test(s)
		})
	}
}

type suite struct {
	*testing.T
	engine engine.Engine
	all    []engine.Model
}

// run executes a request that must succeed and checks the result against it.
func (s *suite) run(m engine.Model, r engine.Request, progress func(engine.Progress)) engine.Result {
	s.Helper()
	r.Model, r.Prompt = m.Digest, say(m, cmp.Or(r.Prompt, Prompt))
	got, err := s.engine.Run(s.Context(), r, progress)
	if err != nil {
		s.Fatalf("%s: %+v: %v", m.Name, r, err)
	}
	want, err := m.Fit(r)
	if err != nil {
		s.Fatalf("%s: the engine ran what the model refuses: %v", m.Name, err)
	}
	if got.Units < 1 {
		s.Errorf("%s: %d units of work", m.Name, got.Units)
	}
	if got.MediaType == "" || len(got.Data) == 0 {
		s.Errorf("%s: %d bytes of media type %q", m.Name, len(got.Data), got.MediaType)
	}
	if got.Steps != want.Steps && (m.Kind != essaim.KindChat || got.Steps > want.Steps) {
		s.Errorf("%s: %d steps made, want %d", m.Name, got.Steps, want.Steps)
	}
	if most := m.Meter.Most(len(r.Prompt), uint32(want.Width), uint32(want.Height), uint32(want.Steps)); m.Meter != essaim.MeterTask && got.Units > most {
		s.Errorf("%s: %d units of work, the meter allows %d", m.Name, got.Units, most)
	}
	switch m.Kind {
	case essaim.KindImage:
		s.checkPicture(m, want, got)
	case essaim.KindEmbed:
		s.checkEmbedding(m, got)
	case essaim.KindChat:
		s.checkAnswer(m, got)
	}
	return got
}

// say is a prompt as the model's kind takes it.
func say(m engine.Model, text string) string {
	if m.Kind != essaim.KindChat {
		return text
	}
	return engine.Chat{Messages: []engine.Message{{Role: "user", Content: text}}}.Encode()
}

// checkAnswer wants the tokens to be those of the units.
func (s *suite) checkAnswer(m engine.Model, got engine.Result) engine.Answer {
	s.Helper()
	if got.MediaType != engine.MediaChat {
		s.Fatalf("%s: media type %q", m.Name, got.MediaType)
	}
	a, err := engine.ParseAnswer(got.Data)
	if err != nil {
		s.Fatalf("%s: %v", m.Name, err)
	}
	if int(a.Written) != got.Steps || m.Meter == essaim.MeterToken && got.Units != a.Units() {
		s.Errorf("%s: %d steps and %d units, the answer says %d of %d tokens", m.Name, got.Steps, got.Units, a.Written, a.Read)
	}
	return a
}

func (s *suite) checkPicture(m engine.Model, r engine.Request, got engine.Result) {
	s.Helper()
	if got.MediaType != "image/png" {
		s.Fatalf("%s: media type %q", m.Name, got.MediaType)
	}
	picture, err := png.Decode(bytes.NewReader(got.Data))
	if err != nil {
		s.Fatalf("%s: the PNG does not decode: %v", m.Name, err)
	}
	if size := picture.Bounds().Size(); size != image.Pt(r.Width, r.Height) {
		s.Errorf("%s: the picture is %v, want %dx%d", m.Name, size, r.Width, r.Height)
	}
	if d := digest(picture); got.PixelsDigest != d {
		s.Errorf("%s: PixelsDigest is %s, the pixels have %s", m.Name, got.PixelsDigest, d)
	}
}

// checkEmbedding wants a vector that points somewhere.
func (s *suite) checkEmbedding(m engine.Model, got engine.Result) {
	s.Helper()
	if _, err := engine.ParseEmbedding(got.MediaType, got.Data); err != nil {
		s.Fatalf("%s: %v", m.Name, err)
	}
	if !got.PixelsDigest.IsZero() {
		s.Errorf("%s: an embedding has pixels", m.Name)
	}
}

// same reports whether two results say the same, which for pictures is a matter of pixels
// and not of how a file holds them.
func same(m engine.Model, a, b engine.Result) bool {
	if m.Kind == essaim.KindImage {
		return a.PixelsDigest == b.PixelsDigest
	}
	return bytes.Equal(a.Data, b.Data)
}

// digest is the SHA-256 of a picture's RGB bytes.
func digest(m image.Image) essaim.Digest {
	b := m.Bounds()
	buf := make([]byte, 0, b.Dx()*b.Dy()*3)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, b, _ := m.At(x, y).RGBA()
			buf = append(buf, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return sha256.Sum256(buf)
}

func (s *suite) models() {
	if s.engine.Name() == "" {
		s.Error("the engine has no name")
	}
	if len(s.all) == 0 {
		s.Fatal("the engine has no model")
	}
	seen := map[essaim.Digest]bool{}
	for _, m := range s.all {
		if m.Digest.IsZero() || seen[m.Digest] {
			s.Errorf("%s: digest %s is zero or there twice", m.Name, m.Digest)
		}
		seen[m.Digest] = true
		if m.Name == "" || m.Kind == "" {
			s.Errorf("model %s has name %q and kind %q", m.Digest.Short(), m.Name, m.Kind)
		}
		if m.Manifest != nil && essaim.DigestOf(m.Manifest) != m.Digest {
			s.Errorf("%s: the digest is not its manifest's", m.Name)
		}
		if _, err := m.Fit(engine.Request{Prompt: say(m, Prompt)}); err != nil {
			s.Errorf("%s: a request of defaults does not fit: %v", m.Name, err)
		}
	}
}

func (s *suite) results() {
	for _, m := range s.all {
		s.run(m, engine.Request{}, nil)
		for _, size := range m.Sizes {
			s.run(m, engine.Request{Width: size.Width, Height: size.Height}, nil)
		}
		for _, steps := range []int{m.MinSteps, m.MaxSteps} {
			s.run(m, engine.Request{Steps: steps}, nil)
		}
	}
}

// exact also checks that a result is the receiver's: spoiling it changes no later one.
func (s *suite) exact() {
	for _, m := range s.all {
		if !m.Exact {
			continue
		}
		for seed := range uint64(3) {
			one := s.run(m, engine.Request{Seed: seed}, nil)
			data := bytes.Clone(one.Data)
			clear(one.Data)
			two := s.run(m, engine.Request{Seed: seed}, nil)
			if one.Data = data; !same(m, one, two) || !bytes.Equal(data, two.Data) || one.Units != two.Units {
				s.Errorf("%s is exact, but seed %d gave two results", m.Name, seed)
			}
		}
	}
}

// seeds wants variety where something is drawn at random: of pictures.
func (s *suite) seeds() {
	for _, m := range s.all {
		if m.Kind != essaim.KindImage {
			continue
		}
		different := map[essaim.Digest]bool{}
		for seed := range uint64(4) {
			different[essaim.DigestOf(s.run(m, engine.Request{Seed: seed << 60}, nil).Data)] = true
		}
		if len(different) < 2 {
			s.Errorf("%s: the seed changes nothing", m.Name)
		}
	}
}

// prompts wants the text to matter, and embeddings of one model to be of one length.
func (s *suite) prompts() {
	for _, m := range s.all {
		one := s.run(m, engine.Request{Prompt: "red apple"}, nil)
		two := s.run(m, engine.Request{Prompt: "a house with a garden"}, nil)
		if bytes.Equal(one.Data, two.Data) {
			s.Errorf("%s: the prompt changes nothing", m.Name)
		}
		if m.Kind == essaim.KindEmbed && len(one.Data) != len(two.Data) {
			s.Errorf("%s: embeddings have %d and %d numbers", m.Name, len(one.Data), len(two.Data))
		}
	}
}

func (s *suite) progress() {
	for _, m := range s.all {
		var (
			last     int
			text     string
			entered  atomic.Int32
			returned atomic.Bool
		)
		watched := s.run(m, engine.Request{Steps: m.MaxSteps, Previews: m.Kind == essaim.KindImage}, func(p engine.Progress) {
			if entered.Add(1) != 1 {
				s.Errorf("%s: progress is called by two goroutines at a time", m.Name)
			}
			defer entered.Add(-1)
			if returned.Load() {
				s.Errorf("%s: progress is called after Run has returned", m.Name)
			}
			if p.Step <= last || p.Steps != 0 && p.Step > p.Steps {
				s.Errorf("%s: step %d of %d follows step %d", m.Name, p.Step, p.Steps, last)
			}
			last, text = p.Step, text+p.Text
			if p.Preview != nil {
				if p.Preview.Bounds().Empty() {
					s.Errorf("%s: step %d has an empty preview", m.Name, p.Step)
				}
				clear(p.Preview.Pix) // the receiver's own
			}
		})
		returned.Store(true)
		if m.Kind == essaim.KindChat {
			if a := s.checkAnswer(m, watched); text != a.Content || !utf8.ValidString(text) {
				s.Errorf("%s: %q was streamed, the answer is %q", m.Name, text, a.Content)
			}
		}
		if alone := s.run(m, engine.Request{Steps: m.MaxSteps}, nil); m.Exact && !same(m, alone, watched) {
			s.Errorf("%s: watching changes the result", m.Name)
		}
	}
}

func (s *suite) badRequests() {
	refuse := func(why string, r engine.Request, want error) {
		s.Helper()
		if _, err := s.engine.Run(s.Context(), r, nil); !errors.Is(err, want) {
			s.Errorf("%s: error %v, want %v", why, err, want)
		}
	}
	refuse("unknown model", engine.Request{Model: essaim.DigestOf([]byte("no such model")), Prompt: Prompt}, engine.ErrNoModel)
	for _, m := range s.all {
		refuse(m.Name+": empty prompt", engine.Request{Model: m.Digest}, engine.ErrBadRequest)
		refuse(m.Name+": too many steps", engine.Request{Model: m.Digest, Prompt: say(m, Prompt), Steps: m.MaxSteps + 1}, engine.ErrBadRequest)
		refuse(m.Name+": steps below zero", engine.Request{Model: m.Digest, Prompt: say(m, Prompt), Steps: -1}, engine.ErrBadRequest)
		if m.Kind != essaim.KindImage {
			refuse(m.Name+": a size", engine.Request{Model: m.Digest, Prompt: say(m, Prompt), Width: 64, Height: 64}, engine.ErrBadRequest)
		}
		if m.Kind == essaim.KindChat {
			refuse(m.Name+": no conversation", engine.Request{Model: m.Digest, Prompt: Prompt}, engine.ErrBadRequest)
		}
		if len(m.Sizes) > 0 {
			refuse(m.Name+": odd size", engine.Request{Model: m.Digest, Prompt: Prompt, Width: 7, Height: 13}, engine.ErrBadRequest)
			refuse(m.Name+": half a size", engine.Request{Model: m.Digest, Prompt: Prompt, Width: m.Sizes[0].Width}, engine.ErrBadRequest)
		}
	}
}

func (s *suite) cancel() {
	for _, m := range s.all {
		r := engine.Request{Model: m.Digest, Prompt: say(m, Prompt), Steps: m.MaxSteps}
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		if _, err := s.engine.Run(ctx, r, nil); !errors.Is(err, context.Canceled) {
			s.Errorf("%s: cancelled before the start: error %v", m.Name, err)
		}
		ctx, cancel = context.WithCancel(s.Context())
		cancelled := false
		_, err := s.engine.Run(ctx, r, func(p engine.Progress) {
			if p.Step < p.Steps || p.Text != "" {
				cancelled = true
				cancel()
			}
		})
		if cancel(); cancelled && !errors.Is(err, context.Canceled) {
			s.Errorf("%s: cancelled between steps: error %v", m.Name, err)
		}
	}
}

func (s *suite) concurrency() {
	for _, m := range s.all {
		want := s.run(m, engine.Request{Seed: 9}, nil)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				got, err := s.engine.Run(s.Context(), engine.Request{Model: m.Digest, Prompt: say(m, Prompt), Seed: 9}, nil)
				if err != nil {
					s.Errorf("%s: together with others: %v", m.Name, err)
				} else if m.Exact && !same(m, got, want) {
					s.Errorf("%s: together with others the result differs", m.Name)
				}
			})
		}
		wg.Wait()
	}
}

// traced is an engine that shows the operators of its runs.
type traced interface {
	RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error)
}

// trace wants, of engines that show one, a trace that recomputes, that refers only to
// what came before, and that changes nothing.
func (s *suite) trace() {
	e, ok := s.engine.(traced)
	if !ok {
		s.Skip("the engine shows no trace")
	}
	for _, m := range s.all {
		ops := 0
		var hash quant.TraceHash
		got, err := e.RunTraced(s.Context(), engine.Request{Model: m.Digest, Prompt: Prompt, Seed: 9}, func(o quant.Op) {
			ops++
			hash.Add(o)
			if o.Out.ID != ops || slices.ContainsFunc(o.In, func(v quant.Value) bool { return v.ID >= ops }) {
				s.Errorf("%s: operator %d (%s of %s) has the ID %d or reads what comes later", m.Name, ops, o.Operator.Kind(), o.Layer, o.Out.ID)
			}
			if !o.Holds() {
				s.Errorf("%s: operator %d (%s of %s) does not recompute", m.Name, ops, o.Operator.Kind(), o.Layer)
			}
		})
		if err != nil || ops == 0 {
			s.Fatalf("%s: %d operators, error %v", m.Name, ops, err)
		}
		if alone := s.run(m, engine.Request{Seed: 9}, nil); !same(m, alone, got) {
			s.Errorf("%s: tracing changes the result", m.Name)
		}
		if one := s.run(m, engine.Request{Seed: 9, Trace: true}, nil); one.Trace != hash.Root() || !got.Trace.IsZero() {
			s.Errorf("%s: commits to %s and, unasked, to %s; its operators have %x", m.Name, one.Trace, got.Trace, hash.Root())
		}
	}
}
