package client

import (
	"context"
	"time"

	"github.com/essaim/essaim"
)

// Proofs checks proofs of results. Implementations are safe for concurrent use.
type Proofs interface {
	// Checks reports whether proofs of a model's results can be checked here.
	Checks(model essaim.Digest) bool

	// Check checks a proof that a receipt's result is what its model makes of a prompt.
	//
	// Errors: CodeRefused if it does not hold.
	Check(ctx context.Context, r essaim.Receipt, prompt string, proof []byte) error
}

// Evidence is what convicts a miner before the ledger whose proof does not hold. It has the prompt in the clear.
type Evidence struct {
	Task    []byte `cbor:"1,keyasint"` // COSE_Sign1 by the session's key
	Receipt []byte `cbor:"2,keyasint"` // COSE_Sign1 by the miner
	Input   []byte `cbor:"3,keyasint"` // encoded essaim.Input
	Proof   []byte `cbor:"4,keyasint"`
}

// Encode is the evidence as a file.
func (e Evidence) Encode() []byte {
	b, err := frameEnc.Marshal(e)
	if err != nil {
		panic(err) // our own type always encodes
	}
	return b
}

// ReadEvidence reads a file of evidence and checks nothing of what is in it.
//
// Errors: CodeBadInput.
func ReadEvidence(b []byte) (e Evidence, err error) {
	if err := frameDec.Unmarshal(b, &e); err != nil {
		return e, essaim.Errorf(essaim.CodeBadInput, "name a file that was written when a proof did not hold", "no evidence: %v", err)
	}
	return e, nil
}

// BadProof is the error of a Draw that ended with a signed receipt and a proof that does not hold: the result is
// refused, and the miner can be convicted.
type BadProof struct {
	Evidence Evidence
	Err      error
}

// Error says what is wrong with the proof.
func (e *BadProof) Error() string { return e.Err.Error() }

// Unwrap is an essaim.Error of CodeRefused.
func (e *BadProof) Unwrap() error { return e.Err }

// checkProof checks the proof that came with a result, if one was asked for, and says how long that took.
//
// Errors: CodeRefused, a BadProof where the ledger can be shown that it does not hold.
func (d *drawing) checkProof(r essaim.Receipt, signed, proof []byte) (time.Duration, error) {
	switch {
	case d.task.Verify != essaim.VerifyProof:
		return 0, nil
	case essaim.DigestOf(proof) != r.Proof:
		return 0, lie("the proof is not the one that the receipt names")
	case len(proof) > essaim.MaxProof:
		return 0, lie("a proof of %d bytes, at most %d are looked at", len(proof), essaim.MaxProof)
	}
	began := time.Now()
	err := d.s.cfg.Proofs.Check(context.Background(), r, d.prompt, proof)
	if err != nil && essaim.CodeOf(err) == essaim.CodeRefused {
		err = &BadProof{Evidence: Evidence{Task: d.signed, Receipt: signed, Input: d.input, Proof: proof}, Err: lie("miner %s: %w", r.Miner.Short(), err)}
	}
	return time.Since(began), err
}
