// Package sumcheck proves what a sum of products is: T = Σ_j Σ_b p_b(j)·x_b(j), after Lund, Fortnow, Karloff and
// Nisan (1992), as Thaler's book has it (4.1, 4.4).
//
// It exists to leave of a sum over all indices j one claim about one random point. Any number
// of pairs (p_b, x_b), the lanes, share the challenges, so that all matrices of a model are one proof. A lane
// is a function of the k bits of j, the highest first, and ~ its multilinear extension.
//
// It does not know what the lanes are, nor who checks the last claim, and must not.
package sumcheck

import "github.com/essaim/essaim/proof/field"

// A Round is what the prover says in one: its polynomial c₀ + c₁X + c₂X² without c₁, which
// follows from the claim.
type Round struct{ C0, C2 field.Ext }

// A Transcript absorbs what is said and draws challenges.
type Transcript interface {
	AbsorbExt(label string, all ...field.Ext)
	Ext() field.Ext
}

// Prove proves the sum over two tables of 2^k rows, one a j, each with as many columns as there are
// lanes. It overwrites both. It returns the rounds and the challenges s.
//
// Each round sums over one bit less: with p(X) = p(0) + X·(p(1) - p(0)), and x alike, the products' sum
// has the coefficients Σ p(0)·x(0) and Σ (p(1) - p(0))·(x(1) - x(0)).
func Prove(t Transcript, p, x []field.Ext, lanes int) (rounds []Round, s []field.Ext) {
	for n := len(p); n > lanes; n /= 2 {
		half := n / 2
		r := sums(p[:half], p[half:n], x[:half], x[half:n])
		t.AbsorbExt("round", r.C0, r.C2)
		c := t.Ext()
		field.Fold(p[:half], p[half:n], &c)
		field.Fold(x[:half], x[half:n], &c)
		field.Settle()
		rounds, s = append(rounds, r), append(s, c)
	}
	return rounds, s
}

// block is how many elements are computed with at once: few enough to stay in the nearest cache.
const block = 128

func sums(p0, p1, x0, x1 []field.Ext) (r Round) {
	var room [2][block]field.Ext
	for from := 0; from < len(p0); from += block {
		n := min(block, len(p0)-from)
		dp, dx := field.Vector(room[0][:n]), field.Vector(room[1][:n])
		z := field.Vector(p0[from:][:n]).InnerProduct(x0[from:][:n])
		r.C0.Add(&r.C0, &z)
		dp.Sub(p1[from:][:n], p0[from:][:n])
		dx.Sub(x1[from:][:n], x0[from:][:n])
		z = dp.InnerProduct(dx)
		r.C2.Add(&r.C2, &z)
	}
	field.Settle()
	return r
}

// Verify follows the rounds from the claimed sum to the claim that is left: that Σ_b p~_b(s)·x~_b(s)
// is rest. Nothing is refused here: a wrong sum makes a wrong rest, but for a chance of 2k/|F|.
func Verify(t Transcript, sum field.Ext, rounds []Round) (s []field.Ext, rest field.Ext) {
	for _, r := range rounds {
		t.AbsorbExt("round", r.C0, r.C2)
		c := t.Ext()
		var c1 field.Ext // g(0) + g(1) = 2c₀ + c₁ + c₂ is the sum
		c1.Double(&r.C0)
		c1.Add(&c1, &r.C2)
		c1.Sub(&sum, &c1)
		sum.Mul(&r.C2, &c)
		sum.Add(&sum, &c1)
		sum.Mul(&sum, &c)
		sum.Add(&sum, &r.C0)
		s = append(s, c)
	}
	return s, sum
}
