package commit

import (
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/quant"
)

// digits is how many bytes a number below P is cut into.
const digits = 4

// times multiplies a matrix of bytes with vectors of numbers below P, and returns the products' vectors, modulo P.
//
// Each number is Σ d_k·256ᵏ with digits -128 <= d_k <= 127 (the highest one of P - 1 is 127), so the kernels of package
// quant compute four products of bytes for it. Their sums fit an int32, since no matrix here has more than 2¹⁶
// columns; and four of them, times 256ᵏ, an int64.
func times(m *quant.Matrix, vectors [][]uint32, workers int) [][]uint32 {
	x := make([]int16, digits*len(vectors)*m.Cols)
	for i, v := range vectors {
		split(x[digits*i*m.Cols:][:digits*m.Cols], v)
	}
	sums := make([]int32, digits*len(vectors)*m.Rows)
	m.Products(sums, x, digits*len(vectors), workers)
	out := make([][]uint32, len(vectors))
	for i := range out {
		out[i] = join(sums[digits*i*m.Rows:][:digits*m.Rows], m.Rows)
	}
	return out
}

// split writes the lowest digits of all numbers, then the next ones and so on. With 128 added to all but the highest, digits are
// a number's bytes.
func split(dst []int16, v []uint32) {
	const lower = 0x00808080
	n := len(v)
	d0, d1, d2, d3 := dst[:n], dst[n:][:n], dst[2*n:][:n], dst[3*n:][:n]
	for i, a := range v {
		a += lower
		d0[i], d1[i], d2[i], d3[i] = int16(a&0xff)-128, int16(a>>8&0xff)-128, int16(a>>16&0xff)-128, int16(a>>24)
	}
}

func join(sums []int32, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		v := int64(0)
		for k := digits - 1; k >= 0; k-- {
			v = v<<8 + int64(sums[k*n+i])
		}
		if v %= field.P; v < 0 {
			v += field.P
		}
		out[i] = uint32(v)
	}
	return out
}

// timesExt is times for one vector of the extension, whose coordinates are four vectors.
func timesExt(m *quant.Matrix, v []field.Ext, workers int) []field.Ext {
	vectors := make([][]uint32, 4)
	for i := range vectors {
		vectors[i] = make([]uint32, len(v))
	}
	for j := range v {
		for i, c := range field.Coordinates(&v[j]) {
			vectors[i][j] = c
		}
	}
	sums := times(m, vectors, workers)
	out := make([]field.Ext, m.Rows)
	for j := range out {
		out[j] = field.FromCoordinates([4]uint64{uint64(sums[0][j]), uint64(sums[1][j]), uint64(sums[2][j]), uint64(sums[3][j])})
	}
	return out
}
