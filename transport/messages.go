package transport

import (
	"errors"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/raw"
)

// What travels on a control stream, in this order:
//
//	miner → coordinator   Hello
//	coordinator → miner   Welcome; if it holds a Refusal, the end
//	miner → coordinator   FromMiner, for ever: a beat, or a claim
//	coordinator → miner   FromCoordinator, one for each of those
//
// On a task stream, which the coordinator opens for attempts, one after the other:
//
//	coordinator → miner   Offer
//	miner → coordinator   Report with an Update, once when the attempt takes a while and once a step
//	miner → coordinator   Report with a Result, or with a Failure: the end
//	coordinator → miner   Acked; then the next Offer may follow
//
// If the task is one of several replicas, before the Result:
//
//	miner → coordinator   Report with a Commit
//	coordinator → miner   Acked with Reveal, when all have committed
//
// A reset of the stream by the coordinator withdraws the attempt. No message carries
// a prompt or a picture that is not sealed.

// Hello introduces a miner. Its node key is the connection's.
type Hello struct {
	ChainID  string             `cbor:"1,keyasint"`
	Models   []essaim.ModelInfo `cbor:"2,keyasint"` // what it runs, and UnitPrice, what it asks for it
	Capacity uint32             `cbor:"3,keyasint"` // attempts at the same time
	Beat     time.Duration      `cbor:"4,keyasint"` // nanoseconds between its beats
	Version  string             `cbor:"5,keyasint"` // of the program

	Linked []string `cbor:"6,keyasint,omitempty"` // instances of the coordinator that it is connected to, by their Welcome
}

// Welcome answers a Hello.
type Welcome struct {
	ChainID string         `cbor:"1,keyasint"`
	Offers  []essaim.Offer `cbor:"2,keyasint"`           // of the miner's, those that will get tasks
	Refusal *Refusal       `cbor:"3,keyasint,omitempty"` // nil: welcome

	Instance string `cbor:"4,keyasint,omitempty"` // names this run of the coordinator; several may have its key
}

// Refusal is an essaim.Error that travels.
type Refusal struct {
	Code   essaim.Code `cbor:"1,keyasint"`
	Reason string      `cbor:"2,keyasint"`
	Hint   string      `cbor:"3,keyasint"`
}

// Refuse makes a Refusal of an error. An internal fault's text stays here.
func Refuse(err error) *Refusal {
	if essaim.CodeOf(err) == essaim.CodeInternal {
		return &Refusal{Code: essaim.CodeInternal, Reason: "internal error", Hint: "try later"}
	}
	return &Refusal{Code: essaim.CodeOf(err), Reason: err.Error(), Hint: essaim.HintOf(err)}
}

// Err is the refusal as an error; nil for no refusal.
func (r *Refusal) Err() error {
	if r == nil {
		return nil
	}
	return &essaim.Error{Code: r.Code, Msg: r.Reason, Hint: r.Hint, Err: errPeer}
}

// errPeer is the cause of every error that the other side sent.
var errPeer = errors.New("said by the peer")

// FromMiner is a beat, and with it a claim or none.
type FromMiner struct {
	Running uint32 `cbor:"1,keyasint"`           // attempts under way
	Claim   []byte `cbor:"2,keyasint,omitempty"` // a signed receipt whose acknowledgement never arrived
}

// FromCoordinator answers a FromMiner.
type FromCoordinator struct {
	Claim    *Acked   `cbor:"1,keyasint,omitempty"` // answers the claim; nil: there was none
	Vouchers [][]byte `cbor:"2,keyasint,omitempty"` // COSE_Sign1 by sessions' keys: what payers have accepted of sessions that owe the miner
	Why      string   `cbor:"3,keyasint,omitempty"` // the miner gets no task of some model now; "": it could

	// Instances are all of the coordinator's that run now, in the first answer and whenever they have changed; nil: nothing new. Who
	// does not know the field reads over it.
	Instances []Instance `cbor:"4,keyasint,omitempty"`
}

// Instance is one of several processes with a coordinator's node key.
type Instance struct {
	Name  string   `cbor:"1,keyasint"` // as in its Welcome
	Addrs []string `cbor:"2,keyasint"` // multiaddresses at which miners reach it, each with the coordinator's peer ID
}

// Acked answers a receipt: exactly one of its fields is set.
type Acked struct {
	Ack     []byte   `cbor:"1,keyasint,omitempty"` // COSE_Sign1 by the coordinator
	Refusal *Refusal `cbor:"2,keyasint,omitempty"` // the receipt does not count
	Reveal  bool     `cbor:"3,keyasint,omitempty"` // all replicas are committed to: show the result
}

// Offer asks a miner for one attempt.
type Offer struct {
	Task      []byte        `cbor:"1,keyasint"` // COSE_Sign1 by the session's key
	Input     raw.Bytes     `cbor:"2,keyasint"` // sealed
	Attempt   uint64        `cbor:"3,keyasint"` // from 1
	UnitPrice essaim.Amount `cbor:"4,keyasint"`
	Deadline  int64         `cbor:"5,keyasint"`           // of the attempt, Unix milliseconds
	Trace     string        `cbor:"6,keyasint,omitempty"` // W3C's traceparent, of the attempt; "": nobody traces it
}

// Report is what a miner says about an attempt: exactly one of its fields is set.
type Report struct {
	Update  *Update  `cbor:"1,keyasint,omitempty"`
	Result  *Result  `cbor:"2,keyasint,omitempty"`
	Failure *Failure `cbor:"3,keyasint,omitempty"`
	Commit  *Commit  `cbor:"4,keyasint,omitempty"`
}

// Update tells how far an attempt is. Step 0 says that it has begun.
type Update struct {
	Step  uint32 `cbor:"1,keyasint"`
	Steps uint32 `cbor:"2,keyasint"`           // 0: not known
	Part  []byte `cbor:"3,keyasint,omitempty"` // of a text: what was written since the update before, by seal.Parts
}

// Commit binds a miner to its receipt before anybody shows theirs (essaim.Commit, about the
// task's input).
type Commit struct {
	Commitment essaim.Digest `cbor:"1,keyasint"`
}

// Result is a finished attempt.
type Result struct {
	Receipt []byte    `cbor:"1,keyasint"`           // COSE_Sign1 by the miner
	Sealed  raw.Bytes `cbor:"2,keyasint"`           // the encoded essaim.Output, sealed to the input's reply key
	Salt    []byte    `cbor:"3,keyasint,omitempty"` // of the commitment, if there was one
}

// FailureKind says what a coordinator does about a failure.
type FailureKind string

// The kinds of failure.
const (
	FailRefused  FailureKind = "refused"  // the task can never succeed: no other miner is asked
	FailEngine   FailureKind = "failed"   // this miner could not: another may
	FailBusy     FailureKind = "busy"     // this miner has no room, or serves this coordinator no more
	FailUnsealed FailureKind = "unsealed" // the input is not sealed to this miner
	FailDeclined FailureKind = "declined" // this miner does not want to do it: another may
)

// Failure is an attempt that has come to nothing. Its reason is safe to show and to
// keep: it never quotes a prompt.
type Failure struct {
	Kind    FailureKind `cbor:"1,keyasint"`
	Refusal Refusal     `cbor:"2,keyasint"`
}
