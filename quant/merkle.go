package quant

import (
	"crypto/sha256"
	"math/bits"
)

// Hash is a SHA-256.
type Hash = [sha256.Size]byte

// BlockSize is how many bytes of an output, or of a tensor, are one leaf of its tree: small
// enough that a dispute shows a few of them, large enough that the tree costs little.
const BlockSize = 256

// A Tree grows leaf by leaf into the Merkle tree of RFC 6962 with SHA-256. It keeps only the
// roots of full subtrees. The zero Tree has no leaves.
type Tree struct {
	roots  []Hash // from left to right, each of a smaller subtree than the one before
	leaves uint64
}

// Add appends a leaf, of which hash is the LeafHash.
func (t *Tree) Add(hash Hash) {
	t.roots = append(t.roots, hash)
	t.leaves++
	for n := t.leaves; n%2 == 0; n /= 2 {
		last := len(t.roots) - 1
		t.roots[last-1] = NodeHash(t.roots[last-1], t.roots[last])
		t.roots = t.roots[:last]
	}
}

// Leaves is their number.
func (t *Tree) Leaves() int { return int(t.leaves) }

// Root is the root over all leaves so far.
func (t *Tree) Root() Hash {
	if len(t.roots) == 0 {
		return sha256.Sum256(nil)
	}
	root := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		root = NodeHash(t.roots[i], root)
	}
	return root
}

// reset forgets all leaves and keeps the memory.
func (t *Tree) reset() { t.roots, t.leaves = t.roots[:0], 0 }

// LeafHash is the hash of a leaf: of a zero byte and its content.
func LeafHash(content []byte) Hash {
	return sha256.Sum256(append(make([]byte, 1, 1+BlockSize), content...))
}

// NodeHash is the hash of a node: of a byte of 1 and its two children.
func NodeHash(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// Split is how many of a node's n > 1 leaves its left child has: the largest power of two below n.
func Split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Blocks are the leaves of some bytes' tree: BlockSize bytes each, the last one what is left.
func Blocks(b []byte) []Hash {
	out := make([]Hash, 0, BlockCount(len(b)))
	for len(b) > 0 {
		n := min(len(b), BlockSize)
		out = append(out, LeafHash(b[:n]))
		b = b[n:]
	}
	return out
}

// BlockCount is the number of blocks of n bytes.
func BlockCount(n int) int { return (n + BlockSize - 1) / BlockSize }
