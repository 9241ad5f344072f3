// Package jobs keeps requests apart from the connections that they came by, for users of
// API keys: a request with an Idempotency-Key is done once however often it is sent, its
// answer can be taken up where a connection was cut (Last-Event-ID), waited for (Prefer:
// respond-async), followed, cancelled, and reported to a webhook. It does so for every
// dialect alike, around its handler.
//
// Answers are kept in memory for a while and nowhere else. What was paid for a request outlives
// the program in the books of API keys (package once), so that it is not paid again. The package must not know a
// dialect, tasks or money: what is paid and refunded is package desk's. A Jobs is safe for
// concurrent use.
package jobs

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/gateway/once"
)

// The paths below the gateway's URL.
const (
	PathJobs   = "/essaim/v1/jobs"
	PathSecret = "/essaim/v1/webhook-secret"
)

const (
	headerKey     = "Idempotency-Key"
	headerWebhook = "X-Essaim-Webhook"
	headerReplay  = "X-Essaim-Replayed" // the answer is that of an earlier request

	maxKey    = 255              // characters of an Idempotency-Key
	maxOf     = 256              // jobs that are kept of one API key
	maxKept   = 4096             // of all
	maxBytes  = 256 << 20        // of all answers, and of requests under way; when there are more, the oldest answers are forgotten
	maxAnswer = 64 << 20         // of one
	keptFor   = 15 * time.Minute // after the end
)

// Config says what a Jobs works with.
type Config struct {
	Authenticate func(*http.Request) (apikey.Key, error)
	Coordinator  client.Coordinator

	// Repeat says whether a request with an Idempotency-Key may be done, and fills in what of it was done before: see
	// once.Request.Decide. free is called when the request is over. nil: all that is known is in memory.
	Repeat func(context.Context, *once.Request) (free func(), err error)

	Halt context.Context // ends when requests under way must end
	Log  *slog.Logger

	// Private lets webhooks go to addresses of private networks and by plain HTTP, for a network on one machine.
	Private bool
	// Pause is waited before the n-th try of a webhook, from 1; nil: seconds, then minutes.
	Pause func(n int) time.Duration
}

// Jobs holds the requests. Make it with New.
type Jobs struct {
	cfg   Config
	hooks *http.Client
	group sync.WaitGroup

	mu    sync.Mutex
	list  map[name]*job
	order []*job // oldest first
	bytes int    // of all answers, and of the requests under way
}

// name is a job's: what its key's user calls it.
type name struct{ key, id string }

// New makes a keeper of jobs. It starts nothing.
func New(cfg Config) *Jobs {
	if cfg.Pause == nil {
		cfg.Pause = func(n int) time.Duration { return time.Duration(n*n*n*n) * time.Second }
	}
	return &Jobs{cfg: cfg, hooks: newHooks(cfg.Private), list: map[name]*job{}}
}

// Wait returns when no job is under way and every webhook was told or given up; Halt ends both.
func (j *Jobs) Wait() { j.group.Wait() }

// Routes adds the paths of jobs.
func (j *Jobs) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathJobs+"/{id}", j.show)
	mux.HandleFunc("GET "+PathJobs+"/{id}/answer", j.answer)
	mux.HandleFunc("POST "+PathJobs+"/{id}/cancel", j.cancel)
	mux.HandleFunc("GET "+PathSecret, j.secret)
}

// Wrap makes jobs of those of a handler's requests that ask for it.
func (j *Jobs) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		async := strings.Contains(r.Header.Get("Prefer"), "respond-async")
		if r.Method != http.MethodPost || !async && r.Header.Get(headerKey) == "" && r.Header.Get(headerWebhook) == "" {
			next.ServeHTTP(w, r)
			return
		}
		n, isNew, err := j.take(w, r, next)
		switch {
		case err != nil:
			j.fail(w, err)
		case async:
			w.Header().Set("Location", PathJobs+"/"+n.name.id)
			w.Header().Set("Preference-Applied", "respond-async")
			desk.WriteJSON(w, http.StatusAccepted, j.describe(r.Context(), n))
		default:
			if !isNew {
				w.Header().Set(headerReplay, "true")
			}
			n.serve(w, r)
		}
	})
}

// take finds the job that a request belongs to, or begins it.
//
// Errors: CodeRefused for a wrong key, CodeBadInput for a request that cannot be read, or
// that uses another's Idempotency-Key; CodeUnavailable if there are too many jobs.
func (j *Jobs) take(w http.ResponseWriter, r *http.Request, next http.Handler) (n *job, isNew bool, err error) {
	key, err := j.cfg.Authenticate(r)
	if err != nil {
		return nil, false, err
	}
	id := r.Header.Get(headerKey)
	if id == "" {
		id = rand.Text()
	}
	if len(id) > maxKey || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' || c == '/' }) {
		return nil, false, essaim.Errorf(essaim.CodeBadInput, "up to 255 printable characters without spaces and slashes", "the Idempotency-Key cannot be used")
	}
	hook := r.Header.Get(headerWebhook)
	if hook != "" {
		if err := j.checkHook(hook); err != nil {
			return nil, false, err
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, desk.MaxPicture))
	if err != nil {
		return nil, false, desk.Unread(err, "send it whole")
	}
	desk.SetReadDeadline(w, time.Time{})
	n = &job{name: name{key.ID, id}, created: time.Now(), hook: hook, secret: secretOf(bearer(r)), more: make(chan struct{}), header: http.Header{}}
	n.asked, n.once = askedOf(n.secret, r.URL.Path, body), r.Header.Get(headerKey) != ""
	have, err := j.enter(n, len(body))
	if have != nil || err != nil {
		return have, false, err
	}
	j.group.Add(1)
	go j.run(n, r, body, next)
	return n, true, nil
}

// askedOf is what a request is known by. It goes to the disk: without the user's secret nobody finds out by it which of the
// bodies that he can think of was sent.
func askedOf(secret []byte, path string, body []byte) (sum essaim.Digest) {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(path + "\n"))
	mac.Write(body)
	mac.Sum(sum[:0])
	return sum
}

// enter keeps a new job with a request of so many bytes, or finds the one that has its name.
func (j *Jobs) enter(n *job, size int) (have *job, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forget()
	if have := j.list[n.name]; have != nil {
		switch {
		case have.undone():
			j.drop(have)
		case have.asked != n.asked:
			return nil, once.ErrOther
		default:
			return have, nil
		}
	}
	own := 0
	for _, o := range j.order {
		if o.name.key == n.name.key {
			own++
		}
	}
	if own >= maxOf || len(j.order) >= maxKept || j.bytes+size > maxBytes {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "wait for some to be forgotten", "%d requests of this key are kept: %w", own, apikey.ErrBusy)
	}
	j.bytes += size
	j.list[n.name] = n
	j.order = append(j.order, n)
	return nil, nil
}

// forget drops what was done long ago, and the oldest when there is too much. The lock is
// held.
func (j *Jobs) forget() {
	kept := j.order[:0]
	for _, o := range j.order {
		size, ended := o.size()
		if !ended.IsZero() && (time.Since(ended) > keptFor || j.bytes > maxBytes) {
			j.bytes -= size
			delete(j.list, o.name)
			continue
		}
		kept = append(kept, o)
	}
	clear(j.order[len(kept):])
	j.order = kept
}

// drop forgets a job that is over. The lock is held.
func (j *Jobs) drop(o *job) {
	size, _ := o.size()
	j.bytes -= size
	delete(j.list, o.name)
	j.order = slices.DeleteFunc(j.order, func(x *job) bool { return x == o })
}

// run has a job done: the handler sees a client that never leaves.
func (j *Jobs) run(n *job, r *http.Request, body []byte, next http.Handler) {
	defer j.group.Done()
	left, leave := context.WithCancel(j.cfg.Halt)
	defer leave()
	n.mu.Lock()
	n.leave = leave
	taken := n.taken
	n.mu.Unlock()
	if taken {
		leave() // cancelled before it has begun
	}
	ctx := desk.WithWatch(context.WithoutCancel(r.Context()), &desk.Watch{Task: n.named, Left: left})
	again := r.Clone(ctx)
	again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	func() {
		defer func() {
			if p := recover(); p != nil {
				j.cfg.Log.Error("panic in a job", "route", r.Pattern, "panic", p)
				n.abort()
			}
		}()
		j.do(n, again, next)
	}()
	n.end()
	size, _ := n.size()
	j.mu.Lock()
	j.bytes += size - len(body)
	j.mu.Unlock()
	if n.hook != "" {
		j.group.Go(func() { j.tell(n) })
	}
}

// do does a job, unless it was done by an earlier run of the program, or by this one, which has forgotten it.
func (j *Jobs) do(n *job, r *http.Request, next http.Handler) {
	w := n.writer()
	if n.once && j.cfg.Repeat != nil {
		asked := &once.Request{Key: n.name.key, ID: n.name.id, Asked: n.asked}
		free, err := j.cfg.Repeat(r.Context(), asked)
		if err != nil {
			n.mu.Lock()
			n.refused = true
			n.mu.Unlock()
			j.fail(w, err)
			return
		}
		defer free()
		if len(asked.Done) > 0 {
			w.Header().Set(headerReplay, "true")
		}
		r = r.WithContext(once.With(r.Context(), asked))
	}
	next.ServeHTTP(w, r)
}

// find is the job that a request names, of its own key.
func (j *Jobs) find(r *http.Request) (*job, error) {
	key, err := j.cfg.Authenticate(r)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.list[name{key.ID, r.PathValue("id")}]
	if n == nil {
		return nil, essaim.Errorf(essaim.CodeNotFound, "an answer is kept for a quarter of an hour", "there is no job %.100q", r.PathValue("id"))
	}
	return n, nil
}

func (j *Jobs) fail(w http.ResponseWriter, err error) {
	desk.TellLater(w, err)
	status, f := desk.FaultOf(err)
	desk.WriteJSON(w, status, map[string]desk.Fault{"error": f})
}
