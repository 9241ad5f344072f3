package essaim

// Opening shows one leaf of a settled session's Merkle-sum tree: the signed task, the
// signed receipt, and the path from them to the root that the ledger has. It proves what
// the settlement claimed, true or false.
type Opening struct {
	Task     []byte    `cbor:"1,keyasint" json:"task"`     // COSE_Sign1 of a Task
	Receipt  []byte    `cbor:"2,keyasint" json:"receipt"`  // COSE_Sign1 of a Receipt
	Amount   Amount    `cbor:"3,keyasint" json:"amount"`   // what the leaf counts for; honest is the receipt's price
	Index    uint64    `cbor:"4,keyasint" json:"index"`    // the leaf's position, from 0
	Siblings []SumRoot `cbor:"5,keyasint" json:"siblings"` // from the leaf's neighbour up
}

// Encode is the opening's deterministic CBOR encoding.
func (o Opening) Encode() []byte { return encode(o) }

// DecodeOpening reads an encoded opening and checks nothing of what is in it.
//
// Errors: CodeBadInput.
func DecodeOpening(b []byte) (o Opening, err error) {
	err = decode("opening", b, &o)
	return o, err
}

// EvidenceOf names openings that prove a fault together: SHA-256 of their encodings, one
// after the other.
func EvidenceOf(openings []Opening) Digest {
	var all []byte
	for _, o := range openings {
		all = append(all, o.Encode()...)
	}
	return DigestOf(all)
}

// Draw is a question that the beacon asks a coordinator about a settled session: which
// leaf covers a point of the session's sum?
type Draw struct {
	Session SessionID `json:"session"`
	Index   int       `json:"index"` // of the session's draws, from 0
	Point   Amount    `json:"point"` // in the tree's order of leaves, below the root's sum
	Due     int64     `json:"due"`   // height from which on it counts as unanswered
}
