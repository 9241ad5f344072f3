package quant

// A path is one way of computing products. All give the same sums, to the bit, for
// any int8 weights and int16 activations: the additions are those of integers modulo
// 2³², whose order does not matter, and no step in between saturates.
//
// A path of no kernels is scalar Go, the reference.
type path struct {
	name  string
	wide  *kernels[int16] // for any activations
	bytes *kernels[int8]  // faster, for activations that fit an int8; nil: none
	tiles *tiles          // beside bytes, for many vectors; nil: none

	// pack copies n activations, a multiple of packChunk, to dst and reports whether
	// all of them fit. It is there if bytes is.
	pack func(dst *int8, src *int16, n int) bool

	// dst = a + b + offset for n elements, a multiple of addChunk and above 0; nil: scalar Go.
	add func(dst, a, b *int32, n int, offset int32)

	// Scale.Wide and Scale.Narrow of n elements, a multiple of scaleChunk and above 0; nil:
	// scalar Go. Neither changes what Requantise gives.
	scaleWide   func(dst, src, mul *int32, n int, shift uint)
	scaleNarrow func(dst *int16, src, mul *int32, n int, shift uint, lo, hi int32)

	// Flow.row of n pixels, a multiple of flowChunk and above 0, and what the last one is pulled by
	// from its right; nil: scalar Go.
	flow func(dst, here, below, was, now, pulls *int32, n, wide int, first, last int32) (before int32)
}

// packChunk is what pack takes at a time.
const packChunk = 32

// addChunk is what add takes at a time, a power of two.
const addChunk = 16

// scaleChunk is what scaleWide and scaleNarrow take at a time, a power of two.
const scaleChunk = 8

// flowChunk is what flow takes at a time, a power of two.
const flowChunk = 16

// paths are those that this machine can take, the fastest first, the scalar one last.
var paths = append(machinePaths(), path{name: "scalar"})

// chosen is the path that products take. Tests set it.
var chosen = paths[0]

// kernels are a path's inner loops. Each works on groups of four rows:
//
//	dst[v·rows + r] = Σ w[r·cols + c]·x[v·cols + c]    r < 4·groups, c < n
//
// for one vector (v = 0) or for many at once. n is a multiple of chunk, above 0 and at
// most cols; groups is above 0.
type kernels[T int8 | int16] struct {
	chunk     int // columns
	many      int // vectors
	one, some func(dst *int32, w *int8, x *T, groups, n, cols, rows int)

	// What one and some leave out of the sums of a vector's n columns; nil: nothing.
	offset func(x *T, n int) int32
}

// prepare returns a function that computes rows lo to hi, without hi, of all vectors'
// sums. It may be called for several ranges at the same time. packed has twice the length of x and
// is used while rows is.
func (p *path) prepare(m *Matrix, dst []int32, x []int16, packed []int8, vectors int) (rows func(lo, hi int)) {
	packed, laid := packed[:len(x)], packed[len(x):]
	if p.bytes != nil && m.Cols >= p.bytes.chunk && p.packAll(packed, x) {
		if p.tiles == nil || vectors < tileSide || m.Cols > tileColumns {
			return func(lo, hi int) { p.bytes.rows(m, dst, packed, vectors, lo, hi) }
		}
		p.layOut(laid, packed, m, vectors)
		return func(lo, hi int) { p.tiledRows(m, dst, packed, laid, vectors, lo, hi) }
	}
	if p.wide != nil && m.Cols >= p.wide.chunk {
		return func(lo, hi int) { p.wide.rows(m, dst, x, vectors, lo, hi) }
	}
	return func(lo, hi int) { scalarRows(m, dst, x, vectors, lo, hi) }
}

// packAll copies x to packed and reports whether all of it fits.
func (p *path) packAll(packed []int8, x []int16) bool {
	n := len(x) - len(x)%packChunk
	if n > 0 && !p.pack(&packed[0], &x[0], n) {
		return false
	}
	for i := n; i < len(x); i++ {
		packed[i] = int8(x[i])
		if int16(packed[i]) != x[i] {
			return false
		}
	}
	return true
}

// columns are those that the kernels take; what is left of a row is less than a chunk.
func (k *kernels[T]) columns(m *Matrix) int { return m.Cols - m.Cols%k.chunk }

func (k *kernels[T]) rows(m *Matrix, dst []int32, x []T, vectors, lo, hi int) {
	// A few rows stay in the nearest cache while the vectors pass, and in that time the next ones come
	// from memory: more at once would be waited for.
	const bytes = 2 << 10
	n, full := k.columns(m), hi-(hi-lo)%4
	block := max(4, full-lo)
	if vectors > 1 {
		block = max(4, bytes/m.Cols&^3)
	}
	for r := lo; r < full; r += block {
		groups, w := min(block, full-r)/4, &m.W[r*m.Cols]
		v := 0
		for ; v+k.many <= vectors; v += k.many {
			k.some(&dst[v*m.Rows+r], w, &x[v*m.Cols], groups, n, m.Cols, m.Rows)
		}
		for ; v < vectors; v++ {
			k.one(&dst[v*m.Rows+r], w, &x[v*m.Cols], groups, n, m.Cols, m.Rows)
		}
	}
	for v := range vectors {
		sums, x := dst[v*m.Rows:][:m.Rows], x[v*m.Cols:][:m.Cols]
		missing := int32(0)
		if k.offset != nil && full > lo {
			missing = k.offset(&x[0], n)
		}
		for r := lo; r < full && n < m.Cols; r++ { // the last columns
			sums[r] += dot(m.W[r*m.Cols:][n:m.Cols], x[n:])
		}
		for r := full; r < hi; r++ { // the last rows
			sums[r] = dot(m.W[r*m.Cols:][:m.Cols], x)
		}
		m.finish(sums, lo, full, missing)
		m.finish(sums, full, hi, 0)
	}
}

// finish adds the biases and an offset to sums of rows lo to hi.
func (m *Matrix) finish(sums []int32, lo, hi int, offset int32) {
	sums = sums[lo:hi]
	if m.Bias != nil {
		add(sums, sums, m.Bias[lo:hi], offset)
		return
	}
	for i := 0; i < len(sums) && offset != 0; i++ {
		sums[i] += offset
	}
}

// scalarRows takes four rows at a time: each activation is then loaded and widened
// once for four multiplications.
func scalarRows(m *Matrix, dst []int32, x []int16, vectors, lo, hi int) {
	n, r := m.Cols, lo
	for ; r+4 <= hi; r += 4 {
		w := m.W[r*n : (r+4)*n]
		for v := range vectors {
			dot4((*[4]int32)(dst[v*m.Rows+r:]), w[:n], w[n:2*n], w[2*n:3*n], w[3*n:], x[v*n:(v+1)*n])
		}
	}
	for ; r < hi; r++ {
		for v := range vectors {
			dst[v*m.Rows+r] = dot(m.W[r*n:(r+1)*n], x[v*n:(v+1)*n])
		}
	}
	for v := range vectors {
		m.finish(dst[v*m.Rows:(v+1)*m.Rows], lo, hi, 0)
	}
}

func dot[T int8 | int16](w []int8, x []T) (sum int32) {
	w = w[:len(x)]
	for i, v := range x {
		sum += int32(w[i]) * int32(v)
	}
	return sum
}

func dot4(sum *[4]int32, a, b, c, d []int8, x []int16) {
	a, b, c, d = a[:len(x)], b[:len(x)], c[:len(x)], d[:len(x)]
	var sa, sb, sc, sd int32
	for i, v := range x {
		v := int32(v)
		sa += int32(a[i]) * v
		sb += int32(b[i]) * v
		sc += int32(c[i]) * v
		sd += int32(d[i]) * v
	}
	*sum = [4]int32{sa, sb, sc, sd}
}
