package desk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Stream writes server-sent events. It belongs to one goroutine.
type Stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// OpenStream begins an answer of events.
func OpenStream(w http.ResponseWriter) (*Stream, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &Stream{w: w, rc: http.NewResponseController(w)}
	return s, s.Comment("essaim")
}

func (s *Stream) Comment(text string) error { return s.Write(": %s\n\n", text) }

// Data writes an event without a name.
func (s *Stream) Data(data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("desk: encode %T: %v", data, err)) // our own types always encode
	}
	return s.Write("data: %s\n\n", b)
}

func (s *Stream) Write(format string, args ...any) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(WriteTime)) // httptest's recorder has none
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.rc.Flush()
}
