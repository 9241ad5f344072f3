// Package relay brings requests that show an API key to the instance that has the key, where a gateway is one of several
// instances behind one name. Only that instance knows what is in memory of a key: requests under way and their answers, how many there were in
// the last minute, who talked with which miner. What a key spends is decided elsewhere, in rows, so that a mistake here costs no money.
//
// A request goes on as it came, once, and is cut when the instance that has it is given up; it is never tried again by this
// package, since it may have been done. The package must not know a dialect.
package relay

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/internal/tracing"
)

// headerPassed is on requests that an instance has passed on: the next one does not.
const headerPassed = "X-Essaim-Passed-On"

// Owners know which of several instances has a key.
type Owners interface {
	// Own takes a key, unless another instance has it: then url is that of its gateway, and gone is closed when it was given up. took
	// is called when the key was taken, before any request of it is served.
	Own(ctx context.Context, key string, took func() error) (url string, gone <-chan struct{}, err error)

	// Leave gives all keys to the others, and takes none any more.
	Leave() error
}

// Config says what a Relay works with.
type Config struct {
	Owners Owners
	KeyOf  func(*http.Request) string // ID of the key that a request shows and that is good; "": none
	Took   func(key string) error     // prepares for the requests of a key that this instance has from now on

	// Pass adds to the header of a request that goes on what the other instance must know of it; nil: nothing.
	Pass func(in *http.Request, header http.Header)

	Log *slog.Logger
}

// Relay passes requests on. Make it with New; it is safe for concurrent use.
type Relay struct {
	cfg       Config
	transport *http.Transport
}

// New makes a relay. It asks nobody.
func New(cfg Config) *Relay {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.DisableCompression, t.MaxIdleConnsPerHost = nil, true, 64
	return &Relay{cfg, t}
}

// Close drops the connections to other instances that are not in use.
func (r *Relay) Close() { r.transport.CloseIdleConnections() }

var (
	errGone  = &essaim.Error{Code: essaim.CodeUnavailable, Msg: "the instance of the coordinator that had this API key is gone; what was done and not answered is charged", Hint: "send it again"}
	errAway  = &essaim.Error{Code: essaim.CodeUnavailable, Msg: "the instance of the coordinator that has this API key does not answer", Hint: "try again in a moment"}
	errMoved = &essaim.Error{Code: essaim.CodeUnavailable, Msg: "this API key is about to be served by another instance of the coordinator", Hint: "try again in a moment"}
)

// Wrap has a handler serve the requests of keys that are this instance's, and those without a key.
func (r *Relay) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		key := r.cfg.KeyOf(req)
		if key == "" {
			next.ServeHTTP(w, req)
			return
		}
		at, gone, err := r.cfg.Owners.Own(req.Context(), key, func() error { return r.cfg.Took(key) })
		switch {
		case err != nil:
			refuse(w, err)
		case at == "":
			next.ServeHTTP(w, req)
		case req.Header.Get(headerPassed) != "":
			refuse(w, errMoved)
		default:
			r.pass(w, req, at, gone)
		}
	})
}

// away is until another instance that does not answer is given up, in whole seconds: 4.5, see package coordinator/cluster.
const away = "5"

func refuse(w http.ResponseWriter, err error) {
	after := "1"
	if err == error(errAway) {
		after = away
	}
	w.Header().Set("Retry-After", after)
	status, f := desk.FaultOf(err)
	desk.WriteJSON(w, status, map[string]desk.Fault{"error": f})
}

// pass asks another instance, until it is given up.
func (r *Relay) pass(w http.ResponseWriter, req *http.Request, at string, gone <-chan struct{}) {
	to, err := url.Parse(at)
	if err != nil {
		refuse(w, essaim.Errorf(essaim.CodeInternal, "", "the URL of another instance: %w", err))
		return
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	ended := make(chan struct{})
	defer close(ended)
	defer cancel(nil)
	go func() {
		select {
		case <-gone:
			cancel(errGone)
		case <-ended:
		}
	}()
	for _, own := range []string{desk.HeaderRequest, tracing.Header, "X-Content-Type-Options"} {
		w.Header().Del(own) // the other instance says so
	}
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{}) // httptest's recorder has none
	req.Pattern = "passed on"
	out := req.WithContext(ctx)
	if req.Body != nil {
		b := &body{ReadCloser: req.Body, w: w}
		defer b.end()
		out.Body = b
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = p.In.Host // links in answers begin with it
			p.Out.Header.Set(headerPassed, "1")
			if r.cfg.Pass != nil {
				r.cfg.Pass(p.In, p.Out.Header)
			}
		},
		Transport: r.transport, FlushInterval: -1, ErrorLog: slog.NewLogLogger(r.cfg.Log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			r.cfg.Log.Warn("a request was not passed on", "to", at, "err", err)
			if errors.Is(context.Cause(ctx), errGone) {
				refuse(w, errGone)
				return
			}
			refuse(w, errAway)
		},
	}
	proxy.ServeHTTP(&writer{w, rc}, out)
}

// body lifts the deadline for reading when all was read: one that passes later would end the request.
type body struct {
	io.ReadCloser
	mu sync.Mutex
	w  http.ResponseWriter // nil: the request is over, and the connection is the server's; guarded by mu
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.w != nil {
		desk.SetReadDeadline(b.w, time.Time{})
	}
	return n, err
}

// end lifts the deadline no more: whoever reads a body may do so for a while after the answer.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.w = nil
}

// writer gives each piece of an answer time to be written.
type writer struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (w *writer) Write(b []byte) (int, error) {
	_ = w.rc.SetWriteDeadline(time.Now().Add(desk.WriteTime)) // httptest's recorder has none
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what is below.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
