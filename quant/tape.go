package quant

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// A Value is what operators read and put out: some vectors of one length, one after
// the other, of activations or of int32. It is not changed once made.
type Value struct {
	ID      int     // the number of the operator that put it out; 0: a constant of the model
	Vectors int     // how many
	Narrow  []int16 // activations, or
	Wide    []int32 // sums and wide values; the other one is nil
}

// Elements is the length of each vector.
func (v Value) Elements() int { return (len(v.Narrow) + len(v.Wide)) / max(v.Vectors, 1) }

// Vector is the i-th vector alone.
func (v Value) Vector(i int) Value { return v.Some(i, 1) }

// Some is n vectors, the i-th and following.
func (v Value) Some(i, n int) Value {
	each := v.Elements()
	out := Value{ID: v.ID, Vectors: n}
	if v.Wide != nil {
		out.Wide = v.Wide[i*each:][: n*each : n*each]
	} else {
		out.Narrow = v.Narrow[i*each:][: n*each : n*each]
	}
	return out
}

// Equal reports whether two values are the same vectors, whoever put them out.
func (v Value) Equal(o Value) bool {
	return v.Vectors == o.Vectors && slices.Equal(v.Narrow, o.Narrow) && slices.Equal(v.Wide, o.Wide)
}

// An Operator is one kind of computation with its parameters.
type Operator interface {
	// Kind is its name in records: lower case, at most 255 bytes.
	Kind() string

	// Apply computes the output, without an ID, from the inputs that the operator's
	// comment names, in memory of the room. It depends on nothing else.
	Apply(in []Value, r *Room) Value
}

// A Tape executes operators one after the other and shows them to whoever watches. The
// zero Tape is ready.
type Tape struct {
	Room  *Room    // for the operators; may be nil
	Step  int      // for Op.Step
	Watch func(Op) // called after each operator; nil: never, and nothing is recorded

	ops int
}

// Do executes one operator. layer is the name of its parameters in the weights file,
// or of its output where it has none.
func (t *Tape) Do(layer string, o Operator, in ...Value) Value {
	out := o.Apply(in, t.Room)
	t.ops++
	out.ID = t.ops
	if t.Watch != nil {
		t.Watch(Op{Step: t.Step, Layer: layer, Operator: o, In: in, Out: out})
	}
	return out
}

// Free gives the memory of values that no operator will read again to following outputs, unless
// somebody watches, who may keep what he was shown; see Room.Free.
func (t *Tape) Free(values ...Value) {
	if t.Watch == nil {
		t.Room.Free(values...)
	}
}

// An Op is one executed operator: everything it read and put out. Nothing of it may be
// written to.
//
// Its record is, with all numbers little-endian:
//
//	uint32  ID of the output, counting the run's operators from 1
//	uint32  step, from 1; 0 for what is done once
//	uint8   length of the kind, then the kind
//	uint8   length of the layer's name, then the name
//	uint8   number of inputs, then the uint32 ID of each; 0 is a constant of the model
//	uint32  vectors
//	uint32  elements of a vector
//	uint8   bytes of an element: 2 or 4
//	        the output: vectors · elements signed numbers
//
// A trace is the records of a run, one after the other. It is not self-contained:
// operators' parameters are those of the model that it belongs to.
type Op struct {
	Step     int
	Layer    string
	Operator Operator
	In       []Value
	Out      Value
}

// Holds reports whether the output is what the operator makes of the inputs.
func (o Op) Holds() bool { return o.Operator.Apply(o.In, nil).Equal(o.Out) }

// AppendRecord appends the operator's record.
func (o Op) AppendRecord(b []byte) []byte {
	word := func(n int) { b = binary.LittleEndian.AppendUint32(b, uint32(n)) }
	text := func(s string) { b = append(append(b, byte(len(s))), s...) }
	word(o.Out.ID)
	word(o.Step)
	text(o.Operator.Kind())
	text(o.Layer)
	b = append(b, byte(len(o.In)))
	for _, v := range o.In {
		word(v.ID)
	}
	word(o.Out.Vectors)
	word(o.Out.Elements())
	if o.Out.Wide != nil {
		b = append(b, 4)
		for _, v := range o.Out.Wide {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		return b
	}
	b = append(b, 2)
	for _, v := range o.Out.Narrow {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

// A TraceHash commits to a trace: it is the Merkle tree of RFC 6962 with SHA-256, over
// the operators' records in their order. The zero TraceHash is that of no operators.
type TraceHash struct {
	roots  [][sha256.Size]byte // of the full subtrees from left to right, each smaller than the one before
	leaves uint64
	buffer []byte
}

// Add appends an operator.
func (h *TraceHash) Add(o Op) {
	h.buffer = o.AppendRecord(append(h.buffer[:0], 0))
	h.roots = append(h.roots, sha256.Sum256(h.buffer))
	h.leaves++
	for n := h.leaves; n%2 == 0; n /= 2 {
		h.join()
	}
}

// join makes one subtree of the last two.
func (h *TraceHash) join() {
	n := len(h.roots)
	h.roots = append(h.roots[:n-2], node(h.roots[n-2], h.roots[n-1]))
}

func node(left, right [sha256.Size]byte) [sha256.Size]byte {
	b := append(append([]byte{1}, left[:]...), right[:]...)
	return sha256.Sum256(b)
}

// Root is the tree's root over all operators so far.
func (h *TraceHash) Root() [sha256.Size]byte {
	if len(h.roots) == 0 {
		return sha256.Sum256(nil)
	}
	root := h.roots[len(h.roots)-1]
	for i := len(h.roots) - 2; i >= 0; i-- {
		root = node(h.roots[i], root)
	}
	return root
}
