// Package tracing says what a task went through, as spans of OpenTelemetry with W3C's trace context between
// programs. It knows no exporter: internal/tracing/otlp is one.
//
// A nil Tracer makes no spans, and neither it nor a nil Span costs anything. What a span says is for whoever runs
// the collector, so nothing of a prompt, a result or a key may be put into one: attributes are names, counts and
// digests, and an error is its code, never its text.
package tracing

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
)

// Header is how a trace travels over HTTP, in both directions.
const Header = "Traceparent"

// Kind says on which side of a call a span is.
type Kind int

// The kinds.
const (
	Internal Kind = iota
	Server
	Client
)

// Attr says something about a span. Value is a string or an int64.
type Attr struct {
	Key   string
	Value any
}

// Data is a span that has ended.
type Data struct {
	Trace      [16]byte
	ID, Parent [8]byte // Parent is zero for the first
	Name       string
	Kind       Kind
	Start, End time.Time
	Attrs      []Attr
	Fault      essaim.Code // "": it went well
}

// Tracer makes spans. nil makes none.
type Tracer struct {
	export func(Data)
	share  float64
}

// New makes a tracer that hands over each span when it has ended, and must not be kept waiting. share is how many of the
// traces that begin here are kept, from 0 to 1; one that began elsewhere is kept if it was there.
func New(export func(Data), share float64) *Tracer { return &Tracer{export, share} }

// Span is something that takes time. nil is one that nobody hears of. It belongs to one goroutine.
type Span struct {
	tracer *Tracer
	mu     sync.Mutex
	ended  bool // guarded by mu
	data   Data
	kept   bool
}

type spanKey struct{}

// Of is the span that a context is in; nil: none.
func Of(ctx context.Context) *Span {
	s, _ := ctx.Value(spanKey{}).(*Span)
	return s
}

// In puts a context into a span; a nil span changes nothing.
func In(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, spanKey{}, s)
}

// Start begins a span in the context's, or a trace. What it returns is in the new one, which must End.
func (t *Tracer) Start(ctx context.Context, name string, kind Kind) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	s := &Span{tracer: t, data: Data{Name: name, Kind: kind, Start: time.Now()}}
	if up := Of(ctx); up != nil {
		s.data.Trace, s.data.Parent, s.kept = up.data.Trace, up.data.ID, up.kept
	} else {
		fill(s.data.Trace[:])
		s.kept = rand.Float64() < t.share
	}
	fill(s.data.ID[:])
	return In(ctx, s), s
}

// Continue begins a span in the one that a header names, in its own trace if there is none or it cannot be read.
func (t *Tracer) Continue(ctx context.Context, header, name string, kind Kind) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	if up := parse(header); up != nil {
		ctx = In(ctx, up)
	}
	return t.Start(ctx, name, kind)
}

// fill makes an identifier that is not zero.
func fill(b []byte) {
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	b[len(b)-1] |= 1
}

// parse reads a traceparent of version 00, or of a later one as far as that is the same; nil: it is none.
func parse(h string) *Span {
	p := strings.Split(h, "-")
	if len(p) < 4 || len(p) > 4 && p[0] == "00" || len(p[0]) != 2 || p[0] == "ff" || len(p[3]) != 2 || h != strings.ToLower(h) {
		return nil
	}
	var version, flags [1]byte
	s := &Span{}
	if !read(version[:], p[0]) || !read(s.data.Trace[:], p[1]) || !read(s.data.ID[:], p[2]) || !read(flags[:], p[3]) {
		return nil
	}
	if s.data.Trace == [16]byte{} || s.data.ID == [8]byte{} {
		return nil
	}
	s.kept = flags[0]&1 == 1
	return s
}

func read(into []byte, text string) bool {
	if len(text) != hex.EncodedLen(len(into)) {
		return false
	}
	_, err := hex.Decode(into, []byte(text))
	return err == nil
}

// Header is the span as other programs are told it; "": there is none.
func (s *Span) Header() string {
	if s == nil {
		return ""
	}
	flags := "00"
	if s.kept {
		flags = "01"
	}
	return "00-" + hex.EncodeToString(s.data.Trace[:]) + "-" + hex.EncodeToString(s.data.ID[:]) + "-" + flags
}

// Trace names the trace that a span is in, 32 hex digits; "": none.
func (s *Span) Trace() string {
	if s == nil {
		return ""
	}
	return hex.EncodeToString(s.data.Trace[:])
}

// Set says something about the span.
func (s *Span) Set(key, value string) {
	if s != nil && s.kept {
		s.data.Attrs = append(s.data.Attrs, Attr{key, value})
	}
}

// Count says a number about the span.
func (s *Span) Count(key string, n int64) {
	if s != nil && s.kept {
		s.data.Attrs = append(s.data.Attrs, Attr{key, n})
	}
}

// End ends the span, the first time that it is called. Of err only the code is told.
func (s *Span) End(err error) {
	if s == nil || s.tracer == nil {
		return
	}
	s.mu.Lock()
	ended := s.ended
	s.ended = true
	s.mu.Unlock()
	if ended || !s.kept {
		return
	}
	s.data.End = time.Now()
	if err != nil {
		s.data.Fault = essaim.CodeOf(err)
	}
	s.tracer.export(s.data)
}

// recent bounds what a Recent remembers.
const recent = 1 << 14

// Recent remembers in which traces the latest tasks were. Its zero value knows none; it is safe for concurrent use.
type Recent struct {
	mu    sync.Mutex
	trace map[essaim.Digest]string
	order []essaim.Digest
}

// Note remembers a task's trace; "" is none.
func (r *Recent) Note(task essaim.Digest, trace string) {
	if trace == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trace == nil {
		r.trace = map[essaim.Digest]string{}
	}
	if _, ok := r.trace[task]; !ok {
		r.order = append(r.order, task)
	}
	r.trace[task] = trace
	if len(r.order) > recent {
		delete(r.trace, r.order[0])
		r.order = r.order[1:]
	}
}

// Of is a task's trace; "": none, or it was forgotten.
func (r *Recent) Of(task essaim.Digest) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trace[task]
}
