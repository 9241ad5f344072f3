package gateway

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
)

// wrap is what every request goes through: an ID, a time limit for its body, the
// log, the metrics, and a net under panics. Bodies and query strings are never
// logged.
func (g *Gateway) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, id := time.Now(), rand.Text()[:12]
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set("X-Request-Id", id)
		rec.Header().Set("X-Content-Type-Options", "nosniff")
		if r.ContentLength != 0 {
			setReadDeadline(w, start.Add(bodyTime))
		}
		defer func() {
			if p := recover(); p != nil {
				g.panicked(rec, r, id, p)
			}
			route := r.Pattern
			if route == "" {
				route = "none"
			}
			took := time.Since(start)
			g.metrics.observe(route, rec.status(), took)
			g.log.Info("request", "id", id, "route", route, "status", rec.status(), "ms", took.Milliseconds())
		}()
		next.ServeHTTP(rec, r)
	})
}

func (g *Gateway) panicked(rec *recorder, r *http.Request, id string, p any) {
	if p == http.ErrAbortHandler {
		panic(p) // the handler wants the connection cut
	}
	g.log.Error("panic", "id", id, "route", r.Pattern, "panic", p, "stack", string(debug.Stack()))
	if rec.code != 0 {
		return // the answer has begun; the client sees that it is cut
	}
	err := essaim.Errorf(essaim.CodeInternal, "", "panic")
	body := client.ErrorBodyOf(err)
	body.Error.Hint = "tell the gateway's operator the request ID " + id
	if openAIPath(r) {
		writeJSON(rec, http.StatusInternalServerError, openAIError{openAIErrorInfo{
			Message: body.Error.Message + "; " + body.Error.Hint, Type: "server_error",
		}})
		return
	}
	writeJSON(rec, http.StatusInternalServerError, body)
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) WriteHeader(code int) {
	if r.code == 0 && code >= 200 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what is below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}

// setReadDeadline bounds the reading of a body. It must be lifted when the body was
// read: a deadline that passes later would cancel the request's context.
func setReadDeadline(w http.ResponseWriter, t time.Time) {
	_ = http.NewResponseController(w).SetReadDeadline(t) // httptest's recorder has none
}

// readJSON decodes a body of at most limit bytes and lifts its deadline. Unknown
// fields are tolerated.
//
// Errors: CodeBadInput.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, out any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	err := d.Decode(out)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return essaim.Errorf(essaim.CodeBadInput, "send less", "the body is larger than %d bytes", limit)
	}
	if err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "send one JSON object", "the body cannot be read: %v", err)
	}
	setReadDeadline(w, time.Time{})
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return essaim.Errorf(essaim.CodeBadInput, "send one JSON object", "something follows the body's JSON object")
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("gateway: encode %T: %v", body, err)) // our own types always encode
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that has left needs no answer
}

// writeError answers with an error in the essaim dialect.
func (g *Gateway) writeError(w http.ResponseWriter, err error) {
	g.logFault(w, err)
	code := essaim.CodeOf(err)
	if code == essaim.CodeUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, code.HTTPStatus(), client.ErrorBodyOf(err))
}

// logFault logs what the client is not told.
func (g *Gateway) logFault(w http.ResponseWriter, err error) {
	if essaim.CodeOf(err) == essaim.CodeInternal {
		g.log.Error("request failed", "id", w.Header().Get("X-Request-Id"), "err", err)
	}
}

// allowAnyOrigin lets web pages of other sites read a public answer.
func allowAnyOrigin(w http.ResponseWriter) { w.Header().Set("Access-Control-Allow-Origin", "*") }

func openAIPath(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v1/") }

func (g *Gateway) unknown(w http.ResponseWriter, r *http.Request) {
	g.writeError(w, essaim.Errorf(essaim.CodeNotFound, "the documentation lists the gateway's paths", "nothing is at %s %.100q", r.Method, r.URL.Path))
}

func (g *Gateway) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether requests make sense now: the coordinator answers.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	info, err := g.cfg.Coordinator.Info(r.Context())
	if err != nil {
		g.writeError(w, essaim.Errorf(essaim.CodeUnavailable, "look at the coordinator's log", "the coordinator does not answer: %w", err))
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"status": "ready", "miners": info.Miners, "models": len(info.Models)})
}
