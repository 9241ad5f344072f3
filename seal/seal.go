// Package seal makes envelopes that only their recipients can open: a prompt sealed
// to the miners that may draw it, a picture sealed to the user who asked for it.
//
// Whoever carries an envelope sees how many recipients it has, which of the public
// keys that he knows are among them, and the size bucket of what is inside; nothing
// else. A byte changed anywhere, another recipient list or another info makes Open
// refuse. The package does not say who sealed an envelope: the signed objects around
// it do. It must not know tasks, miners or money. Every function may be called from any
// goroutine.
//
// Agreeing on a secret with a recipient is what costs: some 0.3 ms at either end. So a
// Sender agrees once and derives the key of each envelope from it, and the recipient
// remembers what it has agreed on. It needs no memory to open an envelope, only to be
// quick: each carries all that its recipients need. That two envelopes come from one
// Sender is plain to see; sharing one Sender means not to hide that.
//
// # Format, version 2
//
// All integers are big-endian. n is the number of recipients, 1 to MaxRecipients.
//
//	offset        size  what
//	0             4     "ESL" and the version, 0x02
//	4             1     n
//	5             16    salt: random, in every envelope another
//	21            1184n slots, one a recipient:
//	  +0          16      key ID: the first bytes of SHA-256(public key)
//	  +16         1120    HPKE encapsulated key
//	  +1136       48      AES-256-GCM of the 32-byte content key, under the slot's key
//	21+1184n      p+16  body: AES-256-GCM of the p padded bytes
//
// A slot's key is exported from an HPKE context (RFC 9180) in base mode, with the KEM
// MLKEM768X25519, the KDF HKDF-SHA256, the AEAD AES-128-GCM, which is not used, and as
// info the bytes "essaim/seal/2". The exporter context is "key" 0x00, the salt, and the
// caller's info; the length is 32 bytes. As the salt is another in every envelope, so is
// the key, and the slot's 12-byte nonce is all zeros. The content key is random and used
// once, so the body's nonce is all zeros, too; the body's associated data is everything
// before it, which ties the slots together.
//
// The padded bytes are the plaintext's length (4 bytes), the plaintext, and zeros up
// to p: the smallest of 1, 4, 16 and 64 KiB that holds them, beyond that the next
// multiple of 64 KiB.
//
// AES-GCM does not commit to its key: a malicious sender can make one envelope say
// different things to different recipients. Callers therefore check the plaintext
// against a digest that they know from elsewhere, as essaim.Task.Input is.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/essaim/essaim"
)

const (
	// PublicKeySize is the length of a public key, in bytes.
	PublicKeySize = 1216

	// MaxRecipients bounds an envelope's recipients.
	MaxRecipients = 32

	// MaxPlaintext bounds what can be sealed, in bytes. Every envelope fits a blob.
	MaxPlaintext = maxPadded - lengthSize

	// MaxEnvelope is the length of the largest envelope, in bytes.
	MaxEnvelope = headSize + MaxRecipients*slotSize + maxPadded + tagSize

	magic      = "ESL\x02"
	saltAt     = len(magic) + 1
	saltSize   = 16
	headSize   = saltAt + saltSize
	idSize     = 16
	encSize    = 1120
	keySize    = 32
	tagSize    = 16
	slotSize   = idSize + encSize + keySize + tagSize
	lengthSize = 4
	maxPadded  = 63 << 20
	step       = 64 << 10
)

// PrivateKey opens envelopes. It is safe for concurrent use.
type PrivateKey struct {
	key    hpke.PrivateKey
	seed   []byte
	public []byte
	id     KeyID
	agreed agreed
}

// GenerateKey makes a new key from the system's randomness.
func GenerateKey() (*PrivateKey, error) {
	k, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, internal("make a sealing key", err)
	}
	return wrap(k)
}

// ParsePrivateKey reads what Bytes wrote.
//
// Errors: CodeBadInput.
func ParsePrivateKey(b []byte) (*PrivateKey, error) {
	k, err := hpke.MLKEM768X25519().NewPrivateKey(b)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "a sealing key is 32 bytes; was the file cut or is it another key?", "sealing key of %d bytes cannot be read: %v", len(b), err)
	}
	return wrap(k)
}

func wrap(k hpke.PrivateKey) (*PrivateKey, error) {
	seed, err := k.Bytes()
	if err != nil {
		return nil, internal("encode a sealing key", err)
	}
	public := k.PublicKey().Bytes()
	return &PrivateKey{key: k, seed: seed, public: public, id: IDOf(public)}, nil
}

// Bytes is the secret itself, 32 bytes, for ParsePrivateKey. The caller keeps it
// safe.
func (k *PrivateKey) Bytes() []byte { return bytes.Clone(k.seed) }

// PublicKey is what others seal to, PublicKeySize bytes; the caller owns the copy.
func (k *PrivateKey) PublicKey() []byte { return bytes.Clone(k.public) }

// CheckPublicKey refuses bytes that nothing can be sealed to.
//
// Errors: CodeBadInput.
func CheckPublicKey(public []byte) error {
	_, err := parsePublic(public)
	return err
}

// Seal is Sender.Seal for whoever seals once: nothing links its envelopes.
//
// Errors: those of Sender.Seal.
func Seal(plaintext, info []byte, recipients ...[]byte) ([]byte, error) {
	return new(Sender).Seal(plaintext, info, recipients...)
}

// Seal makes an envelope that each recipient, and nobody else, opens with the same
// info. plaintext may be empty. Nothing that is passed in is kept.
//
// Errors: CodeBadInput for no, too many, repeated or malformed recipients, and for
// more than MaxPlaintext bytes.
func (s *Sender) Seal(plaintext, info []byte, recipients ...[]byte) ([]byte, error) {
	switch n := len(recipients); {
	case n == 0 || n > MaxRecipients:
		return nil, essaim.Errorf(essaim.CodeBadInput, "seal to at least one key and not to the whole network", "%d recipients, want 1 to %d", n, MaxRecipients)
	case len(plaintext) > MaxPlaintext:
		return nil, essaim.Errorf(essaim.CodeBadInput, "split it", "%d bytes are too many to seal, at most %d fit", len(plaintext), MaxPlaintext)
	}
	content := make([]byte, keySize)
	rand.Read(content) // never fails, see crypto/rand
	aead, err := bodyCipher(content)
	if err != nil {
		return nil, err
	}
	padded := bucket(len(plaintext))
	env := make([]byte, headSize, headSize+len(recipients)*slotSize+padded+tagSize)
	copy(env, magic)
	env[len(magic)] = byte(len(recipients))
	rand.Read(env[saltAt:headSize])
	if env, err = s.appendSlots(env, content, info, recipients); err != nil {
		return nil, err
	}
	head := len(env)
	env = binary.BigEndian.AppendUint32(env, uint32(len(plaintext)))
	env = append(env, plaintext...)
	env = env[:head+padded] // the capacity behind is fresh, so the padding is zeros
	return aead.Seal(env[:head], make([]byte, aead.NonceSize()), env[head:], env[:head]), nil
}

func (s *Sender) appendSlots(env, content, info []byte, recipients [][]byte) ([]byte, error) {
	salt := env[saltAt:headSize]
	for i, public := range recipients {
		with, err := s.with(public)
		if err != nil {
			return nil, err
		}
		id := with.id
		for at := headSize; at < len(env); at += slotSize {
			if bytes.Equal(env[at:at+idSize], id[:]) {
				return nil, essaim.Errorf(essaim.CodeBadInput, "list each recipient once", "recipient %d is a repetition", i)
			}
		}
		aead, err := slotCipher(with.export, salt, info)
		if err != nil {
			return nil, err
		}
		env = append(append(env, id[:]...), with.enc...)
		env = aead.Seal(env, make([]byte, aead.NonceSize()), content, nil)
	}
	return env, nil
}

// Open returns an envelope's plaintext, which the caller owns.
//
// Errors: CodeRefused if the key is not among the recipients, if the info is another
// or if any byte was changed.
func (k *PrivateKey) Open(envelope, info []byte) ([]byte, error) {
	head, slot, err := find(envelope, k.id)
	if err != nil {
		return nil, err
	}
	content, err := k.content(slot, envelope[saltAt:headSize], info)
	if err != nil {
		return nil, damaged("its key slot does not open")
	}
	aead, err := bodyCipher(content)
	if err != nil {
		return nil, err
	}
	padded, err := aead.Open(nil, make([]byte, aead.NonceSize()), envelope[head:], envelope[:head])
	if err != nil {
		return nil, damaged("its body does not open")
	}
	return unpad(padded)
}

// KeyID names a public key in envelopes that are sealed to it.
type KeyID [idSize]byte

// IDOf is the ID of a public key.
func IDOf(public []byte) KeyID {
	sum := sha256.Sum256(public)
	return KeyID(sum[:idSize])
}

// IsRecipient reports whether an envelope is sealed to a key. Anyone who holds
// an envelope can tell; it saves sending it to whoever cannot open it.
func (id KeyID) IsRecipient(envelope []byte) bool {
	_, _, err := find(envelope, id)
	return err == nil
}

// find checks the envelope's shape and returns the length of what comes before the
// body, and the HPKE part of the slot with a key's ID.
func find(envelope []byte, id KeyID) (head int, slot []byte, err error) {
	if len(envelope) > MaxEnvelope {
		return 0, nil, damaged("it is longer than any envelope")
	}
	if len(envelope) < headSize || string(envelope[:len(magic)]) != magic {
		return 0, nil, damaged("it does not start as an envelope of version 2")
	}
	n := int(envelope[len(magic)])
	head = headSize + n*slotSize
	body := len(envelope) - head - tagSize
	if n == 0 || n > MaxRecipients || body < lengthSize || body != bucket(body-lengthSize) {
		return 0, nil, damaged("its length is not that of an envelope")
	}
	for at := headSize; at < head; at += slotSize {
		if bytes.Equal(envelope[at:at+idSize], id[:]) {
			return head, envelope[at+idSize : at+slotSize], nil
		}
	}
	return 0, nil, essaim.Errorf(essaim.CodeRefused, "it was sealed to another key, perhaps to an older one of yours", "the envelope is not sealed to this key")
}

// bucket is the number of padded bytes for n bytes of plaintext.
func bucket(n int) int {
	n += lengthSize
	for _, b := range []int{1 << 10, 4 << 10, 16 << 10} {
		if n <= b {
			return b
		}
	}
	return (n + step - 1) / step * step
}

func unpad(padded []byte) ([]byte, error) {
	n := int(binary.BigEndian.Uint32(padded))
	if n > len(padded)-lengthSize || bucket(n) != len(padded) {
		return nil, damaged("its padding is wrong")
	}
	for _, b := range padded[lengthSize+n:] {
		if b != 0 {
			return nil, damaged("its padding is wrong")
		}
	}
	return padded[lengthSize : lengthSize+n : lengthSize+n], nil
}

func bodyCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, internal("set up AES", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, internal("set up GCM", err)
	}
	return aead, nil
}

func parsePublic(public []byte) (hpke.PublicKey, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "a recipient is an MLKEM768X25519 public key", "public key of %d bytes cannot be sealed to: %v", len(public), err)
	}
	return key, nil
}

func damaged(why string) error {
	return essaim.Errorf(essaim.CodeRefused, "it was changed on the way, or belongs to another task", "the envelope is refused: %s", why)
}

func internal(what string, err error) error {
	return essaim.Errorf(essaim.CodeInternal, "", "%s: %w", what, err)
}
