package dispute

import (
	"errors"
	"slices"

	"github.com/essaim/essaim/quant"
)

// errPath is about hashes that do not lead to the root.
var errPath = errors.New("the hashes do not lead to what was committed to")

// A leafAt is a leaf's hash and its place in a tree.
type leafAt struct {
	at   int
	hash quant.Hash
}

// rootOf computes the root of a tree of n leaves from some of them, in ascending order of their places, and the
// roots of the largest subtrees without any of them, from left to right.
func rootOf(n int, some []leafAt, rest []quant.Hash) (quant.Hash, error) {
	if len(some) == 0 || some[0].at < 0 || some[len(some)-1].at >= n {
		return quant.Hash{}, errPath
	}
	root, err := climb(0, n, some, &rest)
	if err == nil && len(rest) > 0 {
		err = errPath
	}
	return root, err
}

func climb(from, to int, some []leafAt, rest *[]quant.Hash) (quant.Hash, error) {
	switch {
	case len(some) == 0 && len(*rest) == 0:
		return quant.Hash{}, errPath
	case len(some) == 0:
		h := (*rest)[0]
		*rest = (*rest)[1:]
		return h, nil
	case to-from == 1:
		if len(some) != 1 || some[0].at != from {
			return quant.Hash{}, errPath
		}
		return some[0].hash, nil
	}
	middle := from + quant.Split(to-from)
	cut := 0
	for cut < len(some) && some[cut].at < middle {
		cut++
	}
	left, err := climb(from, middle, some[:cut], rest)
	if err != nil {
		return left, err
	}
	right, err := climb(middle, to, some[cut:], rest)
	return quant.NodeHash(left, right), err
}

// restOf are the hashes that rootOf wants for some leaves, in ascending order of their places.
func restOf(leaves []quant.Hash, some []int) []quant.Hash {
	var out []quant.Hash
	var walk func(from, to int, some []int)
	walk = func(from, to int, some []int) {
		switch {
		case len(some) == 0:
			out = append(out, treeRoot(leaves[from:to]))
		case to-from > 1:
			middle := from + quant.Split(to-from)
			cut, _ := slices.BinarySearch(some, middle)
			walk(from, middle, some[:cut])
			walk(middle, to, some[cut:])
		}
	}
	walk(0, len(leaves), some)
	return out
}

func treeRoot(leaves []quant.Hash) quant.Hash {
	var t quant.Tree
	for _, l := range leaves {
		t.Add(l)
	}
	return t.Root()
}

// fan is how many levels below a node one answer reveals; it has up to Fan nodes.
const fan = 4

// Fan is the number of answers among which one is picked.
const Fan = 1 << fan

// A span is a node of a tree by the leaves below it.
type span struct{ From, To int }

func (s span) leaf() bool { return s.To-s.From == 1 }

// below are the nodes that are revealed of a node, from left to right.
func (s span) below(levels int) []span {
	if levels == 0 || s.leaf() {
		return []span{s}
	}
	middle := s.From + quant.Split(s.To-s.From)
	return append(span{s.From, middle}.below(levels-1), span{middle, s.To}.below(levels-1)...)
}

// fold computes a node from what is revealed below it, and appends to lefts the roots of the largest
// subtrees within it that lie to the left of the leaf at.
func (s span) fold(levels int, nodes *[]quant.Hash, at int, lefts *[]quant.Hash) quant.Hash {
	if levels == 0 || s.leaf() {
		h := (*nodes)[0]
		*nodes = (*nodes)[1:]
		return h
	}
	middle := s.From + quant.Split(s.To-s.From)
	if at < middle {
		left := span{s.From, middle}.fold(levels-1, nodes, at, lefts)
		return quant.NodeHash(left, span{middle, s.To}.fold(levels-1, nodes, s.From, new([]quant.Hash)))
	}
	left := span{s.From, middle}.fold(levels-1, nodes, s.From, new([]quant.Hash))
	*lefts = append(*lefts, left)
	return quant.NodeHash(left, span{middle, s.To}.fold(levels-1, nodes, at, lefts))
}

// prefixRoot is the root of the tree of all leaves to the left of one, from the subtrees to the left of the way
// to it: their sizes are falling powers of two, which is how that tree is made.
func prefixRoot(lefts []quant.Hash) quant.Hash {
	if len(lefts) == 0 {
		return quant.Hash{}
	}
	root := lefts[len(lefts)-1]
	for i := len(lefts) - 2; i >= 0; i-- {
		root = quant.NodeHash(lefts[i], root)
	}
	return root
}
