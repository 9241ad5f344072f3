package client

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/standing"
)

// Waiting is a Coordinator that tells those who wait how their tasks stand, and lets them
// take a task back.
type Waiting interface {
	// Standing tells how a task under way stands.
	//
	// Errors: CodeNotFound if it is not under way.
	Standing(ctx context.Context, task essaim.Digest) (standing.Standing, error)

	// Cancel takes a task back; sig is by standing.SignCancel. Nothing is charged.
	//
	// Errors: CodeNotFound if it is not under way, CodeConflict if it was delivered, or a
	// part of it shown.
	Cancel(ctx context.Context, task essaim.Digest, sig []byte) error
}

// cancelTime bounds the taking back of a task whose client leaves.
const cancelTime = 5 * time.Second

// takeBack cancels the task if it was handed in: its client leaves. It reports whether
// nothing is charged.
func (d *drawing) takeBack(ctx context.Context) bool {
	w, ok := d.s.cfg.Coordinator.(Waiting)
	if !ok || d.signed == nil {
		return d.signed == nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer cancel()
	task := d.task.Digest()
	err := w.Cancel(ctx, task, standing.SignCancel(d.s.cfg.ChainID, task, d.s.key))
	if essaim.CodeOf(err) != essaim.CodeNotFound || err == nil {
		return err == nil
	}
	r, err := d.s.cfg.Coordinator.Task(ctx, task) // it has ended by itself
	return err == nil && (r.State == essaim.TaskRefunded || r.State == essaim.TaskExpired) || err != nil && essaim.CodeOf(err) == essaim.CodeNotFound
}

// Cancel takes back a task of this session, such as one that another process waits for.
//
// Errors: those of Waiting; CodeUnavailable if the coordinator does not know of it.
func (s *Session) Cancel(ctx context.Context, task essaim.Digest) error {
	w, ok := s.cfg.Coordinator.(Waiting)
	if !ok {
		return essaim.Errorf(essaim.CodeUnavailable, "wait until the task has ended", "this coordinator cancels no tasks")
	}
	return w.Cancel(ctx, task, standing.SignCancel(s.cfg.ChainID, task, s.key))
}
