package client

import (
	"errors"
	"strings"
	"testing"
)

func FuzzEvents(f *testing.F) {
	f.Add("event: progress\ndata: {}\n\n: hi\n\nevent: delivery\r\ndata:x\r\n\r\n")
	f.Add("data: a\ndata: b\n\n")
	f.Add("event:\n\n\n")
	f.Add(strings.Repeat("x", 5000))
	f.Fuzz(func(t *testing.T, stream string) {
		const limit = 1000
		e := newEvents(strings.NewReader(stream), limit, func() {})
		for range len(stream) + 1 {
			name, data, err := e.next()
			if err != nil {
				if !errors.Is(err, errCut) {
					t.Fatalf("%v is not a cut", err)
				}
				return
			}
			if len(data) > limit || strings.ContainsAny(name, "\r\n") {
				t.Fatalf("event %q with %d bytes", name, len(data))
			}
		}
		t.Fatal("more events than bytes")
	})
}
