package essaim

import "crypto/ed25519"

// Voucher is a payer's cumulative acknowledgement: all receipts of the session until now
// come to this amount, and the payer has accepted them. It is signed by the session's key.
// Of several only the one with the highest amount counts, so that one is enough, however
// many tasks there were. What it covers is paid at the settlement and not contested any
// more.
type Voucher struct {
	ChainID     string    `cbor:"1,keyasint" json:"chain_id"`
	Session     SessionID `cbor:"2,keyasint" json:"session"`
	Coordinator NodeKey   `cbor:"3,keyasint" json:"coordinator"`
	Amount      Amount    `cbor:"4,keyasint" json:"amount"` // of all receipts accepted so far, gross
	Count       uint64    `cbor:"5,keyasint" json:"count"`  // how many they are
}

// SignVoucher signs a voucher with the session's key.
func SignVoucher(v Voucher, key ed25519.PrivateKey) ([]byte, error) { return sign(typeVoucher, v, key) }

// OpenVoucher checks the signature and returns the voucher with the key that signed it.
// Whether that is the session's key is the caller's question.
//
// Errors: CodeRefused for a wrong signature, CodeBadInput for a malformed voucher.
func OpenVoucher(b []byte) (Voucher, NodeKey, error) {
	var v Voucher
	k, err := open("voucher", typeVoucher, b, &v)
	return v, k, err
}
