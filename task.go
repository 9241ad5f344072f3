package essaim

import (
	"fmt"
	"math"
	"strings"
)

// Kind says what sort of work a task is. Kinds are part of signed objects: add to
// the list, never rename.
type Kind string

// The kinds.
const (
	KindImage Kind = "image"      // text to picture
	KindEmbed Kind = "text.embed" // text to a vector that is near those of like meaning
	KindChat  Kind = "text.chat"  // conversation to its next message
)

// Limits of what may be asked.
const (
	// MaxPrompt bounds a prompt, in bytes.
	MaxPrompt = 4 << 10

	// MaxInit bounds Input.Init, in bytes: with a prompt it fits a padded envelope of 64 KiB.
	MaxInit = 56 << 10

	// MaxChat bounds a conversation, in bytes of its JSON.
	MaxChat = 64<<10 - 2<<10 // with salt and reply key it fits a padded envelope of 64 KiB

	// MaxWritten bounds Task.Steps of kinds that write, in tokens.
	MaxWritten = 1 << 20

	// MaxSide bounds a picture's width and height, in pixels.
	MaxSide = 4096

	taskVersion = 1
)

// What Task.Verify may ask for, besides "": the receipt only.
const (
	// VerifyProof asks for a proof that comes with the result, and whose digest the receipt has.
	VerifyProof = "proof"

	// VerifyReplicas and a number ask for as many results, by miners of different owners.
	VerifyReplicas = "replica:"
)

// Task is what is wanted: one unit of work inside a session, signed by the session's
// key. It names its input by digest only, so whoever carries it cannot read it.
type Task struct {
	Version  uint64    `cbor:"1,keyasint" json:"version"`
	ChainID  string    `cbor:"2,keyasint" json:"chain_id"`
	Session  SessionID `cbor:"3,keyasint" json:"session"`
	Seq      uint64    `cbor:"4,keyasint" json:"seq"` // unique inside the session, from 1
	Kind     Kind      `cbor:"5,keyasint" json:"kind"`
	Model    Digest    `cbor:"6,keyasint" json:"model"`
	Input    Digest    `cbor:"7,keyasint" json:"input"` // of the encoded Input
	Seed     uint64    `cbor:"8,keyasint" json:"seed"`
	Width    uint32    `cbor:"9,keyasint" json:"width"`      // pixels; 0: the model's default
	Height   uint32    `cbor:"10,keyasint" json:"height"`    // pixels; 0: the model's default
	Steps    uint32    `cbor:"11,keyasint" json:"steps"`     // sampling steps; of a chat the most tokens that may be written. 0: the model's default
	MaxPrice Amount    `cbor:"12,keyasint" json:"max_price"` // what the payer will pay at most
	Verify   string    `cbor:"13,keyasint" json:"verify"`    // verification asked for: VerifyProof, VerifyReplicas with a number; "": receipt only
	Deadline int64     `cbor:"14,keyasint" json:"deadline"`  // Unix milliseconds

	// MaxUnits is the most that the work may be metered at, for models whose meter tells it
	// afterwards; 0: the task is one unit.
	MaxUnits uint64 `cbor:"15,keyasint,omitempty" json:"max_units,omitempty"`

	Plan Digest `cbor:"16,keyasint" json:"plan"` // salted commitment to what the model reads out of the prompt; zero: none
}

// NewTask fills in the version.
func NewTask(chainID string, session SessionID, seq uint64) Task {
	return Task{Version: taskVersion, ChainID: chainID, Session: session, Seq: seq}
}

// Digest names the task: SHA-256 of its deterministic CBOR encoding.
func (t Task) Digest() Digest {
	c := coders.Get().(*coder)
	t.fields(c)
	return c.digest()
}

// Units is how much work a task is priced at, at the most. It is known before the task runs,
// and is what is reserved.
func (t Task) Units() uint64 { return max(1, t.MaxUnits) }

// Counts reports whether a receipt may count so many units of a task: exactly one, or of a
// metered task at least one and at most what it allows.
func (t Task) Counts(units uint64) bool { return units >= 1 && units <= t.Units() }

// Replicated reports whether the task is one of several of one request, whose results are committed to before any is
// shown.
func (t Task) Replicated() bool { return strings.HasPrefix(t.Verify, VerifyReplicas) }

// Check refuses what no miner should ever see.
//
// Errors: CodeBadInput.
func (t Task) Check() error {
	switch {
	case t.Version != taskVersion:
		return Errorf(CodeBadInput, "upgrade the older of the two programs", "task version %d is not known", t.Version)
	case t.Kind != KindImage && t.Kind != KindEmbed && t.Kind != KindChat:
		return Errorf(CodeBadInput, fmt.Sprintf("ask for kind %q, %q or %q", KindImage, KindEmbed, KindChat), "task kind %q is not known", t.Kind)
	case t.Seq == 0 || t.Seq > math.MaxInt64:
		return Errorf(CodeBadInput, "number a session's tasks from 1", "task has no sequence number")
	case t.Input.IsZero() || t.Model.IsZero():
		return Errorf(CodeBadInput, "fill in both digests", "task has no input or no model")
	case t.Width > MaxSide || t.Height > MaxSide:
		return Errorf(CodeBadInput, fmt.Sprintf("at most %d pixels a side", MaxSide), "picture of %dx%d is too large", t.Width, t.Height)
	case t.Kind == KindChat && t.Steps > MaxWritten:
		return Errorf(CodeBadInput, fmt.Sprintf("at most %d tokens", MaxWritten), "an answer of %d tokens is too long", t.Steps)
	}
	return nil
}

// Input is what only the user and the miner see. Salt keeps anyone who holds the
// digest from guessing prompts against it.
type Input struct {
	Prompt   string `cbor:"1,keyasint"`
	Salt     []byte `cbor:"2,keyasint"` // 16 random bytes
	ReplyKey []byte `cbor:"3,keyasint"` // HPKE public key that the result is sealed to

	// Previews is how many pictures may be sent before the finished one, each sealed to ReplyKey. No
	// receipt speaks of them.
	Previews uint32 `cbor:"4,keyasint,omitempty"`

	// Init is a picture to begin with, a PNG or JPEG file of up to MaxInit bytes; nil: none.
	// Strength is how much of it may change, in thousandths.
	Init     []byte `cbor:"5,keyasint,omitempty"`
	Strength uint32 `cbor:"6,keyasint,omitempty"`

	// Whole says that nobody listens to a text while it is written: the result is all that is sent of it.
	Whole bool `cbor:"7,keyasint,omitempty"`
}

// Encode is the input's deterministic CBOR encoding, the plaintext that is sealed.
func (in Input) Encode() []byte { return encode(in) }

// Digest names the input: SHA-256 of Encode.
func (in Input) Digest() Digest { return DigestOf(encode(in)) }

// PlanSalt is the salt of the task's plan. It may become known without the input's own salt.
func (in Input) PlanSalt() Digest { return DigestOf(append([]byte("essaim plan salt "), in.Salt...)) }

// DecodeInput reads an encoded input.
func DecodeInput(b []byte) (Input, error) {
	var in Input
	return in, decode("input", b, &in)
}

// CheckPrompt refuses an empty prompt of a picture and one longer than MaxPrompt.
//
// Errors: CodeBadInput.
func CheckPrompt(p string) error { return KindImage.CheckPrompt(p) }

// CheckPrompt refuses a prompt that no task of this kind may have: an empty one, and one that is
// too long.
//
// Errors: CodeBadInput.
func (k Kind) CheckPrompt(p string) error {
	most, say := MaxPrompt, "say what to draw, such as \"a red apple\""
	if k != KindImage {
		most, say = MaxChat, "say something"
	}
	switch {
	case p == "":
		return Errorf(CodeBadInput, say, "the prompt is empty")
	case len(p) > most:
		return Errorf(CodeBadInput, "shorten it", "the prompt is %d bytes long, at most %d are accepted", len(p), most)
	}
	return nil
}
