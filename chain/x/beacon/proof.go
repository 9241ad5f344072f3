package beacon

import (
	"crypto/ed25519"
	"encoding/hex"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/ecvrf"

	"github.com/essaim/essaim"
)

// ProofSize is the length of a proof, and so of a vote extension that is not empty.
const ProofSize = ecvrf.ProofSize

// Public is the public half of a validator's key.
type Public [32]byte

// ParsePublic reads 64 hex digits, in lower case. Whether they are a point of the curve
// shows in the first proof.
//
// Errors: ErrKey.
func ParsePublic(s string) (Public, error) {
	bz, err := hex.DecodeString(s)
	if err != nil || len(bz) != len(Public{}) || hex.EncodeToString(bz) != s {
		return Public{}, ErrKey.Wrapf("%q is not 64 hex digits in lower case", s)
	}
	return Public(bz), nil
}

// String spells the key as ParsePublic reads it.
func (p Public) String() string { return hex.EncodeToString(p[:]) }

// Verify checks a proof over an input and returns the output, 64 bytes, which is the only
// one that the key has for the input. Keys of small order, for which that is not so, verify
// nothing.
func (p Public) Verify(input, proof []byte) (output []byte, ok bool) {
	if len(proof) != ProofSize {
		return nil, false
	}
	ok, output = ecvrf.Verify(p[:], proof, input)
	return output, ok
}

// Secret is the secret half: the seed of an Ed25519 key that is used for nothing else.
type Secret [32]byte

// Public is the other half.
func (s Secret) Public() Public {
	return Public(ed25519.NewKeyFromSeed(s[:])[32:])
}

// Prove proves over an input. The same input gives the same proof.
func (s Secret) Prove(input []byte) []byte {
	return ecvrf.Prove(voi.NewKeyFromSeed(s[:]), input)
}

// Possession is the proof that MsgRegisterKey carries: whoever registers the key holds it,
// and nobody can register it for another validator or on another chain.
func (s Secret) Possession(chainID string, operator essaim.Address) []byte {
	return s.Prove(possession(chainID, operator))
}
