package succinct

import (
	"encoding/binary"
	"fmt"

	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/lookup"
	"github.com/essaim/essaim/proof/sumcheck"
	"github.com/essaim/essaim/proof/transcript"
	"github.com/essaim/essaim/quant"
)

// A Proof is one taken apart; Encode is how it travels.
type Proof struct {
	Shown     []Shown // of each statement
	Root      quant.Hash
	Fractions lookup.Proof
	Total     field.Ext        // T, which the products add up to
	Rounds    []sumcheck.Round // of the products
	Lanes     []field.Ext      // what of their inputs is left
	Claims    []sumcheck.Round // of all claims about the cells
	Cells     commit.VectorOpening
	Weights   commit.Opening
}

// Shown is what a run shows: the output of its last hidden operator.
type Shown struct {
	Operator int // its number
	Output   []int32
}

// Prove proves statements, each with the run that it is of. It does not compare them: a statement that its run does not
// bear out makes a proof that is refused.
//
// Errors: wraps proof.ErrUnprovable.
func Prove(p *proof.Prover, statements []proof.Statement, runs []*Run) (*Proof, error) {
	a, t, out, err := assign(p, statements, runs)
	if err == nil {
		err = a.err
	}
	if err != nil {
		return nil, err
	}
	return out, a.argue(t, p.Weights(), out)
}

// assign makes the system of runs, what the prover knows of it, and the transcript up to there.
func assign(p *proof.Prover, statements []proof.Statement, runs []*Run) (*assignment, *transcript.Transcript, *Proof, error) {
	if len(statements) != len(runs) || len(runs) == 0 || len(runs) > proof.MaxStatements {
		return nil, nil, nil, fmt.Errorf("%w: %d statements and %d runs, of at most %d", proof.ErrUnprovable, len(statements), len(runs), proof.MaxStatements)
	}
	y, out := newSystem(&p.Model), &Proof{}
	t := p.Begin(Mode, len(runs))
	var hidden []quant.Op
	for i, r := range runs {
		last, ok := r.last()
		if !ok || !statements[i].Trace.IsZero() {
			return nil, nil, nil, fmt.Errorf("%w: run %d has no operator that can be shown, or is to claim a trace, which nobody sees", proof.ErrUnprovable, i+1)
		}
		o := r.ops[last]
		shown := Shown{o.Out.ID, wide(o.Out)}
		y.begin(shown.Operator)
		var headers []byte
		for _, o := range r.ops {
			if err := y.add(o); err != nil {
				return nil, nil, nil, fmt.Errorf("run %d: %w", i+1, err)
			}
			headers = o.Header().Append(headers)
		}
		absorb(t, statements[i], headers, shown)
		hidden = append(hidden, y.hides(r.ops[:last+1])...)
		out.Shown = append(out.Shown, shown)
	}
	if err := y.limits(); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", proof.ErrUnprovable, err)
	}
	return fill(y, hidden), t, out, nil
}

// hides are the operators of the present run that are hidden.
func (y *system) hides(ops []quant.Op) (out []quant.Op) {
	for _, o := range ops {
		if _, ok := y.hidden[o.Out.ID]; ok {
			out = append(out, o)
		}
	}
	return out
}

// limits refuses what is too much for one proof.
func (y *system) limits() error {
	if n := y.table.rows() + y.leaves; n > maxLeaves || len(y.products) == 0 {
		return fmt.Errorf("%d products and %d look-ups, at most %d are possible", len(y.products), n, maxLeaves)
	}
	return nil
}

// absorb adds a statement and what its run shows.
func absorb(t *transcript.Transcript, s proof.Statement, headers []byte, shown Shown) {
	t.Absorb("statement", s.Bytes())
	t.Absorb("operators", headers)
	b := binary.LittleEndian.AppendUint32(nil, uint32(shown.Operator))
	for _, v := range shown.Output {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	t.Absorb("shown", b)
}

// argue shows what is claimed of cells and weights.
//
// Errors: wraps commit.ErrShape.
func (a *assignment) argue(t *transcript.Transcript, weights *commit.Weights, out *Proof) error {
	cells, err := commit.NewVector(a.cells)
	if err != nil {
		return err
	}
	out.Root = cells.Root()
	t.Absorb("activations", out.Root[:])

	// Look-ups: of the tree over their fractions, one point of the leaves is left.
	c := newChallenge(t.Ext(), t.Ext())
	p, q := a.fractions(c)
	fractions, left := lookup.Prove(t, p, q)
	out.Fractions = fractions

	// Products: one sum over the columns, of which one point s is left, and a number for each lane.
	w := a.elements()
	r := t.Point(a.model.Layout().Point())
	powers := field.Powers(t.Ext(), a.vectors)
	out.Total = a.total(w, r, powers)
	t.AbsorbExt("sum", out.Total)
	lanes := a.model.Layout().Lanes
	x := a.inputs(w, powers)
	folded := append([]field.Ext(nil), x...)
	var s []field.Ext
	out.Rounds, s = sumcheck.Prove(t, weights.Fold(r), folded, lanes)
	out.Lanes = folded[:lanes]
	t.AbsorbExt("lanes", out.Lanes...)
	etas := field.Powers(t.Ext(), lanes)

	// All that is claimed of cells is one sum, of which one point is left.
	mus := field.Powers(t.Ext(), 4)
	f := a.lookups(field.EqTable(left.Point), c, mus[1])
	a.sums(f, r, powers, &mus[2])
	a.lanes(f, s, powers, etas, &mus[3])
	size := 1 << cells.Point()
	factors, values := make([]field.Ext, size), make([]field.Ext, size)
	copy(factors, f.factors)
	for i, e := range w {
		values[i].B0.A0 = e
	}
	var point []field.Ext
	out.Claims, point = sumcheck.Prove(t, factors, values, 1)
	out.Cells = cells.Open(t, point)

	out.Weights = weights.Open(t, r, s, out.Lanes)
	return nil
}

// elements are the cells.
func (a *assignment) elements() field.Elements {
	w := make(field.Elements, len(a.cells))
	for i, v := range a.cells {
		w[i].SetUint64(uint64(v))
	}
	return w
}

// total is T.
func (a *assignment) total(w field.Elements, r, powers []field.Ext) (sum field.Ext) {
	eq := field.Vector(field.EqTable(r))
	k := 0
	for i := range a.products {
		p := &a.products[i]
		for v := range p.vectors {
			z := eq[:p.shape.Rows].InnerProductByElement(w[a.table.rows()+p.out+v*p.shape.Rows:][:p.shape.Rows])
			z.Mul(&z, &powers[k])
			sum.Add(&sum, &z)
			k++
		}
	}
	field.Settle()
	return sum
}

// inputs is the table of X, one number for each lane and each place in a lane: all that products read, with a power of γ each.
func (a *assignment) inputs(w field.Elements, powers []field.Ext) []field.Ext {
	layout := a.model.Layout()
	out := make([]field.Ext, commit.Lane*layout.Lanes)
	k := 0
	for i := range a.products {
		p := &a.products[i]
		first := layout.FirstLane(p.matrix)
		add := func(j int, x field.Element) {
			var z field.Ext
			z.MulByElement(&powers[k], &x)
			to := &out[j%commit.Lane*layout.Lanes+first+j/commit.Lane]
			to.Add(to, &z)
		}
		for v := range p.vectors {
			if p.pairs != nil {
				p.each(v, func(row int, weight int64) { add(row, field.Of(weight)) })
			} else {
				for j, x := range w[a.table.rows()+p.in+v*p.shape.Cols:][:p.shape.Cols] {
					if !x.IsZero() {
						add(j, x)
					}
				}
			}
			k++
		}
	}
	return out
}
