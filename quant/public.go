package quant

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

const (
	publicMagic  = "essaimK\n"
	publicHeader = 16
)

// IsMatrix reports whether a tensor is one of those that make up nearly all of a model: int8, of two dimensions.
func (t Tensor) IsMatrix() bool { return t.Type == Int8 && len(t.Shape) == 2 }

// Public makes the public part of a weights file: everything but the matrices, of which it
// has the roots, so that it can be held against [ModelRoot]. docs/protocol/proof.md, "Key", has its bytes.
//
// Errors: wraps ErrFormat.
func Public(file []byte) ([]byte, error) {
	all, err := ReadTensors(file)
	if err != nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint32([]byte(publicMagic), fileVersion)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(all)))
	out = append(out, file[headerSize:][:entrySize*len(all)]...)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t := all[name]
		if !t.IsMatrix() {
			out = append(out, t.data...)
			continue
		}
		root := dataRoot(t.data)
		out = append(out, root[:]...)
	}
	return out, nil
}

// dataRoot is the root over a tensor's blocks.
func dataRoot(data []byte) Hash {
	var tree Tree
	for _, b := range Blocks(data) {
		tree.Add(b)
	}
	return tree.Root()
}

// ReadPublic takes a public part from anyone apart: the tensors, matrices without their content, and the root
// of the weights file that it is of. The result refers to b, which must not change afterwards.
//
// Errors: wraps ErrFormat.
func ReadPublic(b []byte) (Tensors, Hash, error) {
	if len(b) < publicHeader || string(b[:8]) != publicMagic || binary.LittleEndian.Uint32(b[8:]) != fileVersion {
		return nil, Hash{}, fmt.Errorf("%w: it is no public part of version %d", ErrFormat, fileVersion)
	}
	n := int(binary.LittleEndian.Uint32(b[12:]))
	if n < 1 || n > maxTensors || len(b) < publicHeader+n*entrySize {
		return nil, Hash{}, fmt.Errorf("%w: a public part of %d tensors in %d bytes", ErrFormat, n, len(b))
	}
	entries, rest := b[publicHeader:][:n*entrySize], b[publicHeader+n*entrySize:]
	all, tree, last := make(Tensors, n), Tree{}, ""
	for i := range n {
		m, err := ReadEntry(entries[i*entrySize:][:entrySize])
		if err != nil {
			return nil, Hash{}, err
		}
		if i > 0 && m.Name <= last {
			return nil, Hash{}, fmt.Errorf("%w: %q comes after %q", ErrFormat, m.Name, last)
		}
		t := Tensor{Type: m.Type, Shift: m.Shift}
		size, err := entry(m.Entry).shape(&t, maxOutput)
		if err != nil {
			return nil, Hash{}, fmt.Errorf("%w: %q: %w", ErrFormat, m.Name, err)
		}
		if t.IsMatrix() {
			size = uint64(len(Hash{}))
		}
		if uint64(len(rest)) < size {
			return nil, Hash{}, fmt.Errorf("%w: it ends within %q", ErrFormat, m.Name)
		}
		root := Hash{}
		if t.IsMatrix() {
			copy(root[:], rest)
		} else {
			t.data = rest[:size:size]
			root = dataRoot(t.data)
		}
		tree.Add(LeafHash(slices.Concat(m.Entry, root[:])))
		all[m.Name], last, rest = t, m.Name, rest[size:]
	}
	if len(rest) != 0 {
		return nil, Hash{}, fmt.Errorf("%w: %d bytes follow the last tensor", ErrFormat, len(rest))
	}
	return all, TensorsRoot(n, tree.Root()), nil
}
