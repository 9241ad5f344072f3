package commit

import (
	"errors"
	"fmt"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/sumcheck"
	"github.com/essaim/essaim/quant"
)

// ErrOpening is wrapped by every refusal of an opening.
var ErrOpening = errors.New("the weights' opening does not hold")

// Verify checks that an opening of what root commits to shows value = Σ lanes·W~(r, s), with a factor for
// each lane, r of Point and s of LaneBits coordinates.
//
// Errors: wraps ErrOpening.
func (l *Layout) Verify(t Transcript, root quant.Hash, r, s, lanes []field.Ext, value field.Ext, o Opening) error {
	if !l.fits(&o) {
		return fmt.Errorf("%w: it is of another shape", ErrOpening)
	}
	asked := l.ask(t, o.Top)
	sums, err := l.columns(asked, root, l.weigh(r, lanes), o.Columns)
	if err != nil {
		return err
	}

	// What u is to be: (4), and at each column (5), as one sum.
	factors := field.Powers(t.Ext(), 1+Queries)
	for i := range sums {
		var z field.Ext
		z.Mul(&factors[1+i], &sums[i])
		value.Add(&value, &z)
	}
	rho, rest := sumcheck.Verify(t, value, o.Rounds)
	if have := field.Dot(l.combined(asked, factors, l.within(r, s), rho), o.Rest); !have.Equal(&rest) {
		return fmt.Errorf("%w: its row shows another value or is not that of its columns", ErrOpening)
	}
	t.AbsorbExt("rest", o.Rest...)
	return l.verifyRow(t, rho, &o)
}

// fits reports whether an opening is of the layout's shape.
func (l *Layout) fits(o *Opening) bool {
	ok := len(o.Top) == 1<<topBits && len(o.Columns) == Queries && len(o.Rounds) == l.folds() && len(o.Rest) == l.piece() && len(o.Row) == RowQueries
	for _, c := range o.Columns {
		ok = ok && len(c.Values) == l.Rows && len(c.Path) == l.Depth()
	}
	for _, c := range o.Row {
		ok = ok && len(c.Values) == 4<<l.folds() && len(c.Path) == l.rowDepth()-topBits
	}
	return ok
}

// columns are the weighted sums of columns of the weights' code, each of which must be the root's.
func (l *Layout) columns(asked []int, root quant.Hash, weights []field.Ext, shown []Column) ([]field.Ext, error) {
	sums, buffer := make([]field.Ext, len(shown)), make([]byte, 0, 1+4*l.Rows)
	for i, c := range shown {
		if l.Root(up(columnHash(c.Values, buffer), asked[i], c.Path)) != root {
			return nil, fmt.Errorf("%w: column %d is not one of the model's", ErrOpening, i)
		}
		sums[i] = field.DotElements(weights, c.Values)
	}
	return sums, nil
}

// combined is what the sumcheck leaves of b: Σ_e eq(ρ, e)·b(e·piece + j) for all j of a piece. Both the multilinear basis and
// powers are products over the bits of a place, so those of e leave one factor each.
func (l *Layout) combined(asked []int, factors, place, rho []field.Ext) []field.Ext {
	var one field.Ext
	one.SetOne()
	of := func(rho, high *field.Ext) (z field.Ext) { // (1-ρ) + ρ·high
		z.Sub(high, &one)
		z.Mul(&z, rho)
		z.Add(&z, &one)
		return z
	}
	first := one
	for i := range rho { // eq(ρ, place) of a bit is (1-ρ)(1-place) + ρ·place
		var low, high field.Ext
		low.Sub(&one, &place[i])
		high.Mul(&rho[i], &place[i])
		var z field.Ext
		z.Sub(&one, &rho[i])
		low.Mul(&low, &z)
		low.Add(&low, &high)
		first.Mul(&first, &low)
	}
	out := field.Eq(place[len(rho):])
	for j := range out {
		out[j].Mul(&out[j], &first)
	}
	for k, q := range asked {
		x, c := l.at(q), factors[1+k]
		for i := range rho { // the first bit of e counts x^(C/2)
			power := x
			for range logarithm(l.Columns) - 1 - i {
				power.Square(&power)
			}
			var high field.Ext
			high.B0.A0 = power
			z := of(&rho[i], &high)
			c.Mul(&c, &z)
		}
		field.AddPowers(out, &c, &x)
	}
	return out
}

// verifyRow checks that the combination of pieces is that of what Top commits to.
func (l *Layout) verifyRow(t Transcript, rho []field.Ext, o *Opening) error {
	eq, n := field.Eq(rho), RowRate*l.piece()
	root, buffer := field.Root(n), make([]byte, 0, 1+16<<l.folds())
	for i, c := range o.Row {
		q := t.Index(n)
		if up(columnHash(c.Values, buffer), q, c.Path) != o.Top[q>>(l.rowDepth()-topBits)] {
			return fmt.Errorf("%w: column %d of its row is not the one that it is bound to", ErrOpening, i)
		}
		var x field.Element
		x.ExpInt64(root, int64(q))
		var have field.Ext
		for e := range eq {
			v := c.Values[4*e:]
			z := field.FromCoordinates([4]uint64{uint64(v[0]), uint64(v[1]), uint64(v[2]), uint64(v[3])})
			z.Mul(&z, &eq[e])
			have.Add(&have, &z)
		}
		if want := field.Evaluate(o.Rest, &x); !have.Equal(&want) {
			return fmt.Errorf("%w: its row is not that of its column %d", ErrOpening, i)
		}
	}
	return nil
}
