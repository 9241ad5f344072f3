package commit

import (
	"errors"
	"fmt"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/quant"
)

// ErrOpening is wrapped by every refusal of an opening.
var ErrOpening = errors.New("the weights' opening does not hold")

// Verify checks that an opening of what root commits to shows value = Σ lanes·W~(r, s), with a factor for
// each lane, r of Point and s of LaneBits coordinates.
//
// Errors: wraps ErrOpening.
func (l *Layout) Verify(t Transcript, root quant.Hash, r, s, lanes []field.Ext, value field.Ext, o Opening) error {
	if len(o.Row) != l.Columns || len(o.Columns) != Queries {
		return fmt.Errorf("%w: a row of %d and %d columns", ErrOpening, len(o.Row), len(o.Columns))
	}
	var sum field.Ext
	within := field.Eq(s)
	for e, beside := range field.Eq(r[l.split(len(r)):]) {
		z := field.Dot(within, o.Row[e*Lane:][:Lane])
		z.Mul(&z, &beside)
		sum.Add(&sum, &z)
	}
	if !sum.Equal(&value) {
		return fmt.Errorf("%w: it shows another value", ErrOpening)
	}
	t.AbsorbExt("opening", o.Row...)
	weights := l.weigh(r, lanes)
	buffer := make([]byte, 0, 1+4*l.Rows)
	for i, c := range o.Columns {
		q := t.Index(l.Code())
		if len(c.Values) != l.Rows || len(c.Path) != l.Depth() {
			return fmt.Errorf("%w: column %d has %d values and a path of %d", ErrOpening, i, len(c.Values), len(c.Path))
		}
		if l.Root(up(columnHash(c.Values, buffer), q, c.Path)) != root {
			return fmt.Errorf("%w: column %d is not one of the model's", ErrOpening, i)
		}
		x := l.at(q)
		got, want := field.DotElements(weights, c.Values), field.Evaluate(o.Row, &x)
		if !got.Equal(&want) {
			return fmt.Errorf("%w: its row is not that of column %d", ErrOpening, i)
		}
	}
	return nil
}
