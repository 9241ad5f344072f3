// Package share says what a coordinator must know of the other instances of itself, and is that of one without others. It
// stands apart so that a coordinator builds and tests without the database that instances share.
package share

import (
	"context"
	"crypto/rand"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/transport"
)

// Share is an instance's part of a coordinator: the log that all instances have, and the sessions that are this one's. Package
// cluster has one for several.
type Share interface {
	// Store is the log. What is written to it by an instance that the others have given up fails.
	Store() (*receiptlog.Log, error)

	// Own takes a session, unless another instance has it. took is called once when it was taken, before anybody else gets
	// it by Own.
	//
	// Errors: CodeUnavailable if another instance has it.
	Own(ctx context.Context, id essaim.SessionID, took func() error) error

	// Drop gives up a session that is over.
	Drop(id essaim.SessionID)

	// Others lists the sessions that other instances have.
	Others(ctx context.Context) (map[essaim.SessionID]bool, error)

	// Serve says where miners reach this instance.
	Serve(peers []string)

	// ID names this run of the instance.
	ID() string

	// Places lists where miners reach the instances, this one among them, and at which change that was. Nil: nothing has changed since seen, or
	// there is one only.
	Places(seen uint64) (list []transport.Instance, at uint64)

	// Instances is how many there are, this one among them.
	Instances() int

	// Lost is closed when this instance was given up; Why says why.
	Lost() <-chan struct{}
	Why() error
}

// Alone is an instance without others, and the path of its log.
type Alone string

// Store opens the log.
func (a Alone) Store() (*receiptlog.Log, error) { return receiptlog.Open(string(a)) }

// Own does nothing: all sessions are this instance's.
func (Alone) Own(context.Context, essaim.SessionID, func() error) error { return nil }

// Drop does nothing.
func (Alone) Drop(essaim.SessionID) {}

// Others lists none.
func (Alone) Others(context.Context) (map[essaim.SessionID]bool, error) { return nil, nil }

// Serve does nothing: there is nobody to tell.
func (Alone) Serve([]string) {}

// ID is another one each time.
func (Alone) ID() string { return rand.Text() }

// Places has nothing to tell.
func (Alone) Places(seen uint64) ([]transport.Instance, uint64) { return nil, seen }

// Instances is 1.
func (Alone) Instances() int { return 1 }

// Lost is never closed.
func (Alone) Lost() <-chan struct{} { return nil }

// Why is nil.
func (Alone) Why() error { return nil }
