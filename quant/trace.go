package quant

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"unsafe"
)

// A Header says which computation an operator is: everything about it but the numbers that it put
// out. docs/protocol/trace.md gives its bytes.
type Header struct {
	ID       int    // counts the run's operators from 1
	Step     int    // from 1; 0 for what is done once
	Kind     string // of the operator
	Layer    string // whose tensors it computes with
	In       []int  // IDs of its inputs; 0: a constant of the model
	Vectors  int    // of the output
	Elements int    // of each vector
	Type     Type   // of the elements
	Numbers  []int32
}

// Size is that of the output in bytes.
func (h Header) Size() int { return h.Vectors * h.Elements * h.Type.Size() }

// maxOutput bounds what a header may say of an output, in elements: far above what any operator makes, and low
// enough that no product of sizes overflows.
const maxOutput = 1 << 28

// errHeader is about bytes that are no header.
var errHeader = errors.New("not an operator's header")

// Append appends the header's bytes.
func (h Header) Append(b []byte) []byte {
	word := func(n int) { b = binary.LittleEndian.AppendUint32(b, uint32(n)) }
	text := func(s string) { b = append(append(b, byte(len(s))), s...) }
	word(h.ID)
	word(h.Step)
	text(h.Kind)
	text(h.Layer)
	b = append(b, byte(len(h.In)))
	for _, id := range h.In {
		word(id)
	}
	word(h.Vectors)
	word(h.Elements)
	b = append(b, byte(h.Type), byte(len(h.Numbers)))
	for _, n := range h.Numbers {
		word(int(n))
	}
	return b
}

// ReadHeader reads the header at the beginning of some bytes from anyone, and returns what follows it.
func ReadHeader(b []byte) (h Header, rest []byte, err error) {
	word := func() (n int) {
		if len(b) < 4 {
			err = errHeader
			return 0
		}
		v := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if v > math.MaxInt32 {
			err = errHeader
		}
		return int(v & math.MaxInt32)
	}
	short := func(n int) []byte {
		if len(b) < n {
			err = errHeader
			return make([]byte, n)
		}
		out := b[:n]
		b = b[n:]
		return out
	}
	text := func() string { return string(short(int(short(1)[0]))) }
	h.ID, h.Step, h.Kind, h.Layer = word(), word(), text(), text()
	for range int(short(1)[0]) {
		h.In = append(h.In, word())
	}
	h.Vectors, h.Elements, h.Type = word(), word(), Type(short(1)[0])
	for range int(short(1)[0]) {
		h.Numbers = append(h.Numbers, int32(binary.LittleEndian.Uint32(short(4))))
	}
	if err == nil && (!h.Type.valid() || h.Vectors < 1 || h.Elements < 1 || h.Elements > maxOutput/h.Vectors) {
		err = errHeader
	}
	return h, b, err
}

// Header is that of an executed operator.
func (o Op) Header() Header {
	h := Header{
		ID: o.Out.ID, Step: o.Step, Kind: o.Operator.Kind(), Layer: o.Layer,
		Vectors: o.Out.Vectors, Elements: o.Out.Elements(), Type: o.Operator.Type(), Numbers: o.Operator.Numbers(),
	}
	for _, v := range o.In {
		h.In = append(h.In, v.ID)
	}
	return h
}

// AppendOutput appends the bytes of the output: its elements as the header's type says, little-endian.
func (o Op) AppendOutput(b []byte) []byte {
	typ, n := o.Operator.Type(), len(o.Out.Wide)+len(o.Out.Narrow)
	for from := 0; from < n; from += BlockSize {
		b = appendElements(b, o.Out, typ, from, min(from+BlockSize, n))
	}
	return b
}

// appendElements appends elements from..to-1 of a value.
func appendElements(b []byte, v Value, typ Type, from, to int) []byte {
	switch {
	case v.Wide != nil:
		return appendLittle(b, v.Wide[from:to], func(b []byte, x int32) []byte { return binary.LittleEndian.AppendUint32(b, uint32(x)) })
	case typ.Size() == 1:
		at := len(b)
		b = append(b, make([]byte, to-from)...)
		out := b[at:]
		for i, x := range v.Narrow[from:to] {
			out[i] = byte(x)
		}
		return b
	}
	return appendLittle(b, v.Narrow[from:to], func(b []byte, x int16) []byte { return binary.LittleEndian.AppendUint16(b, uint16(x)) })
}

// appendLittle appends integers as they lie in memory, where that is their byte order.
func appendLittle[T int16 | int32](b []byte, all []T, one func([]byte, T) []byte) []byte {
	if littleEndian && len(all) > 0 {
		return append(b, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(all))), len(all)*int(unsafe.Sizeof(all[0])))...)
	}
	for _, x := range all {
		b = one(b, x)
	}
	return b
}

// A TraceHash commits to the operators of a run, in their order, as docs/protocol/trace.md says: each
// by its header and the root of its output's blocks. It keeps nothing of what it was
// shown. The zero TraceHash is that of no operators.
type TraceHash struct {
	operators Tree
	output    Tree
	buffer    []byte
}

// Add appends an operator.
func (h *TraceHash) Add(o Op) {
	typ, n := o.Operator.Type(), len(o.Out.Wide)+len(o.Out.Narrow)
	each := BlockSize / typ.Size()
	h.output.reset()
	for from := 0; from < n; from += each {
		h.buffer = appendElements(append(h.buffer[:0], 0), o.Out, typ, from, min(from+each, n))
		h.output.Add(sha256.Sum256(h.buffer))
	}
	root := h.output.Root()
	h.buffer = append(o.Header().Append(append(h.buffer[:0], 0)), root[:]...)
	h.operators.Add(sha256.Sum256(h.buffer))
}

// PlanHash commits to how a run begins without saying it: the hash of a byte of 3, a salt, and the TraceRoot of the
// first operator alone.
func PlanHash(salt, begins Hash) Hash {
	return sha256.Sum256(append(append([]byte{3}, salt[:]...), begins[:]...))
}

// Root commits to all operators so far and their number; zero for none, and for a nil TraceHash.
func (h *TraceHash) Root() Hash {
	if h == nil || h.operators.leaves == 0 {
		return Hash{}
	}
	return TraceRoot(h.operators.Leaves(), h.operators.Root())
}

// TraceRoot is the commitment to a trace of that many operators, of whose leaves tree is the root: the hash of
// a byte of 2, the number as a uint32, little-endian, and the root.
func TraceRoot(operators int, tree Hash) Hash {
	b := binary.LittleEndian.AppendUint32([]byte{2}, uint32(operators))
	return sha256.Sum256(append(b, tree[:]...))
}
