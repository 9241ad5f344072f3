package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/essaim/essaim"
)

// line is where submissions wait for a request that takes them along: those that come
// while one is being handed over share the next.
type line struct {
	mu      sync.Mutex
	waiting []*submission
	handing bool // a request is on its way to the gateway
}

// submission is one task of a request.
type submission struct {
	body   Submitted
	events chan Event // what becomes of it; closed when the request has ended
	err    error      // why it ended without saying; set before events is closed
	gone   chan struct{}
}

// eventsKept is how many events wait for a slow reader before progress is dropped.
const eventsKept = 64

// Submit is Coordinator.Submit. If the connection is cut the error is
// CodeUnavailable and the task may be going on; submitting it again continues it.
func (h *HTTP) Submit(ctx context.Context, s essaim.Submission, progress func(essaim.Progress)) (essaim.Delivery, error) {
	own := &submission{
		body:   Submitted{Task: s.Task, Input: s.Input, Voucher: s.Voucher, Consent: s.Consent, Conversation: s.Conversation},
		events: make(chan Event, eventsKept+1), gone: make(chan struct{}),
	}
	defer close(own.gone)
	h.line.mu.Lock()
	h.line.waiting = append(h.line.waiting, own)
	h.line.mu.Unlock()
	h.handOver()
	for {
		select {
		case <-ctx.Done():
			return essaim.Delivery{}, context.Cause(ctx)
		case e, ok := <-own.events:
			switch {
			case !ok:
				return essaim.Delivery{}, own.err
			case e.Progress != nil && progress != nil:
				progress(*e.Progress)
			case e.Delivery != nil:
				return *e.Delivery, nil
			case e.Error != nil:
				return essaim.Delivery{}, ErrorBody{*e.Error}.Err()
			}
		}
	}
}

// handOver sends what waits, unless a request is being handed over now: its end hands over
// the next.
func (h *HTTP) handOver() {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	if h.line.handing || len(h.line.waiting) == 0 {
		return
	}
	batch := h.line.waiting[:min(len(h.line.waiting), MaxBatch)]
	h.line.waiting = h.line.waiting[len(batch):]
	h.line.handing = true
	go h.post(batch)
}

// post is one request: it ends when all its tasks have, or nobody waits for them.
func (h *HTTP) post(batch []*submission) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { close(ended) })
	defer end()
	go func() {
		for _, s := range batch {
			select {
			case <-s.gone:
			case <-ended:
			}
		}
		select {
		case <-ended: // they have gone with what they wanted
		default:
			cancel(context.Canceled)
		}
	}()
	watch := time.AfterFunc(h.idle, func() { cancel(h.lost(errSilent)) })
	defer watch.Stop()
	resp, err := h.give(ctx, batch)
	h.line.mu.Lock()
	h.line.handing = false
	h.line.mu.Unlock()
	h.handOver()
	if err == nil {
		err = h.read(ctx, resp.Body, batch, func() { watch.Reset(h.idle) }, end)
		_, _ = io.Copy(io.Discard, resp.Body) // nothing is left but its end; then the connection is used again
		_ = resp.Body.Close()
	}
	for _, s := range batch {
		s.err = err
		close(s.events)
	}
}

// frameRoom is enough for what a frame holds beside its submission, in bytes.
const frameRoom = 64

// give sends the request and returns when the gateway has it all.
func (h *HTTP) give(ctx context.Context, batch []*submission) (*http.Response, error) {
	room := 0
	for _, s := range batch {
		room += len(s.body.Task) + len(s.body.Input) + len(s.body.Voucher) + len(s.body.Consent) + len(s.body.Conversation) + frameRoom
	}
	body := make([]byte, 0, room)
	for _, s := range batch {
		body = AppendFrame(body, &s.body)
	}
	resp, err := h.do(ctx, http.MethodPost, PathTasks, MediaFrames, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	err = failure(resp)
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && t != MediaFrames {
		err = notAGateway(h.base)
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// read passes events on until each submission has had its last, and calls end before the
// very last. The error is for those that have not.
func (h *HTTP) read(ctx context.Context, body io.Reader, batch []*submission, alive, end func()) error {
	r := bufio.NewReaderSize(reader{body, alive}, 16<<10)
	over := make([]bool, len(batch))
	for left := len(batch); left > 0; {
		var e Event
		switch err := ReadFrame(r, maxEvent, &e); {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return h.cut(ctx, errCut)
		case err != nil && essaim.CodeOf(err) == essaim.CodeBadInput:
			return badAnswer(err)
		case err != nil:
			return h.cut(ctx, err)
		case e.N < 0 || e.N >= len(batch) || over[e.N]:
			continue // not ours to understand
		}
		s := batch[e.N]
		if e.Delivery != nil || e.Error != nil {
			over[e.N] = true
			if left--; left == 0 {
				end()
			}
			s.events <- e // its place is kept: progress fills all but one
			continue
		}
		if len(s.events) < eventsKept {
			s.events <- e
		}
	}
	return h.lost(errCut) // nobody hears it
}

// reader tells of bytes that arrive.
type reader struct {
	io.Reader
	alive func()
}

func (r reader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.alive()
	return n, err
}
