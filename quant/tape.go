package quant

import "slices"

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
	// Kind is its name in traces: lower case, at most 255 bytes.
	Kind() string

	// Numbers are what it computes with besides its inputs and the tensors of its layer: at most 255.
	Numbers() []int32

	// Type is the type that holds each element of its output: Int32 for wide ones.
	Type() Type

	// Apply computes the output, without an ID, from the inputs that the operator's
	// comment names, in memory of the room. It depends on nothing else.
	Apply(in []Value, r *Room) Value
}

// A Tape executes operators one after the other and shows them to whoever watches. The
// zero Tape is ready.
type Tape struct {
	Room  *Room      // for the operators; may be nil
	Step  int        // for Op.Step
	Watch func(Op)   // called after each operator, and may keep what it is shown; nil: never
	Hash  *TraceHash // is shown each operator; nil: nobody is

	// Given, if not nil, is asked before each operator, whose Out has only its ID, for an output to take
	// instead of computing it; its shape must be right.
	Given func(Op) (Value, bool)

	ops int
}

// Do executes one operator. layer is the name of its parameters in the weights file,
// or of its output where it has none.
func (t *Tape) Do(layer string, o Operator, in ...Value) Value {
	t.ops++
	out, given := Value{}, false
	if t.Given != nil {
		out, given = t.Given(Op{Step: t.Step, Layer: layer, Operator: o, In: in, Out: Value{ID: t.ops}})
	}
	if !given {
		out = o.Apply(in, t.Room)
	}
	out.ID = t.ops
	if t.Watch == nil && t.Hash == nil {
		return out
	}
	op := Op{Step: t.Step, Layer: layer, Operator: o, In: in, Out: out}
	if t.Hash != nil {
		t.Hash.Add(op)
	}
	if t.Watch != nil {
		t.Watch(op)
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
type Op struct {
	Step     int
	Layer    string
	Operator Operator
	In       []Value
	Out      Value
}

// Holds reports whether the output is what the operator makes of the inputs.
func (o Op) Holds() bool { return o.Operator.Apply(o.In, nil).Equal(o.Out) }

// AppendRecord appends the operator's record: its header, then its output. A file of a run's records, one after
// the other, is not self-contained: operators' parameters are those of the model.
func (o Op) AppendRecord(b []byte) []byte { return o.AppendOutput(o.Header().Append(b)) }
