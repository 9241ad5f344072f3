package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/seal"
)

const (
	// maxSubmission bounds one submission: a task, an input sealed to as many miners as an
	// envelope can have, and as much again for who checks it.
	maxSubmission = 2 * (seal.MaxRecipients*seal.PublicKeySize + 16*essaim.MaxPrompt)

	// maxWrite is about how many bytes of events are written together.
	maxWrite = 256 << 10
)

// submit hands in the tasks of a request and streams what becomes of them. A body that
// cannot be read gets a plain error; everything later is an event of its task, also that
// its signature is wrong: the coordinator checks that, once.
func (g *Gateway) submit(w http.ResponseWriter, r *http.Request) {
	list, err := readSubmissions(w, r)
	if err != nil {
		g.writeError(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", client.MediaFrames)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := &frames{w: w, rc: http.NewResponseController(w)}
	if out.flush() != nil {
		return // the client has left
	}
	g.metrics.tasks.Add(float64(len(list)))
	defer g.metrics.tasks.Sub(float64(len(list)))
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(g.halt, cancel)()
	events := make(chan client.Event, 64*len(list)) // parts of a text come fast
	for n, s := range list {
		go func() { events <- g.become(ctx, w, n, s, events) }()
	}
	g.follow(out, events, len(list), cancel)
}

// readSubmissions reads the body and lifts its deadline.
//
// Errors: CodeBadInput.
func readSubmissions(w http.ResponseWriter, r *http.Request) (list []client.Submitted, err error) {
	body := http.MaxBytesReader(w, r.Body, client.MaxBatch*maxSubmission)
	for {
		var s client.Submitted
		err := client.ReadFrame(body, maxSubmission, &s)
		switch {
		case errors.Is(err, io.EOF) && len(list) > 0:
			desk.SetReadDeadline(w, time.Time{})
			return list, nil
		case err != nil && essaim.CodeOf(err) == essaim.CodeBadInput:
			return nil, err
		case err != nil:
			return nil, desk.Unread(err, "send one frame for each task")
		case len(list) == client.MaxBatch:
			return nil, essaim.Errorf(essaim.CodeBadInput, "send the others in another request", "more than %d tasks in one request", client.MaxBatch)
		}
		list = append(list, s)
	}
}

// become hands a task in and returns its last event. Progress that the client is too slow
// for is dropped: the coordinator never waits for a client.
func (g *Gateway) become(ctx context.Context, w http.ResponseWriter, n int, s client.Submitted, events chan<- client.Event) client.Event {
	d, err := g.handIn(ctx, essaim.Submission{Task: s.Task, Input: s.Input, Voucher: s.Voucher, Consent: s.Consent, Conversation: s.Conversation}, func(p essaim.Progress) {
		if len(events) < cap(events)/2 { // the other half is for the last ones
			events <- client.Event{N: n, Progress: &p}
		}
	})
	if err != nil {
		g.logFault(w, err)
		body := client.ErrorBodyOf(err)
		return client.Event{N: n, Error: &body.Error}
	}
	return client.Event{N: n, Delivery: &d}
}

// follow writes events until each task has had its last one. A client that has left ends
// them all.
func (g *Gateway) follow(out *frames, events <-chan client.Event, left int, cancel func()) {
	tick := time.NewTicker(desk.KeepAlive)
	defer tick.Stop()
	for left > 0 {
		select {
		case e := <-events:
			left -= out.add(e)
			for len(events) > 0 && len(out.b) < maxWrite { // what is there goes together
				left -= out.add(<-events)
			}
		case <-tick.C:
			out.add(client.Event{})
		}
		if left == 0 {
			_ = out.write() // the answer's end, which goes along, is the server's to write
			return
		}
		if out.flush() != nil {
			cancel()
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

// frames writes events. It belongs to one goroutine.
type frames struct {
	w  http.ResponseWriter
	rc *http.ResponseController
	b  []byte
}

// add adds an event to what is written next; it returns 1 for a task's last.
func (f *frames) add(e client.Event) int {
	f.b = client.AppendFrame(f.b, &e)
	if e.Delivery != nil || e.Error != nil {
		return 1
	}
	return 0
}

func (f *frames) write() error {
	_ = f.rc.SetWriteDeadline(time.Now().Add(desk.WriteTime)) // httptest's recorder has none
	_, err := f.w.Write(f.b)
	f.b = f.b[:0]
	return err
}

func (f *frames) flush() error {
	if err := f.write(); err != nil {
		return err
	}
	return f.rc.Flush()
}
