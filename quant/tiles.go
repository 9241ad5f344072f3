package quant

// tileSide is how many rows, and how many vectors, a tile has.
const tileSide = 16

// tileColumns is how many a matrix may have: with more, a tile's sides do not stay in the nearest
// cache, and kernels of four rows are as fast.
const tileColumns = 1024

// tiles are the inner loops for products of many vectors. They read rows and vectors sixteen at a
// time, laid out so that four columns of all sixteen are one after the other, then the next four.
type tiles struct {
	// interleave lays out n columns, a multiple of kernels.chunk and above 0, of sixteen rows that
	// are stride apart, with the bits of flip inverted in each four columns.
	interleave func(dst, src *int8, n, stride int, flip uint32)

	sixteen func(*tile)
}

// A tile is the sums of sixteen rows and sixteen vectors over some columns:
//
//	dst[v·rows + r] = bias[r] + offsets[v] + Σ (w[r]+128)·x[v]
type tile struct {
	dst     *int32
	w, x    *int8 // as interleaved, w with its sign bits flipped
	n, rows int   // columns; rows of the whole matrix
	bias    *int32
	offsets *int32

	// Weights that come soon: for each four columns the line skip bytes behind ahead is asked for, and
	// each time another one step bytes further.
	ahead      *int8
	skip, step int
}

// signs are the sign bits of four columns.
const signs = 0x80808080

// tiledRows is kernels.rows where it can be by tiles. laid are the vectors as interleaved.
func (p *path) tiledRows(m *Matrix, dst []int32, x, laid []int8, vectors, lo, hi int) {
	tiled, many := hi-(hi-lo)%tileSide, vectors-vectors%tileSide
	p.tile(m, dst, x, laid, many, lo, tiled)
	rest := func(from, to, lo, hi int) {
		p.bytes.rows(m, dst[from*m.Rows:], x[from*m.Cols:], to-from, lo, hi)
	}
	rest(many, vectors, lo, tiled)
	rest(0, vectors, tiled, hi)
}

// layOut interleaves all whole sixteens of the vectors, but for their last columns.
func (p *path) layOut(laid, x []int8, m *Matrix, vectors int) {
	n := p.bytes.columns(m)
	for v := 0; v+tileSide <= vectors; v += tileSide {
		p.tiles.interleave(&laid[v*n], &x[v*m.Cols], n, m.Cols, 0)
	}
}

// tile computes rows lo to hi of vectors, both whole sixteens.
func (p *path) tile(m *Matrix, dst []int32, x, laid []int8, vectors, lo, hi int) {
	var (
		n       = p.bytes.columns(m)
		w       [tileSide * tileColumns]int8
		none    [tileSide]int32
		offsets = make([]int32, vectors)
		t       = tile{w: &w[0], n: n, rows: m.Rows, bias: &none[0], step: 4 * tileSide * tileSide / vectors} // so that all vectors together ask for sixteen rows
	)
	for v := range offsets {
		offsets[v] = p.bytes.offset(&x[v*m.Cols], n)
	}
	for r := lo; r < hi; r += tileSide {
		p.tiles.interleave(&w[0], &m.W[r*m.Cols], n, m.Cols, signs)
		if m.Bias != nil {
			t.bias = &m.Bias[r]
		}
		t.ahead, t.skip = &m.W[r*m.Cols], tileSide*m.Cols
		for v := 0; v < vectors; v += tileSide {
			t.dst, t.x, t.offsets = &dst[v*m.Rows+r], &laid[v*n], &offsets[v]
			p.tiles.sixteen(&t)
			t.skip += n / 4 * t.step
		}
	}
	for v := 0; v < vectors && n < m.Cols; v++ {
		for r := lo; r < hi; r++ {
			dst[v*m.Rows+r] += dot(m.W[r*m.Cols:][n:m.Cols], x[v*m.Cols:][n:m.Cols])
		}
	}
}
