package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// eventStream writes server-sent events. It belongs to one goroutine.
type eventStream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func openStream(w http.ResponseWriter) (*eventStream, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &eventStream{w: w, rc: http.NewResponseController(w)}
	return s, s.comment("essaim")
}

func (s *eventStream) comment(text string) error { return s.write(": %s\n\n", text) }

// data writes an event without a name.
func (s *eventStream) data(data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("gateway: encode %T: %v", data, err)) // our own types always encode
	}
	return s.write("data: %s\n\n", b)
}

func (s *eventStream) write(format string, args ...any) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime)) // httptest's recorder has none
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.rc.Flush()
}
