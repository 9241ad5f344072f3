// Package receipts is what remains of a settled session's work: the set of signed tasks
// and signed receipts that it was settled from. The set is one blob. The ledger has its
// digest beside the settlement, so that the payer and each payee can fetch it from the
// coordinator's gateway and do the sum again. Whoever shows one of its receipts gets it.
//
// Sum is the coordinator's side: it turns receipts into a settlement with its
// Merkle-sum root and the blob. Audit is everybody else's: it reads a blob, believes
// nothing of it, and names what does not hold. One package has both, so that there is one
// definition of the tree.
//
// A set holds digests, sizes, seeds, prices and keys. It holds no prompt and no picture,
// and must never: what its readers do with it is out of our hands. The package must not ask a
// network or a ledger; what the ledger says is given to it.
package receipts

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"github.com/pokt-network/smt"
	"github.com/pokt-network/smt/kvstore/simplemap"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
)

const (
	// MaxSigned bounds a signed task, and a signed receipt, in bytes; a task has some
	// 270 and a receipt some 550.
	MaxSigned = 1 << 10

	// MaxLeaves bounds the tasks of a session: as many fit a blob whatever they say.
	MaxLeaves = (blob.MaxSize - 1<<10) / (2*MaxSigned + 16)

	version = 1
)

// Set is the content of a blob. Leaves are in the order of the tasks' numbers.
type Set struct {
	Version uint64               `cbor:"1,keyasint"`
	ChainID string               `cbor:"2,keyasint"`
	Session essaim.SessionID     `cbor:"3,keyasint"`
	Leaves  []essaim.ReceiptFile `cbor:"4,keyasint"`
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		TagsMd:            cbor.TagsForbidden,
		MaxArrayElements:  MaxLeaves,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options; a failure is a programming error
	}
	return v
}

// encode is the blob.
func (s Set) encode() ([]byte, error) { return encMode.Marshal(s) }

// Read decodes a blob. What its leaves say is for Audit to check.
//
// Errors: CodeBadInput.
func Read(b []byte) (Set, error) {
	var s Set
	if err := decMode.Unmarshal(b, &s); err != nil {
		return s, essaim.Errorf(essaim.CodeBadInput, "the bytes were damaged, or are something else", "not a set of receipts: %v", err)
	}
	if s.Version != version {
		return s, essaim.Errorf(essaim.CodeBadInput, "upgrade this program", "set of receipts of version %d, this program reads %d", s.Version, version)
	}
	return s, nil
}

// Has reports whether a signed receipt of this digest is in the set. Nobody can know such
// a digest who has not seen the receipt: the payer, the miner and the coordinator have.
func (s Set) Has(signed essaim.Digest) bool {
	return slices.ContainsFunc(s.Leaves, func(l essaim.ReceiptFile) bool { return essaim.DigestOf(l.Receipt) == signed })
}

// Sum adds a session's receipts up. It returns the settlement and the blob that it names;
// without a receipt there is no blob. The root and the lines are a pure function of the
// set of receipts, so that the tree can be built again whenever one is to be shown with
// its path to the root.
//
// Errors: CodeRefused or CodeBadInput for a receipt that is not signed.
func Sum(chainID string, id essaim.SessionID, leaves []essaim.ReceiptFile) (essaim.Settlement, []byte, error) {
	out := essaim.Settlement{ChainID: chainID, Session: id}
	t := newTree()
	for _, l := range leaves {
		r, err := essaim.OpenReceipt(l.Receipt)
		if err != nil {
			return out, nil, fmt.Errorf("session %s: %w", id, err)
		}
		if err := t.add(r, l.Receipt); err != nil {
			return out, nil, fmt.Errorf("session %s: %w", id, err)
		}
	}
	var err error
	if out.Root, err = t.root(); err != nil {
		return out, nil, fmt.Errorf("session %s: %w", id, err)
	}
	if out.Lines = t.sorted(); len(leaves) == 0 {
		return out, nil, nil
	}
	b, err := Set{Version: version, ChainID: chainID, Session: id, Leaves: leaves}.encode()
	out.Receipts = essaim.DigestOf(b)
	return out, b, err
}

// tree is the Merkle-sum tree of a session. A leaf is a signed receipt: its path is the
// receipt's digest, its weight the price.
type tree struct {
	smt   smt.SparseMerkleSumTrie
	sum   essaim.Amount // of all receipts, also of one that is there twice
	lines []essaim.Line
	at    map[payee]int // where in lines
}

// payee is one line of a settlement.
type payee struct {
	miner essaim.NodeKey
	model essaim.Digest
}

func newTree() *tree {
	return &tree{smt: smt.NewSparseMerkleSumTrie(simplemap.NewSimpleMap(), sha256.New()), at: map[payee]int{}}
}

func (t *tree) add(r essaim.Receipt, signed []byte) error {
	sum, ok := t.sum.Add(r.Price)
	if !ok {
		return essaim.Errorf(essaim.CodeBadInput, "no honest session costs as much", "the prices overflow at receipt %s", r.Digest().Short())
	}
	t.sum = sum
	digest := r.Digest()
	if err := t.smt.Update(digest[:], signed, uint64(r.Price)); err != nil {
		return fmt.Errorf("add receipt %s to the tree: %w", digest.Short(), err)
	}
	p := payee{r.Miner, r.Model}
	i, ok := t.at[p]
	if !ok {
		i = len(t.lines)
		t.at[p] = i
		t.lines = append(t.lines, essaim.Line{Miner: r.Miner, Model: r.Model})
	}
	t.lines[i].Amount += r.Price // at most the sum
	t.lines[i].Tasks++
	return nil
}

func (t *tree) root() (out essaim.SumRoot, err error) {
	root := t.smt.Root()
	if len(root) != len(out) {
		return out, fmt.Errorf("tree: root of %d bytes, want %d", len(root), len(out))
	}
	copy(out[:], root)
	return out, nil
}

func (t *tree) sorted() []essaim.Line {
	slices.SortFunc(t.lines, essaim.Line.Compare)
	return t.lines
}
