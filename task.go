package essaim

import (
	"fmt"
	"math"
)

// Kind says what sort of work a task is. Kinds are part of signed objects: add to
// the list, never rename.
type Kind string

// The kinds.
const (
	KindImage Kind = "image"      // text to picture
	KindEmbed Kind = "text.embed" // text to a vector that is near those of like meaning
)

// Limits of what may be asked.
const (
	// MaxPrompt bounds a prompt, in bytes.
	MaxPrompt = 4 << 10

	// MaxSide bounds a picture's width and height, in pixels.
	MaxSide = 4096

	taskVersion = 1
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
	Steps    uint32    `cbor:"11,keyasint" json:"steps"`     // 0: the model's default
	MaxPrice Amount    `cbor:"12,keyasint" json:"max_price"` // what the payer will pay at most
	Verify   string    `cbor:"13,keyasint" json:"verify"`    // verification asked for; "" = receipt only
	Deadline int64     `cbor:"14,keyasint" json:"deadline"`  // Unix milliseconds
}

// NewTask fills in the version.
func NewTask(chainID string, session SessionID, seq uint64) Task {
	return Task{Version: taskVersion, ChainID: chainID, Session: session, Seq: seq}
}

// Digest names the task: SHA-256 of its deterministic CBOR encoding.
func (t Task) Digest() Digest { return DigestOf(encode(t)) }

// Units is how much work a task is priced at, fixed by what was asked and known before
// it runs: one unit is one picture.
func (t Task) Units() uint64 { return 1 }

// Check refuses what no miner should ever see.
//
// Errors: CodeBadInput.
func (t Task) Check() error {
	switch {
	case t.Version != taskVersion:
		return Errorf(CodeBadInput, "upgrade the older of the two programs", "task version %d is not known", t.Version)
	case t.Kind != KindImage && t.Kind != KindEmbed:
		return Errorf(CodeBadInput, fmt.Sprintf("ask for kind %q or %q", KindImage, KindEmbed), "task kind %q is not known", t.Kind)
	case t.Seq == 0 || t.Seq > math.MaxInt64:
		return Errorf(CodeBadInput, "number a session's tasks from 1", "task has no sequence number")
	case t.Input.IsZero() || t.Model.IsZero():
		return Errorf(CodeBadInput, "fill in both digests", "task has no input or no model")
	case t.Width > MaxSide || t.Height > MaxSide:
		return Errorf(CodeBadInput, fmt.Sprintf("at most %d pixels a side", MaxSide), "picture of %dx%d is too large", t.Width, t.Height)
	}
	return nil
}

// Input is what only the user and the miner see. Salt keeps anyone who holds the
// digest from guessing prompts against it.
type Input struct {
	Prompt   string `cbor:"1,keyasint"`
	Salt     []byte `cbor:"2,keyasint"` // 16 random bytes
	ReplyKey []byte `cbor:"3,keyasint"` // HPKE public key that the result is sealed to
}

// Encode is the input's deterministic CBOR encoding, the plaintext that is sealed.
func (in Input) Encode() []byte { return encode(in) }

// Digest names the input: SHA-256 of Encode.
func (in Input) Digest() Digest { return DigestOf(encode(in)) }

// DecodeInput reads an encoded input.
func DecodeInput(b []byte) (Input, error) {
	var in Input
	return in, decode("input", b, &in)
}

// CheckPrompt refuses an empty prompt and one longer than MaxPrompt.
//
// Errors: CodeBadInput.
func CheckPrompt(p string) error {
	switch {
	case p == "":
		return Errorf(CodeBadInput, "say what to draw, such as \"a red apple\"", "the prompt is empty")
	case len(p) > MaxPrompt:
		return Errorf(CodeBadInput, "shorten it", "the prompt is %d bytes long, at most %d are accepted", len(p), MaxPrompt)
	}
	return nil
}
