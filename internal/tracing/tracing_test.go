package tracing_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/tracing"
)

// TestOffCostsNothing: without a tracer nothing is made and nothing is allocated.
func TestOffCostsNothing(t *testing.T) {
	var none *tracing.Tracer
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		ctx, s := none.Continue(ctx, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a request", tracing.Server)
		_, inner := none.Start(ctx, "a task", tracing.Internal)
		inner.Set("model", "m")
		inner.Count("steps", 3)
		inner.End(nil)
		if s.Header() != "" || s.Trace() != "" {
			t.Error("there is a span")
		}
		s.End(nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOff(b *testing.B) {
	var none *tracing.Tracer
	b.ReportAllocs()
	for b.Loop() {
		_, s := none.Start(b.Context(), "a task", tracing.Internal)
		s.Set("model", "m")
		s.End(nil)
	}
}

func BenchmarkOn(b *testing.B) {
	tracer := tracing.New(func(tracing.Data) {}, 1)
	b.ReportAllocs()
	for b.Loop() {
		_, s := tracer.Start(b.Context(), "a task", tracing.Internal)
		s.Set("model", "m")
		s.End(nil)
	}
}

// TestOneTrace: spans of one trace hang together, also across programs, and an error's text stays where it is.
func TestOneTrace(t *testing.T) {
	var got []tracing.Data
	tracer := tracing.New(func(d tracing.Data) { got = append(got, d) }, 1)
	ctx, first := tracer.Continue(t.Context(), "nonsense", "first", tracing.Server)
	_, second := tracing.New(func(d tracing.Data) { got = append(got, d) }, 0).Continue(context.Background(), first.Header(), "second", tracing.Client)
	_, third := tracer.Start(ctx, "third", tracing.Internal)
	third.Set("model", "m")
	third.End(essaim.Errorf(essaim.CodeRefused, "", "a secret"))
	third.End(errors.New("again"))
	second.End(nil)
	first.End(nil)
	if len(got) != 3 {
		t.Fatalf("%d spans", len(got))
	}
	for _, d := range got {
		if d.Trace != got[2].Trace || d.Name != "first" && d.Parent != got[2].ID || d.End.Before(d.Start) {
			t.Errorf("%+v", d)
		}
	}
	if got[0].Fault != essaim.CodeRefused || got[1].Fault != "" {
		t.Errorf("faults %q and %q", got[0].Fault, got[1].Fault)
	}
	_, not := tracing.New(func(tracing.Data) { t.Error("a span that nobody wants") }, 0).Start(t.Context(), "not kept", tracing.Internal)
	not.End(nil)
	if !strings.HasSuffix(not.Header(), "-00") {
		t.Errorf("%s says that it is kept", not.Header())
	}
}

// TestHeaders: what is no traceparent begins a trace of its own, and what is one is continued.
func TestHeaders(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	tracer := tracing.New(func(tracing.Data) {}, 1)
	continued := func(h string) bool {
		_, s := tracer.Continue(context.Background(), h, "s", tracing.Server)
		return s.Trace() == "0af7651916cd43dd8448eb211c80319c"
	}
	if !continued(good) || !continued("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what the future will bring") {
		t.Error("a good header begins a trace of its own")
	}
	for _, h := range []string{
		"", good + "-x", strings.ToUpper(good), "ff" + good[2:], good[:len(good)-1], strings.Replace(good, "b7ad6b7169203331", "0000000000000000", 1),
	} {
		if continued(h) {
			t.Errorf("%q was continued", h)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		_, s := tracer.Continue(context.Background(), rapid.String().Draw(t, "header"), "s", tracing.Server)
		_, again := tracer.Continue(context.Background(), s.Header(), "s", tracing.Server)
		if again.Trace() != s.Trace() {
			t.Fatalf("%q was not read again", s.Header())
		}
	})
}

func TestRecent(t *testing.T) {
	var r tracing.Recent
	one := essaim.DigestOf([]byte("one"))
	r.Note(one, "")
	r.Note(one, "trace")
	for i := range 1<<14 - 1 {
		r.Note(essaim.DigestOf([]byte{byte(i), byte(i >> 8)}), "other")
	}
	if r.Of(one) != "trace" {
		t.Error("forgotten too early")
	}
	r.Note(essaim.DigestOf([]byte("last")), "other")
	if r.Of(one) != "" {
		t.Error("remembers everything")
	}
}
