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
		fold(p[:half], p[half:n], &c)
		fold(x[:half], x[half:n], &c)
		rounds, s = append(rounds, r), append(s, c)
	}
	return rounds, s
}

func sums(p0, p1, x0, x1 []field.Ext) (r Round) {
	p1, x0, x1 = p1[:len(p0)], x0[:len(p0)], x1[:len(p0)]
	for i := range p0 {
		var z, dp, dx field.Ext
		z.Mul(&p0[i], &x0[i])
		r.C0.Add(&r.C0, &z)
		dp.Sub(&p1[i], &p0[i])
		dx.Sub(&x1[i], &x0[i])
		z.Mul(&dp, &dx)
		r.C2.Add(&r.C2, &z)
	}
	return r
}

// fold fixes a bit: p0 becomes p0 + c·(p1 - p0).
func fold(p0, p1 []field.Ext, c *field.Ext) {
	p1 = p1[:len(p0)]
	for i := range p0 {
		var d field.Ext
		d.Sub(&p1[i], &p0[i])
		d.Mul(&d, c)
		p0[i].Add(&p0[i], &d)
	}
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
