package commit

import (
	"fmt"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/quant"
)

// A Matrix is one to commit to.
type Matrix struct {
	Shape
	W      []int8 // row by row, or
	Turned bool   // column by column
}

// Weights are committed matrices as the prover has them: three copies of the weights, each in
// the order of one of its passes over them, and the tree. They are not changed once made.
type Weights struct {
	*Layout
	Workers int // goroutines of a pass; 1 or less: the caller's

	grid   quant.Matrix   // Rows x Columns
	turned quant.Matrix   // Columns x Rows
	folds  []quant.Matrix // Cols x Rows of each matrix
	tree   tree
}

// New commits to matrices, with at most workers goroutines. It takes some 80 bytes of memory and a tenth of a
// microsecond for each number; a hundredth of that if leaves are what Leaves gave before. They are believed: who does
// not trust them compares Root.
//
// Errors: wraps ErrShape.
func New(matrices []Matrix, leaves []byte, workers int) (*Weights, error) {
	w := &Weights{Workers: workers}
	var shapes []Shape
	for _, m := range matrices {
		if len(m.W) != m.Rows*m.Cols {
			return nil, fmt.Errorf("%w: %q has %d numbers", ErrShape, m.Name, len(m.W))
		}
		shapes = append(shapes, m.Shape)
	}
	var err error
	if w.Layout, err = NewLayout(shapes); err != nil {
		return nil, err
	}
	w.grid = quant.Matrix{Rows: w.Rows, Cols: w.Columns, W: make([]int8, w.Rows*w.Columns)}
	for i, m := range matrices {
		w.fill(i, m)
		if !m.Turned {
			m.W = turn(m.W, m.Rows, m.Cols)
		}
		w.folds = append(w.folds, quant.Matrix{Rows: m.Cols, Cols: m.Rows, W: m.W})
	}
	w.turned = quant.Matrix{Rows: w.Columns, Cols: w.Rows, W: turn(w.grid.W, w.Rows, w.Columns)}
	hashes, ok := w.readLeaves(leaves)
	if !ok {
		hashes = w.newLeaves(workers)
	}
	w.tree = newTree(hashes)
	return w, nil
}

// fill lays matrix i into the grid.
func (w *Weights) fill(i int, m Matrix) {
	high := w.high(m.Shape)
	for row := range m.Rows {
		for lane := range m.lanes() {
			at := w.first[i] + lane*high + row/w.beside
			to := w.grid.W[at*w.Columns+row%w.beside*Lane:][:Lane]
			from, n := lane*Lane, min(Lane, m.Cols-lane*Lane)
			if !m.Turned {
				copy(to, m.W[row*m.Cols+from:][:n])
				continue
			}
			for j := range n {
				to[j] = m.W[(from+j)*m.Rows+row]
			}
		}
	}
}

// turn makes columns rows.
func turn(w []int8, rows, cols int) []int8 {
	const side = 64 // of a block that stays in the nearest cache
	out := make([]int8, len(w))
	for top := 0; top < rows; top += side {
		for left := 0; left < cols; left += side {
			for r := top; r < min(top+side, rows); r++ {
				for c := left; c < min(left+side, cols); c++ {
					out[c*rows+r] = w[r*cols+c]
				}
			}
		}
	}
	return out
}

// Root commits to all matrices.
func (w *Weights) Root() quant.Hash { return w.Layout.Root(w.tree.root()) }

// Fold combines the rows of all matrices with eq(r, ·): the table of P(j), Lanes numbers for each j of a lane.
func (w *Weights) Fold(r []field.Ext) []field.Ext {
	eq := field.Eq(r)
	out := make([]field.Ext, Lane*w.Lanes)
	lane := 0
	for i := range w.folds {
		m := &w.folds[i]
		for j, v := range timesExt(m, eq[:m.Cols], w.Workers) {
			out[j%Lane*w.Lanes+lane+j/Lane] = v
		}
		lane += w.Shapes[i].lanes()
	}
	return out
}

// weigh is what each grid row counts in an opening at r, with a factor for each lane.
func (l *Layout) weigh(r, lanes []field.Ext) []field.Ext {
	eq := field.Eq(r[:l.split(len(r))])
	out := make([]field.Ext, 0, l.Rows)
	at := 0
	for _, s := range l.Shapes {
		for range s.lanes() {
			for h := range l.high(s) {
				var z field.Ext
				z.Mul(&lanes[at], &eq[h])
				out = append(out, z)
			}
			at++
		}
	}
	return out
}

// A Transcript absorbs what is said and draws what is asked.
type Transcript interface {
	Absorb(label string, data []byte)
	AbsorbExt(label string, all ...field.Ext)
	Ext() field.Ext
	Index(n int) int
}

// Open opens at a point r of rows and s of a lane's columns, with a factor for each lane.
func (w *Weights) Open(t Transcript, r, s, lanes []field.Ext) Opening {
	return w.OpenRow(t, w.Row(r, lanes), r, s)
}

// show makes the columns of the code that were asked for.
func (w *Weights) show(asked []int) (out []Column) {
	powers := make([][]uint32, len(asked))
	for i, q := range asked {
		x := w.at(q)
		powers[i] = field.PowersOf(&x, w.Columns)
	}
	for i, values := range times(&w.grid, powers, w.Workers) {
		out = append(out, Column{Values: values, Path: w.tree.path(asked[i], 0)})
	}
	return out
}

// at is the point that column q of the code evaluates rows at.
func (l *Layout) at(q int) (x field.Element) {
	x.ExpInt64(field.Root(l.Code()), int64(q))
	return x
}
