package cluster

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/standing"
)

// Local is what an instance does itself: a coordinator of this process.
type Local interface {
	client.Coordinator
	client.Waiting
}

// Router is a coordinator of several instances: what is for a session of another one goes there. Make it with NewRouter; it
// is safe for concurrent use.
type Router struct {
	Local
	member *Member

	mu   sync.Mutex
	ways map[string]*client.HTTP // by URL; guarded by mu
}

var _ Local = (*Router)(nil)

// NewRouter puts the other instances beside the one in this process.
func NewRouter(local Local, m *Member) *Router {
	return &Router{Local: local, member: m, ways: map[string]*client.HTTP{}}
}

// Idle drops the connections to the other instances that are not in use.
func (r *Router) Idle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.ways {
		w.CloseIdleConnections()
	}
}

// Info is the local instance's, with the addresses of all for miners.
func (r *Router) Info(ctx context.Context) (essaim.CoordinatorInfo, error) {
	info, err := r.Local.Info(ctx)
	info.PeerAddrs = append(info.PeerAddrs, r.member.Peers()...)
	return info, err
}

// Submit is client.Coordinator's.
func (r *Router) Submit(ctx context.Context, s essaim.Submission, progress func(essaim.Progress)) (essaim.Delivery, error) {
	d, err := r.Local.Submit(ctx, s, progress)
	if away := elsewhereIn(err); away != nil {
		err = r.at(ctx, away, func(ctx context.Context, c *client.HTTP) (err error) {
			d, err = c.Submit(ctx, s, progress)
			return err
		})
	}
	return d, err
}

// Acknowledge is client.Coordinator's.
func (r *Router) Acknowledge(ctx context.Context, voucher []byte) error {
	err := r.Local.Acknowledge(ctx, voucher)
	if away := elsewhereIn(err); away != nil {
		err = r.at(ctx, away, func(ctx context.Context, c *client.HTTP) error { return c.Acknowledge(ctx, voucher) })
	}
	return err
}

// Close is client.Coordinator's.
func (r *Router) Close(ctx context.Context, signed []byte) (essaim.Settled, error) {
	s, err := r.Local.Close(ctx, signed)
	if away := elsewhereIn(err); away != nil {
		err = r.at(ctx, away, func(ctx context.Context, c *client.HTTP) (err error) {
			s, err = c.Close(ctx, signed)
			return err
		})
	}
	return s, err
}

// Standing is client.Waiting's. Another instance is asked for a task that it has written down, a quarter of a second after it came.
func (r *Router) Standing(ctx context.Context, task essaim.Digest) (standing.Standing, error) {
	s, err := r.Local.Standing(ctx, task)
	if away := r.runs(ctx, task, err); away != nil {
		err = r.at(ctx, away, func(ctx context.Context, c *client.HTTP) (err error) {
			s, err = c.Standing(ctx, task)
			return err
		})
	}
	return s, err
}

// Cancel is client.Waiting's, as Standing.
func (r *Router) Cancel(ctx context.Context, task essaim.Digest, sig []byte) error {
	err := r.Local.Cancel(ctx, task, sig)
	if away := r.runs(ctx, task, err); away != nil {
		err = r.at(ctx, away, func(ctx context.Context, c *client.HTTP) error { return c.Cancel(ctx, task, sig) })
	}
	return err
}

// elsewhereIn is where an instance says that a session is; nil: it says nothing of the kind.
func elsewhereIn(err error) *ElsewhereError {
	var e *ElsewhereError
	if !errors.As(err, &e) || e.URL == "" {
		return nil
	}
	return e
}

// runs is where a task that this instance does not know is under way; nil: nowhere else.
func (r *Router) runs(ctx context.Context, task essaim.Digest, err error) *ElsewhereError {
	if essaim.CodeOf(err) != essaim.CodeNotFound {
		return nil
	}
	e := &ElsewhereError{}
	found := r.member.rows.QueryRow(ctx, `SELECT i.id, i.url FROM tasks AS t JOIN leases AS l ON l.session = t.session JOIN instances AS i ON i.id = l.instance
		WHERE t.digest = ? AND t.state = 'submitted' AND i.id <> ?`, task[:], r.member.id).Scan(&e.Instance, &e.URL)
	if found != nil {
		if !errors.Is(found, sql.ErrNoRows) && ctx.Err() == nil {
			r.member.log.Warn("it cannot be looked up where a task is", "err", found)
		}
		return nil
	}
	return e
}

var errGone = &essaim.Error{Code: essaim.CodeUnavailable, Msg: "the instance of the coordinator that had the session is gone", Hint: "try again in a moment"}

// at asks another instance, until it is given up.
func (r *Router) at(ctx context.Context, away *ElsewhereError, ask func(context.Context, *client.HTTP) error) error {
	way, err := r.way(away.URL)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	gone := r.member.gone(away.Instance)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-gone:
			cancel(errGone)
		case <-ended:
		}
	}()
	if err = ask(ctx, way); err != nil && errors.Is(context.Cause(ctx), errGone) {
		return errGone
	}
	return err
}

func (r *Router) way(url string) (*client.HTTP, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.ways[url]; w != nil {
		return w, nil
	}
	w, err := client.Dial(url)
	if err == nil {
		r.ways[url] = w
	}
	return w, err
}

// gone is closed when an instance was given up; nil: this one has not seen it yet.
func (m *Member) gone(instance string) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.others[instance]; o != nil {
		return o.gone
	}
	return nil
}
