package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

// The faults of engines behind HTTP. Those of a picture's content the fake itself must make.
const (
	Fail      = "500"       // an error that quotes what was asked
	Hang      = "hang"      // no answer
	Empty     = "empty"     // status 200, no body
	Garbage   = "garbage"   // status 200, a web page
	Truncated = "truncated" // half of the body
	Drip      = "drip"      // a body that comes byte by byte
	Reset     = "reset"     // the connection is cut

	HalfPicture = "half a picture"  // the file lacks its end
	WrongSize   = "wrong size"      // a picture of another size than was asked for
	NoPicture   = "not a picture"   // bytes that are none
	Rejects     = "rejects"         // status 400, with an error that quotes what was asked
	Unknown     = "no such a model" // status 404
)

// secret must not be in an error or a log.
const secret = "the-prompt-of-somebody"

// faultTime bounds a failed run. Engines under test must lose patience much sooner.
const faultTime = 20 * time.Second

// Server is a fake of an engine, over HTTP. Handler is asked for each path that has no fault.
type Server struct {
	Handler http.Handler
	Fault   string   // "": none
	Paths   []string // that the fault is of
}

// Start serves it until the test ends and returns its URL.
func (s *Server) Start(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// ServeHTTP fails as Fault says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !slices.ContainsFunc(s.Paths, func(p string) bool { return strings.HasPrefix(r.URL.Path, p) }) {
		s.Handler.ServeHTTP(w, r)
		return
	}
	switch s.Fault {
	case Fail, Rejects, Unknown:
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(map[string]int{Fail: 500, Rejects: 400, Unknown: 404}[s.Fault])
		fmt.Fprintf(w, `{"error":{"message":%q,"type":"some_type"},"detail":%q}`, body, body)
	case Hang:
		_, _ = io.Copy(io.Discard, r.Body) // the server sees only then that the client is gone
		<-r.Context().Done()
	case Empty:
	case Garbage:
		fmt.Fprint(w, "<html>welcome</html>\n")
	case Reset:
		panic(http.ErrAbortHandler)
	case Truncated, Drip:
		rec := httptest.NewRecorder()
		s.Handler.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if s.Fault == Truncated {
			_, _ = w.Write(body[:len(body)/2])
			return
		}
		for _, b := range body {
			if _, err := w.Write([]byte{b}); err != nil || r.Context().Err() != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	default:
		s.Handler.ServeHTTP(w, r)
	}
}

// Faults tests that an engine behind HTTP tells whose fault a failure is, soon, and without quoting
// what was asked. open connects to a server whose runs have the fault; listing models works.
func Faults(t *testing.T, open func(t *testing.T, fault string) engine.Engine) {
	for _, fault := range []string{Fail, Hang, Empty, Garbage, Truncated, Drip, Reset, HalfPicture, WrongSize, NoPicture, Rejects, Unknown} {
		t.Run(strings.ReplaceAll(fault, " ", "-"), func(t *testing.T) {
			e := open(t, fault)
			models, err := e.Models(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range models {
				if m.Kind != essaim.KindImage && slices.Contains([]string{HalfPicture, WrongSize, NoPicture}, fault) {
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), faultTime)
				_, err := e.Run(ctx, engine.Request{Model: m.Digest, Prompt: say(m, secret), Seed: 1}, nil)
				late := ctx.Err() != nil
				cancel()
				bad, none := errors.Is(err, engine.ErrBadRequest), errors.Is(err, engine.ErrNoModel)
				switch {
				case err == nil:
					t.Errorf("%s: no error", m.Name)
				case late || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
					t.Errorf("%s: the engine waits for ever: %v", m.Name, err)
				case strings.Contains(err.Error(), secret):
					t.Errorf("%s: the error quotes the prompt: %v", m.Name, err)
				case bad != (fault == Rejects) || none != (fault == Unknown):
					t.Errorf("%s: it is said whose fault that is: %v", m.Name, err)
				}
			}
		})
	}
}
