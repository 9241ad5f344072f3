package essaim

import (
	"crypto/ed25519"
)

// VerdictResult is what a check came to.
type VerdictResult string

// The results. They are part of signed objects: add to the list, never rename.
const (
	VerdictValid   VerdictResult = "valid"
	VerdictInvalid VerdictResult = "invalid"
	VerdictUnclear VerdictResult = "unclear" // the method cannot tell; never held against anybody
)

// Verdict is a verifier's signed statement of what a check of a receipt came to. It
// holds digests only: whoever reads it learns neither prompt nor result.
type Verdict struct {
	Version  uint64        `cbor:"1,keyasint" json:"version"`
	ChainID  string        `cbor:"2,keyasint" json:"chain_id"`
	Receipt  Digest        `cbor:"3,keyasint" json:"receipt"`
	Task     Digest        `cbor:"4,keyasint" json:"task"`
	Verifier NodeKey       `cbor:"5,keyasint" json:"verifier"`
	Method   string        `cbor:"6,keyasint" json:"method"` // such as "rerun"
	Result   VerdictResult `cbor:"7,keyasint" json:"result"`
	Near     bool          `cbor:"8,keyasint" json:"near"`      // not the same, but as near as other hardware comes
	Score    uint64        `cbor:"9,keyasint" json:"score"`     // what the method measured, in the unit that it documents
	Evidence Digest        `cbor:"10,keyasint" json:"evidence"` // of what the verifier found instead; zero: nothing
	Height   int64         `cbor:"11,keyasint" json:"height"`   // of the beacon that drew the verifier; 0: it was asked
}

const verdictVersion = 1

// maxMethod bounds a method's name, in bytes.
const maxMethod = 32

// NewVerdict starts a verdict on a receipt.
func NewVerdict(r Receipt, verifier NodeKey) Verdict {
	return Verdict{Version: verdictVersion, ChainID: r.ChainID, Receipt: r.Digest(), Task: r.Task, Verifier: verifier}
}

// Digest names the verdict: SHA-256 of its deterministic CBOR encoding.
func (v Verdict) Digest() Digest { return DigestOf(encode(v)) }

// Check refuses a verdict that says nothing.
//
// Errors: CodeBadInput.
func (v Verdict) Check() error {
	known := v.Result == VerdictValid || v.Result == VerdictInvalid || v.Result == VerdictUnclear
	switch {
	case v.Version != verdictVersion:
		return Errorf(CodeBadInput, "upgrade the older of the two programs", "verdict version %d is not known", v.Version)
	case !known:
		return Errorf(CodeBadInput, "", "verdict result %q is not known", v.Result)
	case v.Method == "" || len(v.Method) > maxMethod:
		return Errorf(CodeBadInput, "", "verdict by a method of %d bytes, want 1 to %d", len(v.Method), maxMethod)
	case v.Near && v.Result == VerdictValid:
		return Errorf(CodeBadInput, "", "verdict is valid and only near")
	case v.Receipt.IsZero() || v.Task.IsZero() || v.Height < 0:
		return Errorf(CodeBadInput, "", "verdict names no receipt, no task or height %d", v.Height)
	}
	return nil
}

// Judges reports whether the verdict is about this receipt, and not by who made it.
//
// Errors: CodeRefused.
func (v Verdict) Judges(r Receipt) error {
	if v.ChainID != r.ChainID || v.Receipt != r.Digest() || v.Task != r.Task {
		return Errorf(CodeRefused, "", "verdict is about something else than receipt %s", r.Digest().Short())
	}
	if v.Verifier == r.Miner {
		return Errorf(CodeRefused, "a miner's opinion of its own work is its receipt", "miner %s judges itself", r.Miner.Short())
	}
	return nil
}

// SignVerdict signs a verdict with the verifier's node key.
func SignVerdict(v Verdict, key ed25519.PrivateKey) ([]byte, error) { return sign(typeVerdict, v, key) }

// OpenVerdict checks the signature, that it is by the verifier the verdict names, and the
// verdict itself.
//
// Errors: CodeRefused for a wrong signature, CodeBadInput for a malformed verdict.
func OpenVerdict(b []byte) (Verdict, error) {
	var v Verdict
	k, err := open("verdict", typeVerdict, b, &v)
	if err == nil && k != v.Verifier {
		err = Errorf(CodeRefused, "a verdict counts only from the verifier it names", "verdict names verifier %s but %s signed it", v.Verifier.Short(), k.Short())
	}
	if err == nil {
		err = v.Check()
	}
	return v, err
}

// Salt hides what a commitment is to until it is revealed: 32 random bytes, fresh each time.
type Salt [32]byte

// Commit binds a node to an answer before anyone shows theirs. The node is part of it, so
// that a commitment which was copied from another node can be revealed by nobody else.
func Commit(chainID string, about, answer Digest, salt Salt, node NodeKey) Digest {
	return DigestOf(encode([]any{"essaim.commit.v1", chainID, about[:], answer[:], salt[:], node[:]}))
}
