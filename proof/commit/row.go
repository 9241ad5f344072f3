package commit

import (
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/sumcheck"
	"github.com/essaim/essaim/quant"
)

// The row that an opening is about, u = Σ weights·(row of the grid), would be as long as the grid is wide. So it is not
// sent: it is committed to as the grid is, cut into pieces that lie below each other, and what is to be known of it, which is a
// sum Σ b_j·u_j for public b, is reduced by a sumcheck to one combination of the pieces. Of that, and of some columns
// of the pieces' code, the checker sees everything. It is the recursion of Ligerito (Novakovic, Angeris 2025/1187), once.

const (
	// RowRate is how many times longer the code of a piece is than a piece.
	RowRate = 4

	// RowQueries is how many columns of it are shown. Nobody recomputes this tree, so that it need not be of a code; but if it
	// is farther from one than half the code's distance, or a wrong combination is sent, then each column shows it with
	// chance 3/8 at least: (5/8)^155 is 2^-105.1.
	RowQueries = 155

	// topBits is the base-2 logarithm of how many hashes of the tree are sent, so that paths end there.
	topBits = 7
)

// folds is the base-2 logarithm of the number of pieces: the one that makes a piece and the columns shortest together.
func (l *Layout) folds() (f int) {
	for RowQueries<<(2*f+1) < l.Columns {
		f++
	}
	return f
}

// piece is the length of a piece.
func (l *Layout) piece() int { return l.Columns >> l.folds() }

// rowDepth is that of the tree over the pieces' code.
func (l *Layout) rowDepth() int { return logarithm(RowRate * l.piece()) }

// A coded row is the code of its pieces, column by column, four coordinates for each piece.
type coded struct {
	high int // numbers of a column
	code []uint32
	tree tree
}

func (l *Layout) encode(row []field.Ext) coded {
	n, pieces := l.piece(), 1<<l.folds()
	c := coded{high: 4 * pieces}
	c.code = make([]uint32, RowRate*n*c.high)
	coordinates, values := make([]uint32, n*c.high), make([]uint32, n*c.high)
	for e := range pieces {
		for j := range n {
			for i, v := range field.Coordinates(&row[e*n+j]) {
				coordinates[(4*e+i)*n+j] = v
			}
		}
	}
	coset := field.NewCoset(n, RowRate, 0)
	for t := range RowRate {
		coset.Move(RowRate, t)
		for i := range c.high {
			coset.Numbers(values[i*n:][:n], coordinates[i*n:][:n])
		}
		for k := range n {
			for i, to := 0, c.column(t+RowRate*coset.Point(k)); i < len(to); i++ {
				to[i] = values[i*n+k]
			}
		}
	}
	c.hash()
	return c
}

// hash makes the tree.
func (c *coded) hash() {
	leaves, buffer := make([]quant.Hash, len(c.code)/c.high), make([]byte, 0, 1+4*c.high)
	for q := range leaves {
		leaves[q] = columnHash(c.column(q), buffer)
	}
	c.tree = newTree(leaves)
}

func (c *coded) column(q int) []uint32 { return c.code[q*c.high:][:c.high] }

// Row is the row that an opening at r is about, with a factor for each lane.
func (w *Weights) Row(r, lanes []field.Ext) []field.Ext {
	return timesExt(&w.turned, w.weigh(r, lanes), w.Workers)
}

// OpenRow is Open with a row that Row made. One that is not the right one makes an opening that is refused.
func (w *Weights) OpenRow(t Transcript, row, r, s []field.Ext) Opening {
	c := w.encode(row)
	return w.open(t, &c, row, r, s)
}

func (w *Weights) open(t Transcript, c *coded, row, r, s []field.Ext) (o Opening) {
	o.Top = c.tree[len(c.tree)-1-topBits]
	asked := w.ask(t, o.Top)
	o.Columns = w.show(asked)

	factors := field.Powers(t.Ext(), 1+Queries)
	b := field.Eq(w.within(r, s))
	for i, q := range asked {
		x := w.at(q)
		field.AddPowers(b, &factors[1+i], &x)
	}
	pieces := append([]field.Ext(nil), row...)
	o.Rounds, _ = sumcheck.Prove(t, pieces, b, w.piece())
	o.Rest = pieces[:w.piece()]

	t.AbsorbExt("rest", o.Rest...)
	for range RowQueries {
		q := t.Index(RowRate * w.piece())
		o.Row = append(o.Row, Column{Values: c.column(q), Path: c.tree.path(q, topBits)})
	}
	return o
}

// ask absorbs a commitment to a row and draws columns of the weights' code.
func (l *Layout) ask(t Transcript, top []quant.Hash) []int {
	var b []byte
	for _, h := range top {
		b = append(b, h[:]...)
	}
	t.Absorb("row", b)
	out := make([]int, Queries)
	for i := range out {
		out[i] = t.Index(l.Code())
	}
	return out
}

// within are the coordinates of the place in a row that (4) is about: of the lane among those that lie beside each other, and in
// the lane.
func (l *Layout) within(r, s []field.Ext) []field.Ext {
	return append(append([]field.Ext(nil), r[l.split(len(r)):]...), s...)
}
