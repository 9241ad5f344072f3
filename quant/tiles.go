package quant

// tileSide is how many rows, and how many vectors, a tile has.
const tileSide = 16

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
//
// or, without biases, as much more than it was.
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
	const most = 1024 // columns, so that a tile's sides stay in the nearest cache
	var (
		n       = p.bytes.columns(m)
		w       [tileSide * most]int8
		none    [tileSide]int32
		offsets = make([]int32, vectors)
		t       = tile{w: &w[0], rows: m.Rows, step: 4 * tileSide * tileSide / vectors} // so that all vectors together ask for sixteen rows
	)
	for v := range offsets {
		offsets[v] = p.bytes.offset(&x[v*m.Cols], n)
	}
	for r := lo; r < hi; r += tileSide {
		t.ahead = &m.W[r*m.Cols]
		for c := 0; c < n; c += most {
			t.n = min(most, n-c)
			p.tiles.interleave(&w[0], &m.W[r*m.Cols+c], t.n, m.Cols, signs)
			t.skip = tileSide * (m.Cols + c)
			for v := 0; v < vectors; v += tileSide {
				t.dst, t.x, t.offsets, t.bias = &dst[v*m.Rows+r], &laid[v*n+c*tileSide], &offsets[v], nil
				if c == 0 && m.Bias != nil {
					t.bias = &m.Bias[r]
				} else if c == 0 {
					t.bias = &none[0]
				}
				p.tiles.sixteen(&t)
				t.skip += t.n / 4 * t.step
			}
		}
	}
	for v := 0; v < vectors && n < m.Cols; v++ {
		for r := lo; r < hi; r++ {
			dst[v*m.Rows+r] += dot(m.W[r*m.Cols:][n:m.Cols], x[v*m.Cols:][n:m.Cols])
		}
	}
}
