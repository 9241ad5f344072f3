package quant

import "sync"

// Gather has no input. Its output is, for each list, the sum of some rows of a table,
// each times its weight.
type Gather struct {
	Table []int8 // rows of Cols
	Cols  int
	Lists [][]Weighted
}

// Weighted is the index of a row and its weight.
type Weighted struct {
	Row    int
	Weight int32
}

// Kind is "gather".
func (Gather) Kind() string { return "gather" }

// Apply is described with the type.
func (g Gather) Apply(_ []Value, r *Room) Value {
	out := r.Wide(len(g.Lists), g.Cols)
	for v, list := range g.Lists {
		sum := vector(out.Wide, v, g.Cols)
		clear(sum)
		for _, w := range list {
			for i, x := range vector(g.Table, w.Row, g.Cols) {
				sum[i] += w.Weight * int32(x)
			}
		}
	}
	return out
}

// Product has one input, of activations. Its output is the matrix's sums, biases included.
type Product struct{ *Matrix }

// Kind is "product".
func (Product) Kind() string { return "product" }

// Apply is described with the type.
func (p Product) Apply(in []Value, r *Room) Value {
	out := r.Wide(in[0].Vectors, p.Rows)
	p.products(out.Wide, in[0].Narrow, in[0].Vectors, r)
	return out
}

// Sum has two inputs of int32 and adds them, element by element. If the second has one
// vector, it is added to each of the first.
type Sum struct{}

// Kind is "sum".
func (Sum) Kind() string { return "sum" }

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
