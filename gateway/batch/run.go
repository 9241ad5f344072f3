package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/desk"
)

const (
	atOnce    = 4        // lines of a batch that are under way
	tries     = 8        // of a line that nobody could do
	maxAnswer = 16 << 20 // bytes of an answer
)

// line is one of a batch's input.
type line struct {
	Custom string          `json:"custom_id"`
	Method string          `json:"method"`
	URL    string          `json:"url"`
	Body   json.RawMessage `json:"body"`
}

// result is one of its output.
type result struct {
	ID       string    `json:"id"`
	Custom   string    `json:"custom_id"`
	Response *response `json:"response"`
	Error    any       `json:"error"`
	Essaim   *receipt  `json:"essaim,omitempty"`
}

type response struct {
	Status  int             `json:"status_code"`
	Request string          `json:"request_id"`
	Body    json.RawMessage `json:"body"`
}

// receipt is ours: what the answer's header says of its tasks.
type receipt struct {
	Receipt string        `json:"receipt"`
	Miner   string        `json:"miner"`
	Cost    essaim.Amount `json:"cost"` // uaim
}

// check looks at every line of an input.
//
// Errors: CodeBadInput, naming the line.
func (api *API) check(id, endpoint string) (n int, err error) {
	seen := map[string]bool{}
	bad := func(hint, what string, args ...any) error {
		return essaim.Errorf(essaim.CodeBadInput, hint, "line %d: %s", n, fmt.Sprintf(what, args...))
	}
	err = api.store.lines(id, func(b []byte) error {
		n++
		var l line
		var body struct{ Stream bool }
		switch err := json.Unmarshal(b, &l); {
		case n > maxLines:
			return bad("make several batches", "a batch has at most %d lines", maxLines)
		case err != nil || json.Unmarshal(l.Body, &body) != nil:
			return bad("one JSON object a line: custom_id, method, url and body", "it cannot be read")
		case l.Custom == "" || len(l.Custom) > 512 || seen[l.Custom]:
			return bad("give each line a custom_id of its own", "custom_id %.40q", l.Custom)
		case l.Method != http.MethodPost || l.URL != endpoint:
			return bad("ask POST "+endpoint, "it asks %.10s %.50q", l.Method, l.URL)
		case body.Stream:
			return bad("leave stream out", "an answer of a batch is not streamed")
		}
		seen[l.Custom] = true
		return nil
	})
	if err == nil || essaim.CodeOf(err) == essaim.CodeBadInput {
		return n, err
	}
	return n, essaim.Errorf(essaim.CodeInternal, "", "read a batch: %w", err)
}

// start has a batch done. The lock is held.
func (api *API) start(b *batch) {
	ctx, leave := context.WithDeadline(api.cfg.Halt, time.Unix(b.Expires, 0))
	b.leave, b.done = leave, make(chan struct{})
	if b.Status == cancelling {
		leave()
	}
	api.group.Go(func() {
		defer close(b.done)
		err := api.run(ctx, b)
		api.mu.Lock()
		defer api.mu.Unlock()
		api.end(ctx, b, err)
		leave()
		b.leave = nil
	})
}

// end says how a batch has ended; one that the program's end has stopped goes on later. The lock is
// held.
func (api *API) end(ctx context.Context, b *batch, err error) {
	now := time.Now().Unix()
	switch {
	case b.Status == cancelling:
		b.Status, b.Cancelled = cancelled, now
	case api.cfg.Halt.Err() != nil && b.Counts.Completed+b.Counts.Failed < b.Counts.Total:
		return
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		b.Status, b.Expired = expired, now
	case err != nil:
		api.cfg.Log.Error("a batch has failed", "batch", b.ID, "err", err)
		b.Status, b.Failed = failed, now
	default:
		b.Status, b.Completed = completed, now
	}
	for i, id := range []*string{&b.Output, &b.Errors} {
		n, name := b.Counts.Completed, "output"
		if i == 1 {
			n, name = b.Counts.Failed, "error"
		}
		if n == 0 {
			api.lost(api.store.remove(b.Out[i]))
			continue
		}
		size := int64(0)
		if err := api.store.lines(b.Out[i], func(l []byte) error { size += int64(len(l)) + 1; return nil }); err != nil {
			api.cfg.Log.Error("an output cannot be read", "batch", b.ID, "err", err)
		}
		f := &file{ID: b.Out[i], Object: "file", Bytes: size, Created: now, Expires: now + int64(keep.Seconds()), Name: b.ID + "_" + name + ".jsonl", Purpose: "batch_output", Status: "processed", Owner: b.Owner}
		if err := api.store.describe(f.ID, f.Owner, false, f); err != nil {
			api.cfg.Log.Error("an output cannot be kept", "batch", b.ID, "err", err)
		}
		api.files[f.ID], *id = f, f.ID
	}
	if err := api.store.describe(b.ID, b.Owner, b.goesOn(), b); err != nil {
		api.cfg.Log.Error("a batch cannot be kept", "batch", b.ID, "err", err)
	}
}

// outputs are the two files of a batch's answers.
type outputs struct {
	api *API
	b   *batch

	mu  sync.Mutex
	out [2]*writer // answers, and those that are none
}

// open opens the outputs, and returns which lines have one.
func (api *API) open(b *batch) (o *outputs, have map[string]bool, err error) {
	o, have = &outputs{api: api, b: b}, map[string]bool{}
	var n [2]int
	var cost essaim.Amount
	for i, id := range b.Out {
		if o.out[i], err = api.store.append(id, func(l []byte) error {
			var r result
			if err := json.Unmarshal(l, &r); err != nil {
				return err
			}
			if n[i]++; r.Essaim != nil {
				cost += r.Essaim.Cost
			}
			have[r.Custom] = true
			return nil
		}); err != nil {
			return o, nil, errors.Join(err, o.close())
		}
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	b.Counts.Completed, b.Counts.Failed, b.Essaim.Cost = n[0], n[1], cost
	return o, have, nil
}

func (o *outputs) close() (err error) {
	for _, w := range o.out {
		if w != nil {
			err = errors.Join(err, w.close())
		}
	}
	return err
}

// add keeps an answer: it is on the disk before the batch's counts say so.
func (o *outputs) add(r result) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	bad := r.Response == nil || r.Response.Status/100 != 2
	o.mu.Lock()
	defer o.mu.Unlock()
	to := o.out[0]
	if bad {
		to = o.out[1]
	}
	if err := to.add(b); err != nil {
		return err
	}
	o.api.mu.Lock()
	defer o.api.mu.Unlock()
	if c := &o.b.Counts; bad {
		c.Failed++
	} else {
		c.Completed++
	}
	if r.Essaim != nil {
		o.b.Essaim.Cost += r.Essaim.Cost
	}
	return nil
}

// run does the lines of a batch that have no answer yet.
func (api *API) run(ctx context.Context, b *batch) (err error) {
	o, have, err := api.open(b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	places := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	failed := make(chan error, 1)
	err = api.store.lines(b.Input, func(raw []byte) error {
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			return err
		}
		if have[l.Custom] {
			return nil
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-failed:
			return err
		}
		group.Go(func() {
			defer func() { <-places }()
			r, ok := api.do(ctx, b, l)
			if !ok {
				return // taken back: nothing was done, and nothing is charged
			}
			if err := o.add(r); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
		return nil
	})
	group.Wait()
	select {
	case late := <-failed:
		return errors.Join(err, late)
	default:
		return err
	}
}

// do does a line, several times if nobody could do it now. false: it was taken back.
func (api *API) do(ctx context.Context, b *batch, l line) (result, bool) {
	r := result{ID: newID("batch_req_"), Custom: l.Custom}
	for n := 1; ; n++ {
		w := api.once(ctx, b, l)
		if ctx.Err() != nil && w.status/100 != 2 {
			return r, false
		}
		again := w.status == http.StatusTooManyRequests || w.status == http.StatusServiceUnavailable
		if !again || n == tries {
			body := json.RawMessage(bytes.TrimSpace(w.body.Bytes()))
			if !json.Valid(body) {
				body = json.RawMessage(`null`)
			}
			r.Response = &response{Status: w.status, Request: w.header.Get(desk.HeaderRequest), Body: body}
			if h := w.header.Get("X-Essaim-Receipt"); h != "" {
				cost, _ := strconv.ParseUint(w.header.Get("X-Essaim-Cost"), 10, 64) // our own
				r.Essaim = &receipt{h, w.header.Get("X-Essaim-Miner"), essaim.Amount(cost)}
			}
			return r, true
		}
		select {
		case <-time.After(api.cfg.Pause(n)):
		case <-ctx.Done():
			return r, false
		}
	}
}

// once asks the dialect. The key is looked at again each time: it may have been revoked.
func (api *API) once(ctx context.Context, b *batch, l line) (w *answer) {
	w = &answer{header: http.Header{}, status: http.StatusInternalServerError}
	defer func() {
		if p := recover(); p != nil {
			api.cfg.Log.Error("panic in a line of a batch", "batch", b.ID, "panic", p)
			w.status = http.StatusInternalServerError
		}
	}()
	key, err := api.cfg.Keys.Key(ctx, b.Owner)
	if err == nil && key.Revoked {
		err = essaim.Errorf(essaim.CodeRefused, "", "the API key was revoked")
	}
	if err != nil {
		api.fail(w, err)
		return w
	}
	inner := desk.WithWatch(desk.WithKey(context.WithoutCancel(ctx), key), &desk.Watch{Task: func(essaim.Digest) {}, Left: ctx})
	r, err := http.NewRequestWithContext(inner, http.MethodPost, l.URL, bytes.NewReader(l.Body))
	if err != nil {
		api.fail(w, err)
		return w
	}
	r.Header.Set("Content-Type", "application/json")
	w.header.Set(desk.HeaderRequest, newID("")[:12])
	api.cfg.Next.ServeHTTP(w, r)
	return w
}

// answer is what a dialect has answered. It belongs to one goroutine.
type answer struct {
	header http.Header
	status int
	begun  bool
	body   bytes.Buffer
}

func (w *answer) Header() http.Header { return w.header }

func (w *answer) WriteHeader(status int) {
	if !w.begun && status >= 200 {
		w.begun, w.status = true, status
	}
}

func (w *answer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.body.Len()+len(b) > maxAnswer {
		return 0, errors.New("the answer is too long")
	}
	return w.body.Write(b)
}
