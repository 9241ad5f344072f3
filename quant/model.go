package quant

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// A ModelTensor is one tensor of a weights file as a model's root commits to it.
type ModelTensor struct {
	Name     string
	Type     Type
	Elements int
	Shift    uint
	Entry    []byte // of the file's table: 64 bytes
	Data     []byte // of the file
}

// ReadModel lists the tensors of a weights file in its order. They share its memory.
//
// Errors: wraps ErrFormat.
func ReadModel(file []byte) ([]ModelTensor, error) {
	all, err := ReadTensors(file)
	if err != nil {
		return nil, err
	}
	out := make([]ModelTensor, len(all))
	for i := range out {
		if out[i], err = ReadEntry(file[headerSize+entrySize*i:][:entrySize]); err != nil {
			return nil, err
		}
		out[i].Data = all[out[i].Name].data
	}
	return out, nil
}

// ReadEntry reads an entry of a weights file's table from anyone, without the data.
//
// Errors: wraps ErrFormat.
func ReadEntry(b []byte) (ModelTensor, error) {
	if len(b) != entrySize {
		return ModelTensor{}, fmt.Errorf("%w: an entry of %d bytes", ErrFormat, len(b))
	}
	e := entry(b)
	out := ModelTensor{Entry: b}
	name, err := e.name()
	t := Tensor{Type: Type(e[32]), Shift: uint(e[34])}
	if err == nil && (!t.Type.valid() || t.Shift > maxShift) {
		err = fmt.Errorf("type %d, shift %d", e[32], e[34])
	}
	if err == nil {
		_, err = e.shape(&t, maxOutput)
	}
	if err != nil {
		return out, fmt.Errorf("%w: entry: %w", ErrFormat, err)
	}
	out.Name, out.Type, out.Elements, out.Shift = name, t.Type, t.Len(), t.Shift
	return out, nil
}

// ModelRoot commits to a weights file's tensors: docs/protocol/weights.md.
//
// Errors: wraps ErrFormat.
func ModelRoot(file []byte) (Hash, error) {
	all, err := ReadModel(file)
	if err != nil {
		return Hash{}, err
	}
	var tree Tree
	for _, t := range all {
		root := dataRoot(t.Data)
		tree.Add(LeafHash(append(append([]byte{}, t.Entry...), root[:]...)))
	}
	return TensorsRoot(len(all), tree.Root()), nil
}

// TensorsRoot is the root of a model of that many tensors, of whose leaves tree is the root: the hash of a byte
// of 3, the number as a uint32, little-endian, and tree.
func TensorsRoot(tensors int, tree Hash) Hash {
	b := binary.LittleEndian.AppendUint32([]byte{3}, uint32(tensors))
	return sha256.Sum256(append(b, tree[:]...))
}

// ElementOf reads an element from the beginning of some bytes, which hold at least one.
func (t Type) ElementOf(b []byte) int32 {
	switch t {
	case Int8:
		return int32(int8(b[0]))
	case Uint8:
		return int32(b[0])
	case Int16:
		return int32(int16(binary.LittleEndian.Uint16(b)))
	}
	return int32(binary.LittleEndian.Uint32(b))
}
