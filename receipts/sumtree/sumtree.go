// Package sumtree is the ordered Merkle-sum tree that a settlement's root comes from. It
// has the shape of RFC 6962, and each node carries the sum and the number of its leaves:
//
//	leaf = SHA-256(0x00 | SHA-256(signed task) | SHA-256(signed receipt) | amount)
//	node = SHA-256(0x01 | left hash | left sum | left count | right hash | right sum | right count)
//	root = hash | sum | count; of no leaves, 48 zero bytes
//
// with amounts, sums and counts as big-endian uint64. A path therefore proves not only
// that a leaf is in the tree but also where, and which part of the sum is its own: a
// leaf covers the points from the sum of all leaves before it up to that plus its amount.
// A tree whose sums are lies has leaves, or points, that cannot be opened.
//
// The order of the leaves means something to those who build trees and not here. The
// package must not look into a task or a receipt: the ledger and the auditors do, and both
// use this one definition.
package sumtree

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"

	"github.com/essaim/essaim"
)

// Leaf is what one receipt counts for.
type Leaf struct {
	Task    essaim.Digest // SHA-256 of the signed task
	Receipt essaim.Digest // SHA-256 of the signed receipt
	Amount  essaim.Amount
}

// Proof is the way from a leaf to the root.
type Proof struct {
	Index    uint64           // the leaf's position, from 0
	Siblings []essaim.SumRoot // from the leaf's neighbour up
}

const (
	leafPrefix = 0
	nodePrefix = 1
)

// leafNode is the tree of one leaf.
func leafNode(l Leaf) essaim.SumRoot {
	var b [1 + 32 + 32 + 8]byte
	b[0] = leafPrefix
	copy(b[1:], l.Task[:])
	copy(b[33:], l.Receipt[:])
	binary.BigEndian.PutUint64(b[65:], uint64(l.Amount))
	return newNode(sha256.Sum256(b[:]), l.Amount, 1)
}

func newNode(hash [32]byte, sum essaim.Amount, count uint64) (n essaim.SumRoot) {
	copy(n[:], hash[:])
	binary.BigEndian.PutUint64(n[32:], uint64(sum))
	binary.BigEndian.PutUint64(n[40:], count)
	return n
}

// join makes one tree of two.
func join(left, right essaim.SumRoot) (essaim.SumRoot, error) {
	sum, ok := left.Sum().Add(right.Sum())
	count, carry := bits.Add64(left.Count(), right.Count(), 0)
	if !ok || carry != 0 {
		return essaim.SumRoot{}, essaim.Errorf(essaim.CodeBadInput, "no honest session costs as much", "sum tree: the amounts overflow")
	}
	var b [1 + 48 + 48]byte
	b[0] = nodePrefix
	copy(b[1:], left[:])
	copy(b[49:], right[:])
	return newNode(sha256.Sum256(b[:]), sum, count), nil
}

// Builder adds leaves up without keeping them: its memory grows with the logarithm of
// their number. The zero value is ready.
type Builder struct {
	whole []essaim.SumRoot // trees of a power of two leaves, the largest first
}

// Add appends a leaf. After an error the builder is of no use.
//
// Errors: CodeBadInput if the amounts overflow.
func (b *Builder) Add(l Leaf) error {
	n := leafNode(l)
	for len(b.whole) > 0 && b.whole[len(b.whole)-1].Count() == n.Count() {
		var err error
		if n, err = join(b.whole[len(b.whole)-1], n); err != nil {
			return err
		}
		b.whole = b.whole[:len(b.whole)-1]
	}
	b.whole = append(b.whole, n)
	return nil
}

// Root is the root of the leaves so far. More may follow.
//
// Errors: CodeBadInput if the amounts overflow.
func (b *Builder) Root() (root essaim.SumRoot, err error) {
	for i := len(b.whole) - 1; i >= 0 && err == nil; i-- {
		if i == len(b.whole)-1 {
			root = b.whole[i]
		} else {
			root, err = join(b.whole[i], root)
		}
	}
	return root, err
}

// Tree keeps every node, 96 bytes a leaf, to prove leaves from.
type Tree struct {
	levels [][]essaim.SumRoot // from the leaves up; the last has the root alone
}

// Build makes the tree of some leaves, in their order.
//
// Errors: CodeBadInput if the amounts overflow.
func Build(leaves iter.Seq[Leaf]) (*Tree, error) {
	var level []essaim.SumRoot
	for l := range leaves {
		level = append(level, leafNode(l))
	}
	return Over(level)
}

// Over makes the upper part of a tree from the roots of its lower parts, in their order.
// Each part has the same power of two leaves; the last may have fewer. Its leaves are the parts.
//
// Errors: CodeBadInput if the amounts overflow.
func Over(level []essaim.SumRoot) (*Tree, error) {
	t := &Tree{levels: [][]essaim.SumRoot{level}}
	for len(level) > 1 {
		up := make([]essaim.SumRoot, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			n, err := join(level[i], level[i+1])
			if err != nil {
				return nil, err
			}
			up = append(up, n)
		}
		if len(level)%2 == 1 {
			up = append(up, level[len(level)-1]) // alone: it is its own tree one level up
		}
		t.levels = append(t.levels, up)
		level = up
	}
	return t, nil
}

// Root is the tree's root.
func (t *Tree) Root() (root essaim.SumRoot) {
	if top := t.levels[len(t.levels)-1]; len(top) > 0 {
		root = top[0]
	}
	return root
}

// Prove shows the way from the i-th leaf to the root. It panics if there is none.
func (t *Tree) Prove(i int) Proof {
	p := Proof{Index: uint64(i)}
	_ = t.levels[0][i]
	for _, level := range t.levels {
		if sibling := i ^ 1; sibling < len(level) {
			p.Siblings = append(p.Siblings, level[sibling])
		}
		i /= 2
	}
	return p
}

// Find is the position of the leaf that covers a point of the sum. It panics if the point
// is not below the sum.
func (t *Tree) Find(point essaim.Amount) int {
	if point >= t.Root().Sum() {
		panic(fmt.Sprintf("sumtree: point %d of a sum of %d", point, t.Root().Sum()))
	}
	i := 0
	for h := len(t.levels) - 2; h >= 0; h-- {
		i *= 2 // a node that stands alone has itself there
		if left := t.levels[h][i].Sum(); point >= left {
			point -= left
			i++
		}
	}
	return i
}

// Verify checks that a leaf is in the tree of a root at the proof's position, and returns
// the sum of all leaves before it.
//
// Errors: CodeRefused, saying what does not fit.
func Verify(root essaim.SumRoot, l Leaf, p Proof) (before essaim.Amount, err error) {
	refuse := func(format string, args ...any) error {
		return essaim.Errorf(essaim.CodeRefused, "the path was made for another leaf or another root", "sum tree: "+format, args...)
	}
	turns, ok := path(p.Index, root.Count())
	if !ok {
		return 0, refuse("position %d of %d leaves", p.Index, root.Count())
	}
	if len(turns) != len(p.Siblings) {
		return 0, refuse("a path of %d nodes, want %d", len(p.Siblings), len(turns))
	}
	node := leafNode(l)
	for i, s := range p.Siblings {
		t := turns[len(turns)-1-i] // turns go down, siblings up
		if s.Count() != t.count {
			return 0, refuse("node %d of the path counts %d leaves, want %d", i, s.Count(), t.count)
		}
		left, right := node, s
		if t.right {
			left, right = s, node
			before += s.Sum() // at most the sum of the node, which join checks
		}
		if node, err = join(left, right); err != nil {
			return 0, refuse("the sums of the path overflow")
		}
	}
	if node != root {
		return 0, refuse("the path does not lead to the root")
	}
	return before, nil
}

// turn is one step down from the root.
type turn struct {
	right bool   // the leaf lies in the right part
	count uint64 // leaves in the other part
}

// path is the way down to a position: a tree's left part is the largest power of two
// below its number of leaves.
func path(index, count uint64) (turns []turn, ok bool) {
	if index >= count {
		return nil, false
	}
	for count > 1 {
		left := uint64(1) << (bits.Len64(count-1) - 1)
		if index < left {
			turns = append(turns, turn{false, count - left})
			count = left
		} else {
			turns = append(turns, turn{true, left})
			index, count = index-left, count-left
		}
	}
	return turns, true
}
