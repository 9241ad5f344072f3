package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

var (
	errCut    = errors.New("the stream ended early")
	errSilent = errors.New("not even a sign of life came")
)

// events reads server-sent events. Fields other than event and data are ignored, as
// the standard wants.
type events struct {
	r     *bufio.Reader
	max   int    // bytes of one event
	alive func() // called as bytes arrive, also a comment's
}

func newEvents(r io.Reader, limit int, alive func()) *events {
	return &events{r: bufio.NewReaderSize(r, 64<<10), max: limit, alive: alive}
}

// next returns the next event; data is the caller's.
//
// Errors: wraps errCut if the stream ends or breaks first.
func (e *events) next() (name string, data []byte, err error) {
	for {
		line, err := e.line(e.max - len(data))
		if err != nil {
			return "", nil, err
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0 && (name != "" || data != nil):
			return name, data, nil
		case string(field) == "event":
			name = string(value)
		case string(field) == "data" && data == nil:
			data = value
		case string(field) == "data":
			data = append(append(data, '\n'), value...)
		}
	}
}

// line returns the next line without its end; it is the caller's.
func (e *events) line(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := e.r.ReadSlice('\n')
		line = append(line, part...)
		e.alive()
		switch {
		case len(line) > limit+2:
			return nil, fmt.Errorf("%w: an event is longer than %d bytes", errCut, e.max)
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%w: %w", errCut, err)
		}
	}
}
