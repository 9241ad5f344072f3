package quant

import "sync"

// Words has no input: it is what a request's text becomes before any arithmetic. Its output is, for each
// list, its pairs of a row's index and its weight, filled up with zeros to the longest list's length.
type Words struct {
	Lists [][]Weighted
	Facts []int32 // what else follows from the text; at most 255
}

// Weighted is the index of a row of a table and its weight.
type Weighted struct {
	Row    int
	Weight int32
}

// Kind is "words".
func (Words) Kind() string { return "words" }

// Numbers are the facts.
func (w Words) Numbers() []int32 { return w.Facts }

// Type is Int32.
func (Words) Type() Type { return Int32 }

// Apply is described with the type.
func (w Words) Apply(_ []Value, r *Room) Value {
	longest := 1
	for _, list := range w.Lists {
		longest = max(longest, len(list))
	}
	out := r.Wide(len(w.Lists), 2*longest)
	clear(out.Wide)
	for v, list := range w.Lists {
		pairs := vector(out.Wide, v, 2*longest)
		for i, one := range list {
			pairs[2*i], pairs[2*i+1] = int32(one.Row), one.Weight
		}
	}
	return out
}

// Plan is the commitment to a trace that ends with the operator as its first one.
func (w Words) Plan() Hash {
	t := Tape{Hash: new(TraceHash)}
	t.Do("words", w)
	return t.Hash.Root()
}

// Gather has one input, of pairs of a row's index and its weight. Its output is, for each vector of it, the sum
// of these rows of a table, each times its weight. Rows that the table has not are zero.
type Gather struct {
	Table []int8 // rows of Cols
	Cols  int
}

// Kind is "gather".
func (Gather) Kind() string { return "gather" }

// Numbers are none.
func (Gather) Numbers() []int32 { return nil }

// Type is Int32.
func (Gather) Type() Type { return Int32 }

// Apply is described with the type.
func (g Gather) Apply(in []Value, r *Room) Value {
	out := r.Wide(in[0].Vectors, g.Cols)
	for v := range in[0].Vectors {
		sum := vector(out.Wide, v, g.Cols)
		clear(sum)
		pairs := vector(in[0].Wide, v, in[0].Elements())
		for ; len(pairs) >= 2; pairs = pairs[2:] {
			row, weight := int(pairs[0]), pairs[1]
			if weight == 0 || row < 0 || row >= len(g.Table)/g.Cols {
				continue
			}
			for i, x := range vector(g.Table, row, g.Cols) {
				sum[i] += weight * int32(x)
			}
		}
	}
	return out
}

// Product has one input, of activations. Its output is the matrix's sums, biases included.
type Product struct{ *Matrix }

// Kind is "product".
func (Product) Kind() string { return "product" }

// Numbers are 1 if there are biases, else 0.
func (p Product) Numbers() []int32 { return []int32{bit(p.Bias != nil)} }

// Type is Int32.
func (Product) Type() Type { return Int32 }

// Apply is described with the type.
func (p Product) Apply(in []Value, r *Room) Value {
	out := r.Wide(in[0].Vectors, p.Rows)
	p.products(out.Wide, in[0].Narrow, in[0].Vectors, r)
	return out
}

func bit(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// Sum has two inputs of int32 and adds them, element by element. If the second has one
// vector, it is added to each of the first.
type Sum struct{}

// Kind is "sum".
func (Sum) Kind() string { return "sum" }

// Numbers are none.
func (Sum) Numbers() []int32 { return nil }

// Type is Int32.
func (Sum) Type() Type { return Int32 }

// Apply is described with the type.
func (Sum) Apply(in []Value, r *Room) Value {
	a, b := in[0], in[1]
	out := r.Wide(a.Vectors, a.Elements())
	for v := range a.Vectors {
		n := a.Elements()
		add(vector(out.Wide, v, n), vector(a.Wide, v, n), vector(b.Wide, min(v, b.Vectors-1), n), 0)
	}
	return out
}

// Rescale has one input of int32 and changes its unit: requantise(v, Mul[i], Shift).
type Rescale struct{ Scale }

// Kind is "rescale".
func (Rescale) Kind() string { return "rescale" }

// Numbers are none.
func (Rescale) Numbers() []int32 { return nil }

// Type is Int32.
func (Rescale) Type() Type { return Int32 }

// Apply is described with the type.
func (s Rescale) Apply(in []Value, r *Room) Value {
	n := len(s.Mul)
	out := r.Wide(in[0].Vectors, n)
	r.Each(in[0].Vectors, func(v int) { s.Wide(vector(out.Wide, v, n), vector(in[0].Wide, v, n)) })
	return out
}

// Activate has one input of int32 and changes its unit as Rescale does, to activations
// within Lo..Hi.
type Activate struct {
	Scale
	Lo, Hi int16
}

// Kind is "activate".
func (Activate) Kind() string { return "activate" }

// Numbers are Lo and Hi.
func (a Activate) Numbers() []int32 { return []int32{int32(a.Lo), int32(a.Hi)} }

// Type is Int8 if that holds Lo to Hi, else Int16.
func (a Activate) Type() Type {
	if a.Lo >= -128 && a.Hi <= 127 {
		return Int8
	}
	return Int16
}

// Apply is described with the type.
func (a Activate) Apply(in []Value, r *Room) Value {
	n := len(a.Mul)
	out := r.Narrow(in[0].Vectors, n)
	r.Each(in[0].Vectors, func(v int) { a.Narrow(vector(out.Narrow, v, n), vector(in[0].Wide, v, n), a.Lo, a.Hi) })
	return out
}

// Lookup has one input of int32. Its output is what the table says of the elements From
// to From+Elements, without the last, of each vector.
type Lookup struct {
	Table
	From, Elements int
}

// Kind is "lookup".
func (Lookup) Kind() string { return "lookup" }

// Numbers are what the table begins with, and From.
func (l Lookup) Numbers() []int32 { return []int32{l.First, int32(l.From)} }

// Type is Int16.
func (Lookup) Type() Type { return Int16 }

// Apply is described with the type.
func (l Lookup) Apply(in []Value, r *Room) Value {
	out := r.Narrow(in[0].Vectors, l.Elements)
	r.Each(in[0].Vectors, func(v int) {
		dst := vector(out.Narrow, v, l.Elements)
		for i, x := range vector(in[0].Wide, v, in[0].Elements())[l.From:][:l.Elements] {
			dst[i] = l.At(x)
		}
	})
	return out
}

// vector is the i-th of the vectors of n elements that all holds.
func vector[T any](all []T, i, n int) []T { return all[i*n:][:n:n] }

// Each calls do with 0 to n-1, on at most workers goroutines, all finished when it returns;
// with 1 or less, in the caller's.
func Each(n, workers int, do func(i int)) {
	workers = min(workers, n)
	if workers <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				do(i)
			}
		})
	}
	wg.Wait()
}
