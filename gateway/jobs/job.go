package jobs

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/standing"
)

// job is a request and what was answered so far.
type job struct {
	name    name
	asked   essaim.Digest // of path and body
	once    bool          // its user has named it
	created time.Time
	hook    string // URL; "": none
	secret  []byte // signs what the webhook is told

	mu      sync.Mutex
	more    chan struct{} // closed and replaced whenever something is new
	leave   context.CancelFunc
	taken   bool // back
	refused bool // it was not done: what is known of it from before does not allow it, or not yet
	tasks   []essaim.Digest
	header  http.Header
	status  int      // 0: nothing was answered yet
	parts   [][]byte // of the answer; of an event stream one each event
	rest    []byte   // of an event stream: what is no whole event yet
	bytes   int
	ended   time.Time // zero: under way
}

func (n *job) news() {
	close(n.more)
	n.more = make(chan struct{})
}

func (n *job) named(task essaim.Digest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tasks = append(n.tasks, task)
}

func (n *job) size() (bytes int, ended time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bytes, n.ended
}

// undone reports whether a job has ended without anything done, so that the same request may be tried again.
func (n *job) undone() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.ended.IsZero() && (n.refused || n.status == http.StatusTooManyRequests || n.status == http.StatusServiceUnavailable)
}

func (n *job) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.status == 0 {
		n.status = http.StatusOK
	}
	n.ended = time.Now()
	n.news()
}

// abort says that the handler has failed, unless it has answered.
func (n *job) abort() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.status == 0 {
		n.status = http.StatusInternalServerError
	}
}

func (n *job) streams() bool {
	return strings.HasPrefix(n.header.Get("Content-Type"), "text/event-stream")
}

// writer is what the handler writes to. It belongs to one goroutine.
func (n *job) writer() *writer { return &writer{n: n, header: http.Header{}} }

type writer struct {
	n      *job
	header http.Header
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if status < 200 {
		return
	}
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	if w.n.status == 0 {
		w.n.status, w.n.header = status, w.header.Clone()
		w.n.news()
	}
}

// Write keeps a part of the answer. Of an event stream each event is one, and comments are
// dropped: they keep a connection open, and whoever reads has one of its own.
func (w *writer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	n := w.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bytes += len(b); n.bytes > maxAnswer {
		return 0, essaim.Errorf(essaim.CodeUnavailable, "send it without an Idempotency-Key", "the answer is too long to be kept")
	}
	if !n.streams() {
		n.parts = append(n.parts, bytes.Clone(b))
		n.news()
		return len(b), nil
	}
	n.rest = append(n.rest, b...)
	for {
		event, rest, ok := bytes.Cut(n.rest, []byte("\n\n"))
		if !ok {
			return len(b), nil
		}
		if !bytes.HasPrefix(event, []byte(":")) {
			n.parts = append(n.parts, append(bytes.Clone(event), "\n\n"...))
			n.news()
		}
		n.rest = bytes.Clone(rest)
	}
}

// Flush is what http.ResponseController calls; nothing waits here.
func (w *writer) Flush() {}

// serve writes a job's answer as it comes, of an event stream from behind the event that
// the client has seen last.
func (n *job) serve(w http.ResponseWriter, r *http.Request) {
	next, begun := 0, false
	if last, err := strconv.Atoi(r.Header.Get("Last-Event-ID")); err == nil && last > 0 {
		next = last
	}
	tick := time.NewTicker(desk.KeepAlive)
	defer tick.Stop()
	rc := http.NewResponseController(w)
	for {
		n.mu.Lock()
		status, streams, parts, ended, more := n.status, n.streams(), n.parts, !n.ended.IsZero(), n.more
		if status != 0 && !begun {
			id := w.Header().Get(desk.HeaderRequest)
			maps.Copy(w.Header(), n.header)
			w.Header().Set(desk.HeaderRequest, id)
		}
		n.mu.Unlock()
		if status != 0 && !begun {
			begun = true
			if !streams {
				next = 0
			}
			w.WriteHeader(status)
		}
		_ = rc.SetWriteDeadline(time.Now().Add(desk.WriteTime)) // httptest's recorder has none
		for ; begun && next < len(parts); next++ {
			if streams {
				if _, err := fmt.Fprintf(w, "id: %d\n", next+1); err != nil {
					return
				}
			}
			if _, err := w.Write(parts[next]); err != nil {
				return
			}
		}
		if begun && rc.Flush() != nil || ended {
			return
		}
		select {
		case <-more:
		case <-tick.C:
			if begun && streams {
				_, _ = w.Write([]byte(": keep-alive\n\n")) // the next write finds out who has left
			}
		case <-r.Context().Done():
			return
		}
	}
}

// state is a job as its owner sees it.
type state struct {
	ID      string              `json:"id"`
	State   string              `json:"state"` // running, done or cancelled
	Status  int                 `json:"status,omitempty"`
	Created time.Time           `json:"created"`
	Ended   time.Time           `json:"ended,omitzero"`
	Tasks   []essaim.Digest     `json:"tasks"`
	Waiting []standing.Standing `json:"waiting"` // how those of the tasks stand that are under way
	Answer  string              `json:"answer"`  // path
}

func (j *Jobs) describe(ctx context.Context, n *job) state {
	n.mu.Lock()
	s := state{
		ID: n.name.id, State: "running", Created: n.created, Ended: n.ended, Tasks: append([]essaim.Digest{}, n.tasks...),
		Waiting: []standing.Standing{}, Answer: PathJobs + "/" + n.name.id + "/answer",
	}
	switch {
	case n.ended.IsZero():
	case n.taken && n.status == http.StatusConflict:
		s.State, s.Status = "cancelled", n.status
	default:
		s.State, s.Status = "done", n.status
	}
	n.mu.Unlock()
	c, ok := j.cfg.Coordinator.(client.Waiting)
	if !ok || s.State != "running" {
		return s
	}
	for _, t := range s.Tasks {
		if w, err := c.Standing(ctx, t); err == nil {
			s.Waiting = append(s.Waiting, w)
		}
	}
	return s
}

// show tells how a job stands.
func (j *Jobs) show(w http.ResponseWriter, r *http.Request) {
	n, err := j.find(r)
	if err != nil {
		j.fail(w, err)
		return
	}
	desk.WriteJSON(w, http.StatusOK, j.describe(r.Context(), n))
}

// answer is the job's answer, as its request would have got it.
func (j *Jobs) answer(w http.ResponseWriter, r *http.Request) {
	n, err := j.find(r)
	if err != nil {
		j.fail(w, err)
		return
	}
	w.Header().Set(headerReplay, "true")
	n.serve(w, r)
}

// cancel takes a job back, and answers when it has ended: what was not delivered is not
// charged.
func (j *Jobs) cancel(w http.ResponseWriter, r *http.Request) {
	n, err := j.find(r)
	if err != nil {
		j.fail(w, err)
		return
	}
	n.mu.Lock()
	n.taken = true
	if n.leave != nil {
		n.leave()
	}
	n.mu.Unlock()
	for {
		n.mu.Lock()
		ended, more := !n.ended.IsZero(), n.more
		n.mu.Unlock()
		if ended {
			desk.WriteJSON(w, http.StatusOK, j.describe(r.Context(), n))
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}
