// Package outcome says what the end of an attempt means for its task and for its miner: whether
// another miner is asked, and who is to blame. It decides and does nothing: the coordinator
// offers tasks and keeps count.
package outcome

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/transport"
)

// ErrTooSlow ends an attempt that took too long.
var ErrTooSlow error = &essaim.Error{Code: essaim.CodeExpired, Msg: "the miner did not finish in time"}

// ErrDropped is why a miner is gone whose connection has ended.
var ErrDropped = errors.New("the connection dropped")

// maxReason bounds what is kept of a miner's words, in bytes.
const maxReason = 300

// Outcome is how an attempt ended.
type Outcome struct {
	Attempt essaim.Event // what happened to the attempt
	Task    essaim.Event // what that means for the task
	Why     error        // nil: delivered
	Blame   bool         // counts against the miner
	Free    bool         // does not count as one of the task's attempts
	Busy    bool         // the miner has no room just now
	Price   essaim.Amount
}

// Lost says why a miner is gone.
type Lost struct{ Cause error }

func (e Lost) Error() string { return fmt.Sprintf("it is gone: %v", e.Cause) }

// Broken is the outcome of an attempt whose stream failed: because it was withdrawn, which
// ctx's cause says, or because the miner is gone.
func Broken(ctx context.Context) Outcome {
	cause := context.Cause(ctx)
	var gone Lost
	switch {
	case cause == nil:
		return Outcome{Attempt: essaim.EventMinerLost, Task: essaim.EventMinerLost, Why: Lost{ErrDropped}, Blame: true}
	case errors.As(cause, &gone):
		return Outcome{Attempt: essaim.EventMinerLost, Task: essaim.EventMinerLost, Why: cause, Blame: true}
	case errors.Is(cause, ErrTooSlow):
		return Outcome{Attempt: essaim.EventDeadlinePassed, Task: essaim.EventMinerFailed, Why: cause, Blame: true}
	}
	// The task's own end: its deadline, the session's, or the coordinator's.
	return Outcome{Attempt: essaim.EventDeadlinePassed, Task: essaim.EventMinerFailed, Why: cause}
}

// Late is the outcome of an attempt whose commitment did not count: the round has shown its
// answers to somebody, so that no other miner can take the task either.
func Late(ctx context.Context, err error) Outcome {
	if ctx.Err() != nil {
		return Broken(ctx)
	}
	return Outcome{Attempt: essaim.EventMinerFailed, Task: essaim.EventRefused, Why: err}
}

// Failed is the outcome of an attempt that the miner itself has given up.
func Failed(f transport.Failure) Outcome {
	if len(f.Refusal.Reason) > maxReason {
		f.Refusal.Reason = strings.ToValidUTF8(f.Refusal.Reason[:maxReason], "")
	}
	out := Outcome{Attempt: essaim.EventMinerFailed, Task: essaim.EventMinerFailed, Why: f.Refusal.Err()}
	switch f.Kind {
	case transport.FailRefused:
		out.Task = essaim.EventRefused
	case transport.FailBusy:
		out.Free, out.Busy = true, true
	case transport.FailUnsealed, transport.FailDeclined:
		out.Free = true
	default:
		out.Blame = true
	}
	return out
}

// Rejected is the outcome of an attempt whose receipt does not stand the checks.
func Rejected(err error) Outcome {
	return Outcome{Attempt: essaim.EventReceiptRejected, Task: essaim.EventReceiptRejected, Why: err, Blame: true}
}
