// Package commit commits to matrices of bytes by one hash, and opens a random combination of them: the
// Reed-Solomon code and the Merkle tree of Ligero (Thaler, 10.4), with the opening of a multilinear
// extension of Brakedown.
//
// It exists because the checker of a run has no weights: all that a proof leaves to know of them is one number, Σ
// a·W~(r, s) over all matrices, and this package shows it in some two hundred kilobytes. The commitment is made once
// per model. docs/protocol/proof.md defines grid, lanes, code and root; it also says why there is no proximity
// test for the weights: their tree's root is recomputed by whoever has them, so that it is known to be of a code. The
// combination of rows that an opening is about is committed to in turn, with such a test (row.go).
//
// The package knows no engine and draws no challenge but those of an opening. It must not keep the code, which is 64
// times as large as the weights: columns are made when they are asked for.
package commit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/essaim/essaim/quant"
)

const (
	// Lane is how many columns of a matrix lie beside each other in the grid.
	Lane = 256

	// LaneBits is the base-2 logarithm of Lane.
	LaneBits = 8

	// Rate is how many times longer the code is than a row.
	Rate = 16

	// Queries is how many columns are shown: a wrong row agrees with a right one in less than
	// 1/Rate of all, so it passes with chance below Rate^-Queries = 2^-108.
	Queries = 27

	maxMatrices = 4096
	maxRows     = 1 << 16 // of a matrix and of the grid: sums of digits then fit an int32
	maxCols     = 1 << 20
	maxColumns  = 1 << 15
)

// ErrShape is wrapped by complaints about matrices that cannot be committed to.
var ErrShape = errors.New("matrices cannot be committed to")

// A Shape is a matrix's name and size: Rows sums of Cols products each.
type Shape struct {
	Name       string
	Rows, Cols int
}

func (s Shape) lanes() int { return (s.Cols + Lane - 1) / Lane }

// A Layout says where in the grid each number lies. It follows from the shapes.
type Layout struct {
	Shapes  []Shape
	Columns int // of the grid, a power of two
	Rows    int // of the grid
	Lanes   int // of all matrices
	beside  int // lanes beside each other
	points  int // coordinates of a point that combines rows
	first   []int
}

// NewLayout makes the layout of matrices.
//
// Errors: wraps ErrShape.
func NewLayout(shapes []Shape) (*Layout, error) {
	if len(shapes) == 0 || len(shapes) > maxMatrices {
		return nil, fmt.Errorf("%w: there are %d, want 1 to %d", ErrShape, len(shapes), maxMatrices)
	}
	tallest := 1
	for _, s := range shapes {
		if s.Rows < 1 || s.Rows > maxRows || s.Cols < 1 || s.Cols > maxCols || len(s.Name) > 255 {
			return nil, fmt.Errorf("%w: %q is %d x %d, at most %d x %d is possible", ErrShape, s.Name, s.Rows, s.Cols, maxRows, maxCols)
		}
		tallest = max(tallest, s.Rows)
	}
	l := &Layout{Shapes: shapes}
	for columns, least := Lane, 0; columns <= maxColumns; columns *= 2 {
		rows := gridRows(shapes, columns)
		is := Layout{Columns: columns}
		if size := 4*Queries*rows + 16*RowQueries<<is.folds() + 16*is.piece(); rows <= maxRows && (least == 0 || size < least) {
			l.Columns, l.Rows, least = columns, rows, size
		}
	}
	if l.Columns == 0 {
		return nil, fmt.Errorf("%w: there are too many numbers", ErrShape)
	}
	l.beside = l.Columns / Lane
	l.points = max(logarithm(l.beside), logarithm(tallest))
	row := 0
	for _, s := range shapes {
		l.first = append(l.first, row)
		row += s.lanes() * l.high(s)
		l.Lanes += s.lanes()
	}
	return l, nil
}

// logarithm is the smallest k with 2^k at least n.
func logarithm(n int) int { return bits.Len(uint(n - 1)) }

func gridRows(shapes []Shape, columns int) (rows int) {
	l := Layout{beside: columns / Lane}
	for _, s := range shapes {
		rows += s.lanes() * l.high(s)
	}
	return rows
}

// high is how many grid rows a lane of a matrix takes.
func (l *Layout) high(s Shape) int { return (s.Rows + l.beside - 1) / l.beside }

// Point is how many coordinates a point has that combines a matrix's rows.
func (l *Layout) Point() int { return l.points }

// split cuts such a point into the coordinates of grid rows and of lanes beside each other.
func (l *Layout) split(r int) int { return r - logarithm(l.beside) }

// Code is the number of columns of the code, a power of two.
func (l *Layout) Code() int { return Rate * l.Columns }

// Depth is that of the tree over them.
func (l *Layout) Depth() int { return logarithm(l.Code()) }

// Find is the number of the matrix of a name; false: there is none.
func (l *Layout) Find(name string) (int, bool) {
	for i, s := range l.Shapes {
		if s.Name == name {
			return i, true
		}
	}
	return 0, false
}

// FirstLane is the number among all lanes of the first one of matrix i.
func (l *Layout) FirstLane(i int) (n int) {
	for _, s := range l.Shapes[:i] {
		n += s.lanes()
	}
	return n
}

// Root commits to the shapes and to a tree's root.
func (l *Layout) Root(tree quant.Hash) quant.Hash {
	b := binary.LittleEndian.AppendUint32([]byte("essaim proof root 1\n"), uint32(len(l.Shapes)))
	for _, s := range l.Shapes {
		b = append(append(b, byte(len(s.Name))), s.Name...)
		b = binary.LittleEndian.AppendUint32(b, uint32(s.Rows))
		b = binary.LittleEndian.AppendUint32(b, uint32(s.Cols))
	}
	return sha256.Sum256(append(b, tree[:]...))
}
