// Package receipts is what remains of a settled session's work: the set of signed tasks
// and signed receipts that it was settled from. A set is an index and parts, each a blob.
// The ledger has the index's digest beside the settlement, so that the payer and each payee
// can fetch it from the coordinator's gateway and do the sum again. Whoever shows one of
// its receipts gets it.
//
// Sum is the coordinator's side: it turns receipts into a settlement with its
// Merkle-sum root and the set. Audit is everybody else's: it reads a set, believes
// nothing of it, and names what does not hold. Open shows single leaves with their way to the
// root, to the ledger. All three need the memory of one part, whatever the session holds,
// and some ten bytes for each leaf. One package has them, so that there is one definition of the tree.
//
// A set holds digests, sizes, seeds, prices and keys. It holds no prompt and no picture,
// and must never: what its readers do with it is out of our hands. The package must not ask a
// network or a ledger; what the ledger says and how a blob is read is given to it.
package receipts

import (
	"context"
	"encoding/binary"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/receipts/sumtree"
)

const (
	// MaxSigned bounds a signed task, and a signed receipt, in bytes; a task has some
	// 270 and a receipt some 550.
	MaxSigned = 1 << 10

	// MaxLeaves bounds the tasks of a session: the index of so many fits a blob.
	MaxLeaves = 1 << 22

	// PartLeaves is how many leaves a part has; the last has fewer. It is a power of two,
	// so that each part is a subtree.
	PartLeaves = 1 << 11

	kindIndex = "essaim.receipts"
	kindPart  = "essaim.receipts.part"
	tagSize   = 4
)

// Leaf is one leaf of the tree.
type Leaf struct {
	Task    []byte        `cbor:"1,keyasint"` // COSE_Sign1 by the session's key
	Receipt []byte        `cbor:"2,keyasint"` // COSE_Sign1 by the miner
	Amount  essaim.Amount `cbor:"3,keyasint"` // what it counts for: honest is the receipt's price
}

func (l Leaf) node() sumtree.Leaf {
	return sumtree.Leaf{Task: essaim.DigestOf(l.Task), Receipt: essaim.DigestOf(l.Receipt), Amount: l.Amount}
}

// Part is the content of a part's blob. Leaves are in the order of the tree.
type Part struct {
	Kind    string           `cbor:"1,keyasint"`
	ChainID string           `cbor:"2,keyasint"`
	Session essaim.SessionID `cbor:"3,keyasint"`
	Leaves  []Leaf           `cbor:"4,keyasint"`
}

// Index is the content of the blob that the ledger names.
type Index struct {
	Kind    string           `cbor:"1,keyasint"`
	ChainID string           `cbor:"2,keyasint"`
	Session essaim.SessionID `cbor:"3,keyasint"`
	Parts   []Entry          `cbor:"4,keyasint"`
}

// Entry is what an index has of a part.
type Entry struct {
	Blob essaim.Digest  `cbor:"1,keyasint"`
	Root essaim.SumRoot `cbor:"2,keyasint"` // of the part's subtree

	// First is the SHA-256 of the part's first signed receipt. Who has the index can show
	// it where the part is kept.
	First essaim.Digest `cbor:"3,keyasint"`

	// Tags are the first four bytes of the SHA-256 of each signed receipt, in the order of
	// the leaves: where to look for a receipt.
	Tags []byte `cbor:"4,keyasint"`
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		TagsMd:            cbor.TagsForbidden,
		MaxArrayElements:  max(PartLeaves, MaxLeaves/PartLeaves),
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options; a failure is a programming error
	}
	return v
}

// ReadIndex decodes an index. What it says is for Audit to check.
//
// Errors: CodeBadInput.
func ReadIndex(b []byte) (x Index, err error) {
	if err = decMode.Unmarshal(b, &x); err == nil && x.Kind == kindIndex {
		return x, nil
	}
	return x, essaim.Errorf(essaim.CodeBadInput, "the bytes were damaged, or are something else", "not an index of receipts")
}

// ReadPart decodes a part.
//
// Errors: CodeBadInput.
func ReadPart(b []byte) (p Part, err error) {
	if err = decMode.Unmarshal(b, &p); err == nil && p.Kind == kindPart {
		return p, nil
	}
	return p, essaim.Errorf(essaim.CodeBadInput, "the bytes were damaged, or are something else", "not a part of a set of receipts")
}

// Fetch reads a blob of a set. shown is a receipt's digest that whoever keeps the blob may
// want to see; zero: any that the reader has.
type Fetch func(ctx context.Context, blob, shown essaim.Digest) ([]byte, error)

// Guarded reports whether b is a blob of a set, and if so whether the digest of a signed
// receipt opens it: an index opens with any receipt of its set, a part with its own.
// Nobody can know such a digest who has not seen the receipt: the payer, the miner and
// the coordinator have.
func Guarded(ctx context.Context, fetch Fetch, b []byte, shown essaim.Digest) (guarded, opens bool) {
	if p, err := ReadPart(b); err == nil {
		return true, p.has(shown)
	}
	x, err := ReadIndex(b)
	if err != nil {
		return false, false
	}
	for _, e := range x.Parts {
		if !e.mayHave(shown) {
			continue
		}
		part, err := fetch(ctx, e.Blob, e.First)
		if err != nil {
			continue
		}
		if p, err := ReadPart(part); err == nil && p.has(shown) {
			return true, true
		}
	}
	return true, false
}

func (p Part) has(signed essaim.Digest) bool {
	for _, l := range p.Leaves {
		if essaim.DigestOf(l.Receipt) == signed {
			return true
		}
	}
	return false
}

func (e Entry) mayHave(signed essaim.Digest) bool {
	want := binary.BigEndian.Uint32(signed[:])
	for t := e.Tags; len(t) >= tagSize; t = t[tagSize:] {
		if binary.BigEndian.Uint32(t) == want {
			return true
		}
	}
	return false
}
