package essaim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"

	"github.com/veraison/go-cose"
)

// Signed objects are COSE_Sign1 (RFC 9052) with EdDSA. The protected header carries
// the algorithm, the content type, which separates the domains (a receipt's
// signature can never pass for a task's), and the signer's public key as key ID. The
// unprotected header is empty: every byte is signed. The chain's ID is in each
// payload.
const (
	typeTask       = "application/essaim.task+cbor"
	typeReceipt    = "application/essaim.receipt+cbor"
	typeAck        = "application/essaim.ack+cbor"
	typeClose      = "application/essaim.close+cbor"
	typeSettlement = "application/essaim.settlement+cbor"
	typePossession = "application/essaim.possession+cbor"
	typeClaim      = "application/essaim.claim+cbor"
	typeVerdict    = "application/essaim.verdict+cbor"
	typeVoucher    = "application/essaim.voucher+cbor"
)

func protected(contentType string, signer NodeKey) cose.ProtectedHeader {
	return cose.ProtectedHeader{
		cose.HeaderLabelAlgorithm:   cose.AlgorithmEdDSA,
		cose.HeaderLabelContentType: contentType,
		cose.HeaderLabelKeyID:       signer[:],
	}
}

func sign(contentType string, payload any, key ed25519.PrivateKey) ([]byte, error) {
	signer, err := cose.NewSigner(cose.AlgorithmEdDSA, key)
	if err != nil {
		return nil, err
	}
	m := cose.NewSign1Message()
	m.Headers.Protected = protected(contentType, NodeKeyOf(key))
	m.Payload = encode(payload)
	if err := m.Sign(rand.Reader, nil, signer); err != nil {
		return nil, err
	}
	return m.MarshalCBOR()
}

// open checks the signature of a COSE_Sign1 message and decodes its payload.
func open(what, contentType string, b []byte, out any) (NodeKey, error) {
	var m cose.Sign1Message
	damaged := func(format string, args ...any) error {
		return Errorf(CodeRefused, "the bytes were changed after signing, or come from another program", what+": "+format, args...)
	}
	if err := m.UnmarshalCBOR(b); err != nil {
		return NodeKey{}, damaged("not a COSE_Sign1 message: %v", err)
	}
	if again, err := m.MarshalCBOR(); err != nil || !bytes.Equal(again, b) || len(m.Headers.Unprotected) != 0 {
		return NodeKey{}, damaged("not in its one deterministic encoding")
	}
	id, ok := m.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
	if !ok || len(id) != ed25519.PublicKeySize || len(m.Headers.Protected) != 3 {
		return NodeKey{}, damaged("header does not name its signer")
	}
	if t, ok := m.Headers.Protected[cose.HeaderLabelContentType].(string); !ok || t != contentType {
		return NodeKey{}, damaged("header says %v, want %s", m.Headers.Protected[cose.HeaderLabelContentType], contentType)
	}
	key := NodeKey(id)
	verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, ed25519.PublicKey(id))
	if err != nil {
		return NodeKey{}, damaged("key: %v", err)
	}
	if err := m.Verify(nil, verifier); err != nil {
		return NodeKey{}, damaged("signature does not match")
	}
	return key, decode(what, m.Payload, out)
}

// detached returns the bytes that a COSE_Sign1 signature over a detached payload
// covers: the Sig_structure of RFC 9052 §4.4.
func detached(contentType string, signer NodeKey, payload any) []byte {
	h := protected(contentType, signer)
	header, err := h.MarshalCBOR() // a byte string that holds the encoded map
	if err != nil {
		panic(err) // constant shape
	}
	var inner []byte
	if err := decMode.Unmarshal(header, &inner); err != nil {
		panic(err)
	}
	return encode([]any{"Signature1", inner, []byte{}, encode(payload)})
}

// SignTask signs a task with its session's key.
func SignTask(t Task, key ed25519.PrivateKey) ([]byte, error) { return sign(typeTask, t, key) }

// OpenTask checks the signature and returns the task with the key that signed it.
// Whether that key may spend the session's money is the caller's question.
//
// Errors: CodeRefused for a wrong signature, CodeBadInput for a malformed task.
func OpenTask(b []byte) (Task, NodeKey, error) {
	var t Task
	k, err := open("task", typeTask, b, &t)
	if err == nil {
		err = t.Check()
	}
	return t, k, err
}

// SignReceipt signs a receipt with the miner's node key.
func SignReceipt(r Receipt, key ed25519.PrivateKey) ([]byte, error) {
	return sign(typeReceipt, r, key)
}

// OpenReceipt checks the signature, and that it is by the miner the receipt names.
//
// Errors: CodeRefused for a wrong signature, CodeBadInput for a malformed receipt.
func OpenReceipt(b []byte) (Receipt, error) {
	var r Receipt
	k, err := open("receipt", typeReceipt, b, &r)
	if err == nil && k != r.Miner {
		err = Errorf(CodeRefused, "a receipt counts only from the miner it names", "receipt names miner %s but %s signed it", r.Miner.Short(), k.Short())
	}
	return r, err
}

// SignAck signs a coordinator's acknowledgement of a receipt.
func SignAck(a Ack, key ed25519.PrivateKey) ([]byte, error) { return sign(typeAck, a, key) }

// OpenAck checks the signature and returns the acknowledgement with its signer.
func OpenAck(b []byte) (Ack, NodeKey, error) {
	var a Ack
	k, err := open("acknowledgement", typeAck, b, &a)
	return a, k, err
}

// ClaimBytes is what a miner's node key signs to show an acknowledgement, COSE_Sign1, to
// the ledger as not kept: it alone chooses which of a session's promises is shown.
func ClaimBytes(ack []byte, miner NodeKey) []byte {
	return detached(typeClaim, miner, DigestOf(ack))
}

// PossessionBytes is what a node key signs to show that whoever registers it holds
// it: nobody can register another's key, or move a registration to another owner.
func PossessionBytes(chainID string, owner Address, role Role, node NodeKey) []byte {
	return detached(typePossession, node, possession{chainID, owner, role, node})
}

type possession struct {
	ChainID string  `cbor:"1,keyasint"`
	Owner   Address `cbor:"2,keyasint"`
	Role    Role    `cbor:"3,keyasint"`
	Node    NodeKey `cbor:"4,keyasint"`
}
