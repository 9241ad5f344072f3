// Package otlp sends spans to a collector of OpenTelemetry, by OTLP over HTTP. Spans go in batches, behind what
// they are about: a collector that is slow or gone costs spans, and nothing else.
package otlp

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/tracing"
)

const (
	kept    = 4096 // spans that wait; more are dropped
	batch   = 512  // of one request
	pause   = time.Second
	patient = 5 * time.Second // for one request
)

// Config says where spans go.
type Config struct {
	URL     string // of the collector, such as http://127.0.0.1:4318; spans go to /v1/traces below it
	Service string // whose spans they are, such as essaim-miner
	Node    string // which one
	Version string // of the program
	Logger  *slog.Logger
}

// Exporter sends spans. Make it with New; it does so until Close.
type Exporter struct {
	client  otlptrace.Client
	service *resource.Resource
	log     *slog.Logger
	spans   chan tracing.Data
	stop    chan struct{}
	done    sync.WaitGroup

	lost sync.Once // so that a collector that is gone is said once
}

// New checks the address. It asks nobody.
//
// Errors: CodeBadInput.
func New(cfg Config) (*Exporter, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, essaim.Errorf(essaim.CodeBadInput, "write it like http://127.0.0.1:4318", "telemetry: %.100q is no collector's URL", cfg.URL)
	}
	e := &Exporter{
		client: otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(u.JoinPath("v1/traces").String()), otlptracehttp.WithTimeout(patient),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{})),
		service: &resource.Resource{Attributes: []*common.KeyValue{
			text("service.name", cfg.Service), text("service.instance.id", cfg.Node), text("service.version", cfg.Version),
		}},
		log: cfg.Logger, spans: make(chan tracing.Data, kept), stop: make(chan struct{}),
	}
	e.done.Go(e.run)
	return e, nil
}

// Export takes a span; it never waits.
func (e *Exporter) Export(d tracing.Data) {
	select {
	case e.spans <- d:
	default:
	}
}

// Close sends what is left, for a few seconds at the most.
func (e *Exporter) Close() {
	close(e.stop)
	e.done.Wait()
}

func (e *Exporter) run() {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var list []*trace.Span
	for {
		select {
		case d := <-e.spans:
			if list = append(list, spanOf(d)); len(list) >= batch {
				list = e.send(list)
			}
		case <-tick.C:
			list = e.send(list)
		case <-e.stop:
			for len(e.spans) > 0 && len(list) < kept {
				list = append(list, spanOf(<-e.spans))
			}
			e.send(list)
			ctx, cancel := context.WithTimeout(context.Background(), patient)
			defer cancel()
			_ = e.client.Stop(ctx) // it has nothing open
			return
		}
	}
}

// send sends spans, once; it returns an empty list.
func (e *Exporter) send(list []*trace.Span) []*trace.Span {
	if len(list) == 0 {
		return list
	}
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	err := e.client.UploadTraces(ctx, []*trace.ResourceSpans{{
		Resource:   e.service,
		ScopeSpans: []*trace.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "github.com/essaim/essaim"}, Spans: list}},
	}})
	if err != nil {
		e.lost.Do(func() { e.log.Warn("the collector of traces does not answer; spans are lost", "err", err) })
	}
	return list[:0:0]
}

var kinds = map[tracing.Kind]trace.Span_SpanKind{
	tracing.Internal: trace.Span_SPAN_KIND_INTERNAL, tracing.Server: trace.Span_SPAN_KIND_SERVER, tracing.Client: trace.Span_SPAN_KIND_CLIENT,
}

func spanOf(d tracing.Data) *trace.Span {
	s := &trace.Span{
		TraceId: d.Trace[:], SpanId: d.ID[:], Name: d.Name, Kind: kinds[d.Kind], Flags: 1,
		StartTimeUnixNano: uint64(d.Start.UnixNano()), EndTimeUnixNano: uint64(d.End.UnixNano()),
	}
	if d.Parent != [8]byte{} {
		s.ParentSpanId = d.Parent[:]
	}
	for _, a := range d.Attrs {
		if n, ok := a.Value.(int64); ok {
			s.Attributes = append(s.Attributes, &common.KeyValue{Key: a.Key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}})
			continue
		}
		v, _ := a.Value.(string)
		s.Attributes = append(s.Attributes, text(a.Key, v))
	}
	if d.Fault != "" {
		s.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: strings.ToLower(string(d.Fault))}
	}
	return s
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}
