// Package standing says how a task stands that has not been delivered yet: its place in
// the queue, when it may be done, and which miners were passed over and why. It also says
// how a payer takes such a task back.
//
// It is the words between coordinator and client for this, and must not hold a rule of
// who is served when: that is the coordinator's.
package standing

import (
	"crypto/ed25519"
	"time"

	"github.com/essaim/essaim"
)

// Standing is what is known of a task under way.
type Standing struct {
	Task    essaim.Digest    `json:"task"`
	State   essaim.TaskState `json:"state"`
	Place   int              `json:"place,omitempty"` // in the queue of its model's tasks, from 1; 0: it does not wait
	Waiting int              `json:"waiting"`         // tasks of its model that wait, itself among them
	Miner   essaim.NodeKey   `json:"miner"`           // that has it now; zero: none
	Since   time.Time        `json:"since"`           // when it was handed in

	// ETA is when it may be delivered, by how long the model's tasks took lately; zero: nothing is known.
	ETA time.Time `json:"eta,omitzero"`

	WhyNot []Skipped `json:"why_not"`          // miners that do not get it now, at most MaxSkipped
	Others int       `json:"others,omitempty"` // connected miners that do not run the model
}

// Skipped is a miner that does not get a task now.
type Skipped struct {
	Miner essaim.NodeKey `json:"miner"`
	Why   string         `json:"why"`
}

// MaxSkipped bounds the miners that are named.
const MaxSkipped = 32

// ErrCancelled is how a task ends that was taken back. Nothing is charged for it.
var ErrCancelled error = &essaim.Error{Code: essaim.CodeConflict, Msg: "the task was cancelled; nothing was charged"}

// cancelDomain keeps the signature from being one of anything else.
const cancelDomain = "essaim cancel task v1\n"

func cancelBytes(chainID string, task essaim.Digest) []byte {
	return append([]byte(cancelDomain+chainID+"\n"), task[:]...)
}

// SignCancel takes a task back, with the key that has signed it.
func SignCancel(chainID string, task essaim.Digest, key ed25519.PrivateKey) []byte {
	return ed25519.Sign(key, cancelBytes(chainID, task))
}

// CheckCancel checks a signature of SignCancel by the session's key.
//
// Errors: CodeRefused.
func CheckCancel(chainID string, task essaim.Digest, sessionKey essaim.NodeKey, sig []byte) error {
	if !sessionKey.Verify(cancelBytes(chainID, task), sig) {
		return essaim.Errorf(essaim.CodeRefused, "cancel with the key that has signed the task", "the cancellation of task %s is not signed by its session's key", task.Short())
	}
	return nil
}
