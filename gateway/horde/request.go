package horde

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
)

// request is one that was accepted.
type request struct {
	id    string
	key   string // ID of its API key
	n     int    // pictures that are wanted
	model string
	links bool   // pictures are told as links
	base  string // of the links
	leave context.CancelFunc
	done  chan struct{} // closed when it has ended

	mu       sync.Mutex
	tasks    []essaim.Digest
	pictures []desk.Picture
	cost     essaim.Amount
	err      error
	ended    time.Time // zero: under way
}

// newID is a random UUID: who has it may follow the request. Of several instances it ends with the key's ID, so that the one that has the key is found.
func (api *API) newID(key string) string {
	var b [16]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	id := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	if api.cfg.Shared {
		id += "." + key
	}
	return id
}

// KeyOf is the ID of the key of which a request follows another one, by that one's ID; "": of none.
func KeyOf(r *http.Request) string {
	id, ok := strings.CutPrefix(r.URL.Path, "/api/v2/generate/")
	if !ok {
		return ""
	}
	_, key, _ := strings.Cut(id, ".")
	return key
}

// begin keeps a request and has it done.
//
// Errors: CodeUnavailable if there are too many.
func (api *API) begin(key apikey.Key, o desk.Order, links bool, base string) (*request, error) {
	left, leave := context.WithCancel(api.cfg.Halt)
	n := &request{id: api.newID(key.ID), key: key.ID, n: o.N, model: o.Model.Name, links: links, base: base, leave: leave, done: make(chan struct{})}
	if err := api.enter(n); err != nil {
		leave()
		return nil, err
	}
	ctx := desk.WithWatch(context.WithoutCancel(api.cfg.Halt), &desk.Watch{Task: n.named, Left: left})
	api.group.Go(func() {
		defer leave()
		defer close(n.done)
		pictures, cost, err := api.fill(ctx, key, o)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.pictures, n.cost, n.err, n.ended = pictures, cost, err, time.Now()
	})
	return n, nil
}

// fill is the desk's, with a net under panics.
func (api *API) fill(ctx context.Context, key apikey.Key, o desk.Order) (p []desk.Picture, cost essaim.Amount, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = essaim.Errorf(essaim.CodeInternal, "", "panic in a picture: %v", x)
		}
	}()
	return api.cfg.Desk.Fill(ctx, key, o)
}

func (api *API) enter(n *request) error {
	api.mu.Lock()
	defer api.mu.Unlock()
	kept, own := api.order[:0], 0
	for _, o := range api.order {
		if ended := o.endedAt(); !ended.IsZero() && time.Since(ended) > keptFor {
			delete(api.list, o.id)
			continue
		}
		if kept = append(kept, o); o.key == n.key {
			own++
		}
	}
	clear(api.order[len(kept):])
	api.order = kept
	if own >= maxOf || len(kept) >= maxKept {
		return essaim.Errorf(essaim.CodeUnavailable, "wait for some to be forgotten", "%d requests of this key are kept: %w", own, apikey.ErrBusy)
	}
	api.list[n.id] = n
	api.order = append(api.order, n)
	return nil
}

func (n *request) named(task essaim.Digest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tasks = append(n.tasks, task)
}

func (n *request) endedAt() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ended
}

// check is what the dialect tells of a request.
type check struct {
	Finished   int     `json:"finished"`
	Processing int     `json:"processing"`
	Restarted  int     `json:"restarted"`
	Waiting    int     `json:"waiting"`
	Done       bool    `json:"done"`
	Faulted    bool    `json:"faulted"`
	Wait       int     `json:"wait_time"`      // seconds until the last may be done; 0: nobody knows
	Place      int     `json:"queue_position"` // of the last; 0: none waits
	Kudos      float64 `json:"kudos"`          // AIM that were spent
	Possible   bool    `json:"is_possible"`
	Message    string  `json:"message,omitempty"` // ours: why it has faulted
}

type generation struct {
	WorkerID   string  `json:"worker_id"`
	WorkerName string  `json:"worker_name"`
	Model      string  `json:"model"`
	State      string  `json:"state"`
	Image      any     `json:"img"` // a link, or base64
	Seed       string  `json:"seed"`
	ID         string  `json:"id"`
	Censored   bool    `json:"censored"`
	Metadata   []any   `json:"gen_metadata"`
	Kudos      float64 `json:"kudos"`

	Essaim desk.PictureOrigin `json:"essaim"` // ours
}

type status struct {
	check
	Generations []generation `json:"generations"`
	Shared      bool         `json:"shared"`
}

func (api *API) look(ctx context.Context, n *request) check {
	n.mu.Lock()
	c := check{Finished: len(n.pictures), Done: !n.ended.IsZero(), Kudos: kudos(n.cost), Possible: true}
	tasks := append([]essaim.Digest(nil), n.tasks...)
	if c.Done && c.Finished < n.n {
		c.Faulted = c.Finished == 0
		if n.err != nil {
			_, f := desk.FaultOf(n.err)
			c.Message = f.Message
		}
	}
	n.mu.Unlock()
	if c.Done {
		return c
	}
	c.Processing = n.n
	w, ok := api.cfg.Coordinator.(client.Waiting)
	if !ok {
		return c
	}
	for _, t := range tasks {
		s, err := w.Standing(ctx, t)
		if err != nil {
			continue // it is over, or not there yet
		}
		if s.Place > 0 {
			c.Processing, c.Waiting, c.Place = c.Processing-1, c.Waiting+1, max(c.Place, s.Place)
		}
		if left := time.Until(s.ETA); !s.ETA.IsZero() {
			c.Wait = max(c.Wait, int(left.Seconds()))
		}
	}
	c.Processing = max(0, c.Processing)
	return c
}

func (api *API) tell(ctx context.Context, n *request) status {
	out := status{check: api.look(ctx, n), Generations: []generation{}}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.pictures {
		g := generation{
			WorkerID: p.Origin.Miner.String(), WorkerName: "miner " + p.Origin.Miner.Short(), Model: n.model, State: "ok", Image: p.Data,
			Seed: strconv.FormatUint(p.Origin.Seed, 10), ID: p.Origin.Task.String(), Metadata: []any{}, Kudos: kudos(p.Origin.Price), Essaim: p.Origin,
		}
		if n.links {
			g.Image = n.base + "/ipfs/" + p.Origin.CID
		}
		out.Generations = append(out.Generations, g)
	}
	return out
}

// find is the request that a path names.
func (api *API) find(w http.ResponseWriter, r *http.Request) *request {
	api.mu.Lock()
	defer api.mu.Unlock()
	n := api.list[r.PathValue("id")]
	if n == nil {
		refuse(w, http.StatusNotFound, "RequestNotFound", "there is no such request; one is kept for twenty minutes")
	}
	return n
}

func (api *API) check(w http.ResponseWriter, r *http.Request) {
	if n := api.find(w, r); n != nil {
		desk.WriteJSON(w, http.StatusOK, api.look(r.Context(), n))
	}
}

func (api *API) status(w http.ResponseWriter, r *http.Request) {
	if n := api.find(w, r); n != nil {
		desk.WriteJSON(w, http.StatusOK, api.tell(r.Context(), n))
	}
}

// cancel takes a request back, and answers when it has ended: what was not drawn is not charged.
func (api *API) cancel(w http.ResponseWriter, r *http.Request) {
	n := api.find(w, r)
	if n == nil {
		return
	}
	n.leave()
	select {
	case <-n.done:
		desk.WriteJSON(w, http.StatusOK, api.tell(r.Context(), n))
	case <-r.Context().Done():
	}
}
