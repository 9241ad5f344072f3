package commit

import (
	"errors"
	"fmt"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/quant"
)

const (
	// VectorRate is how many times longer the code of a vector's rows is than a row.
	VectorRate = 4

	// VectorQueries is how many columns of it are shown. Nobody recomputes a vector's root, so that what it commits to need
	// not be of a code; but if it is farther from one than half the code's distance, each column shows it with chance 3/8: (5/8)^155
	// is 2^-105.
	VectorQueries = 155

	minVectorColumns = 256
	maxVectorColumns = 1 << 16
	maxCells         = 1 << 21
)

// A Grid is how the cells of a vector lie in rows.
type Grid struct{ Cells, Columns, Rows int }

// NewGrid makes the grid of so many cells.
//
// Errors: wraps ErrShape.
func NewGrid(cells int) (g Grid, err error) {
	if cells < 1 || cells > maxCells {
		return g, fmt.Errorf("%w: a vector of %d cells, at most %d are possible", ErrShape, cells, maxCells)
	}
	least := 0
	for columns := minVectorColumns; columns <= maxVectorColumns; columns *= 2 {
		rows := (cells + columns - 1) / columns
		if size := 2*field.Size*columns + 4*VectorQueries*rows; least == 0 || size < least {
			g, least = Grid{cells, columns, rows}, size
		}
	}
	return g, nil
}

// Point is how many coordinates a point of the vector's multilinear extension has, those of rows first.
func (g Grid) Point() int { return logarithm(g.Rows) + logarithm(g.Columns) }

// Depth is that of the tree over the code's columns.
func (g Grid) Depth() int { return logarithm(VectorRate * g.Columns) }

// split cuts a point into the coordinates of rows and of columns.
func (g Grid) split(s []field.Ext) (rows, columns []field.Ext) {
	at := logarithm(g.Rows)
	return s[:at], s[at:]
}

// A Vector is a committed one as the prover has it, with its code.
type Vector struct {
	Grid
	cells []uint32
	code  [VectorRate][]uint32 // cosets of Rows x Columns, columns in the order of Coset.Point
	tree  tree
	coset *field.Coset
}

// NewVector commits to cells, each below field.P.
//
// Errors: wraps ErrShape.
func NewVector(cells []uint32) (*Vector, error) {
	g, err := NewGrid(len(cells))
	if err != nil {
		return nil, err
	}
	v := &Vector{Grid: g, cells: cells, coset: field.NewCoset(g.Columns, VectorRate, 0)}
	leaves := make([]quant.Hash, VectorRate*g.Columns)
	last := make([]uint32, g.Columns)
	copy(last, cells[(g.Rows-1)*g.Columns:])
	for t := range v.code {
		v.code[t] = make([]uint32, g.Rows*g.Columns)
		v.coset.Move(VectorRate, t)
		for r := range g.Rows {
			row := last
			if r < g.Rows-1 {
				row = cells[r*g.Columns:][:g.Columns]
			}
			v.coset.Numbers(v.code[t][r*g.Columns:][:g.Columns], row)
		}
		v.hash(leaves, t)
	}
	v.tree = newTree(leaves)
	return v, nil
}

// hash makes the leaves of a coset.
func (v *Vector) hash(leaves []quant.Hash, t int) {
	some, buffer := make([]uint32, together*v.Rows), make([]byte, 0, 1+4*v.Rows)
	for at := 0; at < v.Columns; at += together {
		for r := range v.Rows {
			for k, x := range v.code[t][r*v.Columns+at:][:together] {
				some[k*v.Rows+r] = x
			}
		}
		for k := range together {
			leaves[t+VectorRate*v.coset.Point(at+k)] = columnHash(some[k*v.Rows:][:v.Rows], buffer)
		}
	}
}

// Root commits to the cells.
func (v *Vector) Root() quant.Hash { return v.tree.root() }

// A VectorOpening shows the value of a vector's multilinear extension at a point.
type VectorOpening struct {
	Row     []field.Ext // the combination of rows that belongs to the point
	Mix     []field.Ext // a random one
	Columns []Column    // VectorQueries of the code's
}

// mix draws what each row counts in the random combination.
func (g Grid) mix(t Transcript) []field.Ext {
	out := make([]field.Ext, g.Rows)
	for i := range out {
		out[i] = t.Ext()
	}
	return out
}

// Open opens at a point.
func (v *Vector) Open(t Transcript, s []field.Ext) VectorOpening {
	rows, _ := v.split(s)
	o := VectorOpening{Row: make([]field.Ext, v.Columns), Mix: make([]field.Ext, v.Columns)}
	field.Combine(o.Row, field.EqTable(rows)[:v.Rows], v.cells)
	field.Combine(o.Mix, v.mix(t), v.cells)
	t.AbsorbExt("vector opening", append(append([]field.Ext(nil), o.Row...), o.Mix...)...)
	for range VectorQueries {
		q := t.Index(VectorRate * v.Columns)
		c := Column{Values: make([]uint32, v.Rows), Path: v.tree.path(q, 0)}
		at := v.coset.Point(q / VectorRate) // the order of its own inverse
		for r := range c.Values {
			c.Values[r] = v.code[q%VectorRate][r*v.Columns+at]
		}
		o.Columns = append(o.Columns, c)
	}
	return o
}

// ErrVector is wrapped by every refusal of a vector's opening.
var ErrVector = errors.New("a vector's opening does not hold")

// Verify checks an opening at a point of what a root commits to, and returns the value that it shows.
//
// Errors: wraps ErrVector.
func (g Grid) Verify(t Transcript, root quant.Hash, s []field.Ext, o VectorOpening) (value field.Ext, err error) {
	if len(o.Row) != g.Columns || len(o.Mix) != g.Columns || len(o.Columns) != VectorQueries {
		return value, fmt.Errorf("%w: rows of %d and %d, and %d columns", ErrVector, len(o.Row), len(o.Mix), len(o.Columns))
	}
	above, beside := g.split(s)
	rows, mix := field.EqTable(above)[:g.Rows], g.mix(t)
	t.AbsorbExt("vector opening", append(append([]field.Ext(nil), o.Row...), o.Mix...)...)
	buffer := make([]byte, 0, 1+4*g.Rows)
	for i, c := range o.Columns {
		q := t.Index(VectorRate * g.Columns)
		if len(c.Values) != g.Rows || len(c.Path) != g.Depth() {
			return value, fmt.Errorf("%w: column %d has %d values and a path of %d", ErrVector, i, len(c.Values), len(c.Path))
		}
		if up(columnHash(c.Values, buffer), q, c.Path) != root {
			return value, fmt.Errorf("%w: column %d is not of this vector", ErrVector, i)
		}
		var x field.Element
		x.ExpInt64(field.Root(VectorRate*g.Columns), int64(q))
		want := field.Evaluations(&x, o.Row, o.Mix)
		a, b := field.DotElements(rows, c.Values), field.DotElements(mix, c.Values)
		if !a.Equal(&want[0]) || !b.Equal(&want[1]) {
			return value, fmt.Errorf("%w: its rows are not those of column %d", ErrVector, i)
		}
	}
	return field.Dot(field.EqTable(beside), o.Row), nil
}
