package essaim

import "crypto/ed25519"

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

// SignTask signs a task with its session's key. Signature.CheckOnce in this process knows the signature then.
func SignTask(t Task, key ed25519.PrivateKey) ([]byte, error) {
	b, s, err := makeSigned(typeTask, t, key)
	if err == nil {
		found.note(s.fingerprint())
	}
	return b, err
}

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

// ReadTask is OpenTask for those who check many signatures together: everything but the
// signature is checked.
func ReadTask(b []byte) (t Task, s Signature, err error) {
	s, payload, err := unwrap("task", typeTask, b)
	if err == nil {
		err = decode("task", payload, &t)
	}
	if err == nil {
		err = t.Check()
	}
	return t, s, err
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
	if err == nil {
		err = r.by(k)
	}
	return r, err
}

// ReadReceipt is OpenReceipt for those who check many signatures together: everything but
// the signature is checked.
func ReadReceipt(b []byte) (r Receipt, s Signature, err error) {
	s, payload, err := unwrap("receipt", typeReceipt, b)
	if err == nil {
		err = decode("receipt", payload, &r)
	}
	if err == nil {
		err = r.by(s.signer)
	}
	return r, s, err
}

func (r Receipt) by(k NodeKey) error {
	if k != r.Miner {
		return Errorf(CodeRefused, "a receipt counts only from the miner it names", "receipt names miner %s but %s signed it", r.Miner.Short(), k.Short())
	}
	return nil
}

// SignAck signs a coordinator's acknowledgement of a receipt.
func SignAck(a Ack, key ed25519.PrivateKey) ([]byte, error) { return sign(typeAck, a, key) }

// OpenAck checks the signature and returns the acknowledgement with its signer.
func OpenAck(b []byte) (Ack, NodeKey, error) {
	var a Ack
	k, err := open("acknowledgement", typeAck, b, &a)
	return a, k, err
}

// ReadAck is OpenAck for those who check many signatures together: everything but the
// signature is checked.
func ReadAck(b []byte) (a Ack, s Signature, err error) {
	s, payload, err := unwrap("acknowledgement", typeAck, b)
	if err == nil {
		err = decode("acknowledgement", payload, &a)
	}
	return a, s, err
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
