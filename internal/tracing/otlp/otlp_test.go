package otlp_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/tracing"
	"github.com/essaim/essaim/internal/tracing/otlp"
)

// TestExports: what a collector gets is what was said, with the service it is of.
func TestExports(t *testing.T) {
	got := make(chan *collector.ExportTraceServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(r.Body); err != nil {
				t.Error(err)
			}
		}
		b, err := io.ReadAll(body)
		var q collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(b, &q) != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		got <- &q
	}))
	defer server.Close()
	e, err := otlp.New(otlp.Config{URL: server.URL, Service: "essaim-test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, s := tracing.New(e.Export, 1).Start(t.Context(), "a task", tracing.Client)
	s.Set("model", "m")
	s.Count("steps", 3)
	s.End(essaim.Errorf(essaim.CodeExpired, "", "words"))
	e.Close()
	spans := (<-got).ResourceSpans[0]
	span := spans.ScopeSpans[0].Spans[0]
	if spans.Resource.Attributes[0].Value.GetStringValue() != "essaim-test" || span.Name != "a task" || len(span.TraceId) != 16 || len(span.ParentSpanId) != 0 ||
		span.Attributes[1].Value.GetIntValue() != 3 || span.Status.Message != "expired" || span.EndTimeUnixNano < span.StartTimeUnixNano {
		t.Errorf("%v", spans)
	}
}

// TestCollectorIsGone: it is said once, and nobody waits.
func TestCollectorIsGone(t *testing.T) {
	var log bytes.Buffer
	e, err := otlp.New(otlp.Config{URL: "http://127.0.0.1:1", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		e.Export(tracing.Data{Name: "lost", Start: time.Unix(1, 0), End: time.Unix(2, 0)})
	}
	e.Close()
	if n := bytes.Count(log.Bytes(), []byte("spans are lost")); n != 1 {
		t.Errorf("said %d times: %s", n, &log)
	}
	for _, bad := range []string{"", "127.0.0.1:4318", "ftp://x", "http://"} {
		if _, err := otlp.New(otlp.Config{URL: bad}); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
