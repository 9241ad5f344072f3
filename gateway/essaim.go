package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/seal"
)

const (
	keepAlive = 15 * time.Second

	// maxSmall bounds the body of a request that holds no envelope.
	maxSmall = 64 << 10

	// maxSubmission bounds a submission: a task, and an input sealed to as many
	// miners as an envelope can have, both in base64.
	maxSubmission = 2 * (seal.MaxRecipients*seal.PublicKeySize + 16*essaim.MaxPrompt)
)

func (g *Gateway) info(w http.ResponseWriter, r *http.Request) {
	info, err := g.cfg.Coordinator.Info(r.Context())
	if err != nil {
		g.writeError(w, err)
		return
	}
	if info.LedgerURL == "" {
		info.LedgerURL = g.cfg.LedgerURL
	}
	allowAnyOrigin(w)
	writeJSON(w, http.StatusOK, info)
}

func (g *Gateway) quote(w http.ResponseWriter, r *http.Request) {
	var q essaim.QuoteRequest
	if err := readJSON(w, r, maxSmall, &q); err != nil {
		g.writeError(w, err)
		return
	}
	answer(g, w, func() (essaim.Quote, error) { return g.cfg.Coordinator.Quote(r.Context(), q) })
}

func (g *Gateway) task(w http.ResponseWriter, r *http.Request) {
	d, err := essaim.ParseDigest(r.PathValue("digest"))
	if err != nil {
		g.writeError(w, essaim.Errorf(essaim.CodeBadInput, "a task's digest has 64 hex digits", "%.100q is not a digest", r.PathValue("digest")))
		return
	}
	answer(g, w, func() (essaim.TaskRecord, error) { return g.cfg.Coordinator.Task(r.Context(), d) })
}

func (g *Gateway) acknowledge(w http.ResponseWriter, r *http.Request) {
	var body client.VoucherBody
	if err := readJSON(w, r, maxSmall, &body); err != nil {
		g.writeError(w, err)
		return
	}
	answer(g, w, func() (struct{}, error) { return struct{}{}, g.cfg.Coordinator.Acknowledge(r.Context(), body.Voucher) })
}

func (g *Gateway) closeSession(w http.ResponseWriter, r *http.Request) {
	var body client.CloseBody
	if err := readJSON(w, r, maxSmall, &body); err != nil {
		g.writeError(w, err)
		return
	}
	answer(g, w, func() (essaim.Settled, error) { return g.cfg.Coordinator.Close(r.Context(), body.Close) })
}

func answer[T any](g *Gateway, w http.ResponseWriter, ask func() (T, error)) {
	out, err := ask()
	if err != nil {
		g.writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// submit hands in a task and streams what becomes of it. What is not a task gets a plain
// error; everything later is an event, also that its signature is wrong: the coordinator
// checks that, once.
func (g *Gateway) submit(w http.ResponseWriter, r *http.Request) {
	var s essaim.Submission
	err := readJSON(w, r, maxSubmission, &s)
	if err == nil {
		_, _, err = essaim.ReadTask(s.Task)
	}
	if err != nil {
		g.writeError(w, err)
		return
	}
	g.metrics.tasks.Inc()
	defer g.metrics.tasks.Dec()
	stream, err := openStream(w)
	if err != nil {
		return // the client has left
	}
	d, err := g.follow(r.Context(), s, stream)
	if err != nil {
		g.logFault(w, err)
		_ = stream.event(client.EventError, client.ErrorBodyOf(err)) // the client may have left
		return
	}
	_ = stream.event(client.EventDelivery, d)
}

// follow submits the task and passes its progress on. Progress that the client is
// too slow for is dropped: the coordinator never waits for a client.
func (g *Gateway) follow(ctx context.Context, s essaim.Submission, stream *eventStream) (d essaim.Delivery, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.halt, cancel)()
	steps := make(chan essaim.Progress, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d, err = g.handIn(ctx, s, func(p essaim.Progress) {
			select {
			case steps <- p:
			default:
			}
		})
	}()
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		var failed error
		select {
		case p := <-steps:
			failed = stream.event(client.EventProgress, p)
		case <-tick.C:
			failed = stream.comment("keep-alive")
		case <-done:
			for len(steps) > 0 {
				_ = stream.event(client.EventProgress, <-steps) // the last event will tell
			}
			return d, err
		}
		if failed != nil {
			cancel()
			<-done
			return d, err
		}
	}
}

// handIn is Coordinator.Submit with a net under panics, for it runs in a goroutine
// of its own.
func (g *Gateway) handIn(ctx context.Context, s essaim.Submission, progress func(essaim.Progress)) (d essaim.Delivery, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = essaim.Errorf(essaim.CodeInternal, "", "panic in a submission: %v\n%s", p, debug.Stack())
		}
	}()
	return g.cfg.Coordinator.Submit(ctx, s, progress)
}

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
	rc := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	s := &eventStream{w: w, rc: rc}
	return s, s.comment("essaim")
}

func (s *eventStream) comment(text string) error { return s.write(": %s\n\n", text) }

func (s *eventStream) event(name string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("gateway: encode %T: %v", data, err)) // our own types always encode
	}
	return s.write("event: %s\ndata: %s\n\n", name, b)
}

func (s *eventStream) write(format string, args ...any) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime)) // httptest's recorder has none
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.rc.Flush()
}
