package quant

import "math/bits"

// A Room is what operators work in: how many goroutines one may use, and memory for outputs,
// which can be given back. A nil Room is one worker and fresh memory every time. It is used by one
// goroutine at a time; operators ask for memory before they start others.
type Room struct {
	Workers int

	wide   recycled[int32]
	narrow recycled[int16]
	bytes  recycled[int8]
	words  recycled[uint64]
}

// Wide is a value of int32 for an operator to fill: what is in it is any number.
func (r *Room) Wide(vectors, elements int) Value {
	if r == nil {
		return Value{Vectors: vectors, Wide: make([]int32, vectors*elements)}
	}
	return Value{Vectors: vectors, Wide: r.wide.take(vectors * elements)}
}

// Narrow is Wide for activations.
func (r *Room) Narrow(vectors, elements int) Value {
	if r == nil {
		return Value{Vectors: vectors, Narrow: make([]int16, vectors*elements)}
	}
	return Value{Vectors: vectors, Narrow: r.narrow.take(vectors * elements)}
}

// Free gives the memory of values back. Each must come whole from Wide or Narrow, through an
// operator or not, and nobody may read or free it again.
func (r *Room) Free(values ...Value) {
	if r == nil {
		return
	}
	for _, v := range values {
		r.wide.give(v.Wide)
		r.narrow.give(v.Narrow)
	}
}

// Words is memory for an operator's own use, with anything in it. It gives it back with FreeWords.
func (r *Room) Words(n int) []uint64 {
	if r == nil {
		return make([]uint64, n)
	}
	return r.words.take(n)
}

// FreeWords gives back what Words gave.
func (r *Room) FreeWords(words []uint64) {
	if r != nil {
		r.words.give(words)
	}
}

// takeBytes is room for packed activations.
func (r *Room) takeBytes(n int) []int8 {
	if r == nil {
		return make([]int8, n)
	}
	return r.bytes.take(n)
}

func (r *Room) freeBytes(bytes []int8) {
	if r != nil {
		r.bytes.give(bytes)
	}
}

// Each is the function Each with the room's workers.
func (r *Room) Each(n int, do func(i int)) { Each(n, r.workers(), do) }

func (r *Room) workers() int {
	if r == nil {
		return 1
	}
	return r.Workers
}

// recycled are slices to use again by the class of their capacity; the one given back last, which is
// likeliest still near the processor, comes first.
type recycled[T int8 | int16 | int32 | uint64] map[int][][]T

func (c *recycled[T]) take(n int) []T {
	class := capacityFor(n)
	free := (*c)[class]
	last := len(free) - 1
	if last < 0 {
		return make([]T, n, class)
	}
	(*c)[class] = free[:last]
	return free[last][:n]
}

func (c *recycled[T]) give(s []T) {
	if cap(s) == 0 {
		return
	}
	if *c == nil {
		*c = recycled[T]{}
	}
	(*c)[cap(s)] = append((*c)[cap(s)], s)
}

// capacityFor is n rounded up by less than a quarter, so that similar needs share memory.
func capacityFor(n int) int {
	step := 1 << max(bits.Len(uint(n))-3, 4)
	return max((n+step-1)/step, 1) * step
}
