package clienttest

import (
	"context"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/standing"
)

// run is a task under way.
type run struct {
	task   essaim.Task
	cancel context.CancelCauseFunc
	ended  chan struct{}
}

func (n *Network) begin(ctx context.Context, t essaim.Task) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &run{task: t, cancel: cancel, ended: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running[t.Digest()] = r
	return ctx, func() {
		cancel(nil)
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.running, t.Digest())
		close(r.ended)
	}
}

// Standing is client.Waiting's.
func (n *Network) Standing(_ context.Context, task essaim.Digest) (standing.Standing, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running[task] == nil {
		return standing.Standing{}, essaim.Errorf(essaim.CodeNotFound, "", "task %s is not under way", task.Short())
	}
	return standing.Standing{Task: task, State: essaim.TaskAssigned, WhyNot: []standing.Skipped{}}, nil
}

// Cancel is client.Waiting's.
func (n *Network) Cancel(ctx context.Context, task essaim.Digest, sig []byte) error {
	n.mu.Lock()
	r := n.running[task]
	n.mu.Unlock()
	if r == nil {
		return essaim.Errorf(essaim.CodeNotFound, "", "task %s is not under way", task.Short())
	}
	n.mu.Lock()
	key := n.sessions[r.task.Session].SessionKey
	n.mu.Unlock()
	if err := standing.CheckCancel(ChainID, task, key, sig); err != nil {
		return err
	}
	r.cancel(standing.ErrCancelled)
	select {
	case <-r.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.records[task] != nil {
		return essaim.Errorf(essaim.CodeConflict, "", "task %s was delivered first", task.Short())
	}
	return nil
}
