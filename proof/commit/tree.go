package commit

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/quant"
)

// A tree has the leaves' hashes on its first level, their parents' on the next, up to the root.
type tree [][]quant.Hash

func (t tree) root() quant.Hash { return t[len(t)-1][0] }

// path are the hashes beside a leaf's way up to the level with 2^top hashes.
func (t tree) path(leaf, top int) (out []quant.Hash) {
	for _, level := range t[:len(t)-1-top] {
		out = append(out, level[leaf^1])
		leaf /= 2
	}
	return out
}

// up is what a leaf's path leads to: the root, if it is as long as that.
func up(hash quant.Hash, leaf int, path []quant.Hash) quant.Hash {
	for _, beside := range path {
		if leaf&1 == 0 {
			hash = quant.NodeHash(hash, beside)
		} else {
			hash = quant.NodeHash(beside, hash)
		}
		leaf /= 2
	}
	return hash
}

// columnHash is the leaf of a column, whose hash is made in buffer.
func columnHash(values []uint32, buffer []byte) quant.Hash {
	b := append(buffer[:0], 0)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return sha256.Sum256(b)
}

// together are how many columns are gathered out of the rows at once: few enough that they stay in a near cache, and
// enough that a page of memory is not looked up for each number.
const together = 64

// newLeaves makes the code, a coset of columns after the other, and keeps its hashes.
func (w *Weights) newLeaves(workers int) []quant.Hash {
	leaves := make([]quant.Hash, w.Code())
	workers = min(max(workers, 1), Rate)
	size := 1 + 4*w.Rows // of what is hashed for a column: a zero, and its numbers
	quant.Each(workers, workers, func(i int) {
		var (
			coset = field.NewCoset(w.Columns, Rate, 0)
			rows  = make([]field.Element, w.Rows*w.Columns)
			some  = make([]byte, together*size)
		)
		for t := i; t < Rate; t += workers {
			coset.Move(Rate, t)
			for r := range w.Rows {
				coset.Values(rows[r*w.Columns:][:w.Columns], w.grid.W[r*w.Columns:][:w.Columns])
			}
			for at := 0; at < w.Columns; at += together {
				for r := range w.Rows {
					to := some[1+4*r:]
					for _, v := range rows[r*w.Columns+at:][:together] {
						binary.LittleEndian.PutUint32(to, v[0])
						to = to[min(size, len(to)):]
					}
				}
				for k := range together {
					leaves[t+Rate*coset.Point(at+k)] = sha256.Sum256(some[k*size:][:size])
				}
			}
		}
	})
	return leaves
}

// newTree makes the other levels.
func newTree(leaves []quant.Hash) tree {
	out := tree{leaves}
	for len(leaves) > 1 {
		parents := make([]quant.Hash, len(leaves)/2)
		for i := range parents {
			parents[i] = quant.NodeHash(leaves[2*i], leaves[2*i+1])
		}
		out, leaves = append(out, parents), parents
	}
	return out
}

// Leaves are the hashes of all columns of the code, one after the other: what New takes so long to make.
func (w *Weights) Leaves() []byte {
	var b []byte
	for _, h := range w.tree[0] {
		b = append(b, h[:]...)
	}
	return b
}

// readLeaves is what Leaves gave; false: it was not for a code of this length.
func (w *Weights) readLeaves(b []byte) ([]quant.Hash, bool) {
	if len(b) != w.Code()*len(quant.Hash{}) {
		return nil, false
	}
	out := make([]quant.Hash, w.Code())
	for i := range out {
		b = b[copy(out[i][:], b):]
	}
	return out, true
}
