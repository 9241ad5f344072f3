// Package client is the Go SDK: sessions, pictures and receipts, for the CLI, bots,
// the gateway and other people's programs.
//
// A Session is money in escrow on the ledger and the key that spends it. Draw asks
// for a picture: it takes a quote, compares each offered miner's sealing key with
// the ledger's, seals the prompt to those miners, signs a task, and believes nothing
// that comes back: signatures, task, prices, digests and pixels are all checked
// before a Picture is returned, and before its receipt is acknowledged. A coordinator that lies can waste time; it cannot
// read the prompt, swap the picture or charge more than the task's maximum price.
//
// The coordinator is reached in the same process, or through Dial over HTTP; the
// ledger through an adapter that the caller brings, with the payer's wallet inside.
// The package must not import a role, the chain or its SDK, and must not write
// prompts or keys anywhere.
//
// Sessions and HTTP are safe for concurrent use. No function starts a goroutine that
// outlives it.
package client

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

// Coordinator is what a client asks of a coordinator. coordinator.Coordinator is
// one in process, HTTP is one over the network.
type Coordinator interface {
	// Info introduces the coordinator.
	Info(ctx context.Context) (essaim.CoordinatorInfo, error)

	// Quote says what a task would cost and who would run it.
	//
	// Errors: CodeUnavailable if no connected miner can.
	Quote(ctx context.Context, q essaim.QuoteRequest) (essaim.Quote, error)

	// Submit hands in a task and returns when it is delivered. Submitting the same
	// task again continues it or returns its delivery; it is never charged twice.
	// progress may be nil; it is called from one goroutine at a time and must not
	// block.
	//
	// Errors: retryable ones mean that the same task, sealed to fresh candidates,
	// may succeed.
	Submit(ctx context.Context, s essaim.Submission, progress func(essaim.Progress)) (essaim.Delivery, error)

	// Acknowledge hands in what a session's payer has accepted so far; voucher is by
	// essaim.SignVoucher. Of several the highest counts, in whatever order they come.
	Acknowledge(ctx context.Context, voucher []byte) error

	// Close settles a session now. signedClose is by essaim.SignClose.
	Close(ctx context.Context, signedClose []byte) (essaim.Settled, error)

	// Task tells what the coordinator knows of a task.
	Task(ctx context.Context, d essaim.Digest) (essaim.TaskRecord, error)
}

// Ledger is what a client asks of the ledger. The payer's wallet is bound to it.
type Ledger interface {
	// OpenSession moves deposit into escrow for a coordinator and authorises
	// sessionKey to spend it until height expiry. It returns once the transaction
	// is committed.
	OpenSession(ctx context.Context, coordinator essaim.NodeKey, deposit essaim.Amount, sessionKey essaim.NodeKey, expiry int64) (essaim.SessionID, essaim.Tx, error)

	// TopUp adds to an open session's deposit and returns what it is now, once the
	// transaction is committed.
	TopUp(ctx context.Context, id essaim.SessionID, amount essaim.Amount) (essaim.Amount, essaim.Tx, error)

	// Session returns the ledger's record of a session.
	Session(ctx context.Context, id essaim.SessionID) (essaim.Session, error)

	// Actor returns a registered miner or coordinator.
	//
	// Errors: CodeNotFound if the key is not registered.
	Actor(ctx context.Context, key essaim.NodeKey) (essaim.Actor, error)

	// Height is the newest committed height.
	Height(ctx context.Context) (int64, error)
}

// Config says where a session's coordinator and ledger are.
type Config struct {
	Coordinator Coordinator
	Ledger      Ledger
	ChainID     string // the ledger's; a coordinator of another chain is refused

	// Plan says what a model reads out of a prompt (engine.Planner), for the signed task; nil, or zero: nothing is said
	// of it. A result of a task without a plan cannot be disputed for having read another prompt.
	Plan func(r engine.Request) essaim.Digest

	// Proofs checks the proofs of pictures before they are accepted; nil: none is asked for.
	Proofs Proofs

	// Limit is the most that the session may spend, if that is less than its deposit: no
	// task is signed beyond it. 0: the deposit, or what the saved session says.
	Limit essaim.Amount

	// Key is the key of a session that is opened; nil: a fresh one. See Adopt.
	Key ed25519.PrivateKey
}

// Request asks for a picture, or for what else a model does: see Chat and Embed.
type Request struct {
	Kind     essaim.Kind // "": a picture
	Model    essaim.Digest
	Prompt   string // UTF-8, of a length that Kind.CheckPrompt takes; only the miner sees it
	Seed     uint64
	Width    uint32        // pixels; 0: the model's default
	Height   uint32        // pixels; 0: the model's default
	Steps    uint32        // 0: the model's default
	Units    uint64        // that the model's meter may count at most; 0: the model has none
	MaxPrice essaim.Amount // 0: what the first quote says
	Deadline time.Time     // zero: DefaultTime from now

	// Consent lets the coordinator read the prompt, should the picture be drawn for an audit,
	// and seal it to the verifier. Without it the client must stay (Session.Attend).
	Consent bool

	// Unproven asks for no proof of a picture, where one could be had.
	Unproven bool

	// Init is a picture to begin with, a PNG or JPEG file of up to essaim.MaxInit bytes, and Strength how much
	// of it may change, in thousandths; nil: none. Only the miner sees it.
	Init     []byte
	Strength uint32

	// Preview is called with up to Previews pictures, as PNG files, while the one that is asked for is
	// being drawn, from one goroutine at a time; nil: nobody is. They are the miner's word alone: no
	// receipt speaks of them. A task that has shown one cannot be taken back any more.
	Preview  func(file []byte)
	Previews uint32

	// Written is called with what a chat writes, in order, while it does, from one goroutine at
	// a time; nil: nobody is. After an error it may have been called with what is no answer.
	Written func(text string)

	// Conversation names what the task goes on with: see essaim.QuoteRequest. "": nothing.
	Conversation string

	// Lane is where the task waits; it counts only in the coordinator's own process.
	Lane Lane

	// Signed is told the task before anybody else sees it, so that what becomes of it can
	// be asked for whatever happens; nil: nobody is. Its error ends the draw.
	Signed func(task essaim.Digest) error
}

// Lane is where a task waits: with those that are For the same, who take turns with others, or after all others.
type Lane struct {
	For  string
	Last bool
}

// DefaultTime is how long a picture may take if the request does not say.
const DefaultTime = 5 * time.Minute

// Picture is a finished picture, or what else was asked for; every claim in it was checked.
type Picture struct {
	Data        []byte // the file
	MediaType   string // "image/png" or "image/jpeg", or of package engine
	Warnings    []string
	Receipt     essaim.Receipt
	ReceiptFile []byte // an encoded essaim.ReceiptFile: keep it, it is the proof
	Task        essaim.Task
	CID         string // of Data

	Proof   []byte        // that the model draws this; it was checked. Nil: none was asked for
	Checked time.Duration // that checking it took

	input []byte // encoded; for Attend
}
