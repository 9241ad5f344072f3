// Package ethsig is Ethereum's account cryptography, as pure functions: Keccak-256,
// addresses, signatures on secp256k1, key recovery, and the way from a mnemonic to the
// first account's key.
//
// The ledger's key type (chain/ethkey) and the wallet share it, so that a wallet needs
// none of the ledger's dependencies and both agree on every byte. It holds no keys, does
// no I/O and knows nothing of transactions.
package ethsig

import (
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/sha3"
)

// Sizes in bytes.
const (
	PrivateKeySize = 32
	PublicKeySize  = 33 // a compressed point
	AddressSize    = 20
	SignatureSize  = 65 // r || s || v
)

// compactOffset is added to the recovery id in the signatures of Bitcoin and of
// Ethereum's wallets.
const compactOffset = 27

// Keccak256 hashes the concatenation of parts. It is Ethereum's hash, not SHA3-256.
func Keccak256(parts ...[]byte) []byte {
	h := sha3.NewLegacyKeccak256()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// PublicKey returns the compressed public key of a private key.
func PublicKey(private []byte) ([]byte, error) {
	k, err := parsePrivate(private)
	if err != nil {
		return nil, err
	}
	return k.PubKey().SerializeCompressed(), nil
}

// Address returns the account of a compressed public key: the last 20 bytes of the hash
// of the uncompressed point.
func Address(public []byte) (addr [AddressSize]byte, err error) {
	p, err := parsePublic(public)
	if err != nil {
		return addr, err
	}
	copy(addr[:], Keccak256(p.SerializeUncompressed()[1:])[12:])
	return addr, nil
}

// Sign hashes msg with Keccak-256 and returns r || s || v, with s low and v 0 or 1. The
// nonce is deterministic (RFC 6979).
func Sign(private, msg []byte) ([]byte, error) {
	k, err := parsePrivate(private)
	if err != nil {
		return nil, err
	}
	c := ecdsa.SignCompact(k, Keccak256(msg), false)
	return append(c[1:], c[0]-compactOffset), nil
}

// Personal is a text as wallets sign it (EIP-191, personal_sign), before it is hashed.
func Personal(text string) []byte {
	return fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d%s", len(text), text)
}

// Verify checks a signature over the Keccak-256 hash of msg. It refuses a high s, which
// would be a second valid signature of the same message. It accepts the 64 bytes r || s
// too, and does not look at v: who needs a signature to be unique must not rely on its
// bytes.
func Verify(public, msg, sig []byte) bool {
	if len(sig) != SignatureSize && len(sig) != SignatureSize-1 {
		return false
	}
	p, err := parsePublic(public)
	if err != nil {
		return false
	}
	var r, s secp256k1.ModNScalar
	if r.SetByteSlice(sig[:32]) || s.SetByteSlice(sig[32:64]) || s.IsOverHalfOrder() {
		return false
	}
	return ecdsa.NewSignature(&r, &s).Verify(Keccak256(msg), p)
}

// Recover returns the compressed public key that made a 65-byte signature over the hash
// of msg; v may be 0 or 1, or 27 or 28 as wallets write it.
func Recover(msg, sig []byte) ([]byte, error) {
	if len(sig) != SignatureSize {
		return nil, fmt.Errorf("ethsig: signature is %d bytes, want %d", len(sig), SignatureSize)
	}
	v := sig[SignatureSize-1]
	if v < compactOffset {
		v += compactOffset
	}
	p, _, err := ecdsa.RecoverCompact(append([]byte{v}, sig[:SignatureSize-1]...), Keccak256(msg))
	if err != nil {
		return nil, fmt.Errorf("ethsig: recover: %w", err)
	}
	return p.SerializeCompressed(), nil
}

func parsePrivate(b []byte) (*secp256k1.PrivateKey, error) {
	var k secp256k1.ModNScalar
	if len(b) != PrivateKeySize || k.SetByteSlice(b) || k.IsZero() {
		return nil, errors.New("ethsig: not a secp256k1 private key")
	}
	return secp256k1.NewPrivateKey(&k), nil
}

func parsePublic(b []byte) (*secp256k1.PublicKey, error) {
	if len(b) != PublicKeySize {
		return nil, fmt.Errorf("ethsig: public key is %d bytes, want %d", len(b), PublicKeySize)
	}
	return secp256k1.ParsePubKey(b)
}
