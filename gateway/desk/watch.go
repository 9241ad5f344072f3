package desk

import (
	"context"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
)

// Watch is how somebody outside follows a request and takes it back.
type Watch struct {
	Task func(essaim.Digest) // told each task before it is handed in
	Left context.Context     // ends when the request is taken back, not when its client leaves
}

type watchKey struct{}

type ownerKey struct{}

// WithKey makes requests with a context those of a key that is known already, and need not be shown.
func WithKey(ctx context.Context, key apikey.Key) context.Context {
	return context.WithValue(ctx, ownerKey{}, key)
}

// WithWatch makes requests with a context watched.
func WithWatch(ctx context.Context, w *Watch) context.Context {
	return context.WithValue(ctx, watchKey{}, w)
}

func watchOf(ctx context.Context) *Watch {
	w, _ := ctx.Value(watchKey{}).(*Watch)
	return w
}

var errCancelled = &essaim.Error{Code: essaim.CodeConflict, Msg: "the request was cancelled; what was not delivered is not charged"}

// heed cancels the tasks of a request that is taken back. What it returns ends that.
func (d *Desk) heed(ctx context.Context, cancel func()) func() bool {
	w := watchOf(ctx)
	if w == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(w.Left, cancel)
}
