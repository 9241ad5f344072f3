package gateway

import (
	"crypto/rand"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/gateway/openai"
	"github.com/essaim/essaim/internal/tracing"
)

// wrap is what every request goes through: an ID, a time limit for its body, the
// log, the metrics, and a net under panics. Bodies and query strings are never
// logged.
func (g *Gateway) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, id := time.Now(), rand.Text()[:12]
		r, span := g.trace(w, r)
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set(desk.HeaderRequest, id)
		rec.Header().Set("X-Content-Type-Options", "nosniff")
		if r.ContentLength != 0 {
			desk.SetReadDeadline(w, start.Add(bodyTime))
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
			if span != nil {
				span.Set("http.route", route)
				span.Count("http.response.status_code", int64(rec.status()))
				span.End(nil)
			}
			g.metrics.observe(route, rec.status(), took)
			g.log.Info("request", "id", id, "route", route, "status", rec.status(), "ms", took.Milliseconds())
		}()
		next.ServeHTTP(rec, r)
	})
}

// trace begins the span of a request, in its client's trace if it names one, and tells it in the answer's header.
func (g *Gateway) trace(w http.ResponseWriter, r *http.Request) (*http.Request, *tracing.Span) {
	ctx, span := g.cfg.Tracer.Continue(r.Context(), r.Header.Get(tracing.Header), "gateway "+r.Method, tracing.Server)
	if span == nil {
		return r, nil
	}
	w.Header().Set(tracing.Header, span.Header())
	return r.WithContext(ctx), span
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
		openai.WriteFault(rec, http.StatusInternalServerError, desk.Fault{Message: body.Error.Message + "; " + body.Error.Hint, Type: "server_error"})
		return
	}
	desk.WriteJSON(rec, http.StatusInternalServerError, body)
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

// writeError answers with an error in the essaim dialect.
func (g *Gateway) writeError(w http.ResponseWriter, err error) {
	g.logFault(w, err)
	desk.TellLater(w, err)
	desk.WriteJSON(w, desk.StatusOf(err), client.ErrorBodyOf(err))
}

// logFault logs what the client is not told.
func (g *Gateway) logFault(w http.ResponseWriter, err error) {
	if essaim.CodeOf(err) == essaim.CodeInternal {
		g.log.Error("request failed", "id", w.Header().Get(desk.HeaderRequest), "err", err)
	}
}

// allowAnyOrigin lets web pages of other sites read a public answer.
func allowAnyOrigin(w http.ResponseWriter) { w.Header().Set("Access-Control-Allow-Origin", "*") }

func openAIPath(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v1/") }

func (g *Gateway) unknown(w http.ResponseWriter, r *http.Request) {
	if g.cfg.Page != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		g.cfg.Page.ServeHTTP(w, r)
		return
	}
	g.writeError(w, essaim.Errorf(essaim.CodeNotFound, "the documentation lists the gateway's paths", "nothing is at %s %.100q", r.Method, r.URL.Path))
}

func (g *Gateway) healthz(w http.ResponseWriter, _ *http.Request) {
	desk.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether requests make sense now: the coordinator answers.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	info, err := g.cfg.Coordinator.Info(r.Context())
	if err != nil {
		g.writeError(w, essaim.Errorf(essaim.CodeUnavailable, "look at the coordinator's log", "the coordinator does not answer: %w", err))
		return
	}
	desk.WriteJSON(w, http.StatusOK, map[string]any{"status": "ready", "miners": info.Miners, "models": len(info.Models)})
}
