package essaim

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// SumRoot is the root of a session's Merkle-sum tree of receipts: 32 bytes of hash,
// then the sum of all amounts and the number of receipts, both big-endian uint64.
type SumRoot [48]byte

// Sum is the total of the tree's leaves, in uaim.
func (r SumRoot) Sum() Amount { return Amount(binary.BigEndian.Uint64(r[32:40])) }

// Count is the number of the tree's leaves.
func (r SumRoot) Count() uint64 { return binary.BigEndian.Uint64(r[40:48]) }

// String is lower-case hex.
func (r SumRoot) String() string { return hex.EncodeToString(r[:]) }

// UnmarshalText reads hex.
func (r *SumRoot) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(r) {
		return fmt.Errorf("root %q: want %d hex digits", b, hex.EncodedLen(len(r)))
	}
	_, err := hex.Decode(r[:], b)
	return err
}

// MarshalText writes hex.
func (r SumRoot) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Line is one payee's total in a settlement: what a miner earned with one model.
type Line struct {
	Miner  NodeKey `cbor:"1,keyasint" json:"miner"`
	Model  Digest  `cbor:"2,keyasint" json:"model"`
	Amount Amount  `cbor:"3,keyasint" json:"amount"` // gross, before royalty and fees
	Tasks  uint64  `cbor:"4,keyasint" json:"tasks"`
}

// Compare orders lines by miner, then model.
func (l Line) Compare(o Line) int {
	return cmp.Or(bytes.Compare(l.Miner[:], o.Miner[:]), bytes.Compare(l.Model[:], o.Model[:]))
}

// Settlement is a coordinator's claim of a session's receipts, signed by its node
// key.
type Settlement struct {
	ChainID string    `cbor:"1,keyasint" json:"chain_id"`
	Session SessionID `cbor:"2,keyasint" json:"session"`
	Root    SumRoot   `cbor:"3,keyasint" json:"root"`
	Lines   []Line    `cbor:"4,keyasint" json:"lines"` // sorted by Line.Compare, no two equal

	// Receipts names the blob that the root was built from, so that anyone can build it
	// again; zero only without lines.
	Receipts Digest `cbor:"5,keyasint,omitzero" json:"receipts"`
}

// MaxLines bounds a settlement, so that one transaction's work is bounded.
const MaxLines = 1000

// SignBytes is what the coordinator's node key signs with Ed25519: a COSE_Sign1
// signature structure over the settlement as a detached payload.
func (s Settlement) SignBytes(coordinator NodeKey) []byte {
	if len(s.Lines) == 0 {
		s.Lines = nil // no lines have one encoding
	}
	return detached(typeSettlement, coordinator, s)
}

// Check refuses a settlement whose lines do not add up to its root, or exceed the
// deposit. It knows nothing of who the payees are.
//
// Errors: CodeBadInput.
func (s Settlement) Check(deposit Amount) error {
	refuse := func(format string, args ...any) error {
		return Errorf(CodeBadInput, "rebuild the settlement from the receipt log", "settlement of session %s: "+format, append([]any{s.Session}, args...)...)
	}
	if len(s.Lines) > MaxLines {
		return refuse("%d lines, at most %d", len(s.Lines), MaxLines)
	}
	var sum Amount
	var count uint64
	for i, l := range s.Lines {
		if i > 0 && s.Lines[i-1].Compare(l) >= 0 {
			return refuse("line %d is out of order or repeated", i)
		}
		if l.Tasks == 0 {
			return refuse("line %d counts no task", i)
		}
		var ok bool
		if sum, ok = sum.Add(l.Amount); !ok {
			return refuse("the amounts overflow")
		}
		if count+l.Tasks < count {
			return refuse("the task counts overflow")
		}
		count += l.Tasks
	}
	switch {
	case len(s.Lines) > 0 && s.Receipts.IsZero():
		return refuse("does not name its receipts")
	case sum != s.Root.Sum():
		return refuse("lines add up to %d uaim, the root says %d", sum, s.Root.Sum())
	case count != s.Root.Count():
		return refuse("lines count %d tasks, the root says %d", count, s.Root.Count())
	case sum > deposit:
		return refuse("claims %d uaim of a deposit of %d", sum, deposit)
	}
	return nil
}
