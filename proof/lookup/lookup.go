// Package lookup adds up fractions and proves what the sum is: Σ p_i/q_i, which is how look-ups in a table are shown
// (Haböck, Multivariate lookups based on logarithmic derivatives, 2022/1530): every one of some numbers is in a table if
// Σ 1/(α - number) = Σ times/(α - entry) for a random α.
//
// It exists because the checker of a run that sees no activation cannot compute a table's answer: he is shown that there is
// an entry for it. The fractions are added up in a binary tree, a node of p₀/q₀ and p₁/q₁ being (p₀q₁ + p₁q₀)/(q₀q₁), and the tree
// is proven level by level (Papini and Haböck, 2023/1284; Goldwasser, Kalai, Rothblum 2008; Thaler, 4.6). What is left are the values
// of the leaves' multilinear extensions at one random point.
//
// It does not know what is looked up, and must not.
package lookup

import (
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/sumcheck"
)

// A Proof is of a sum that is 0.
type Proof struct {
	Root   field.Ext // the denominator of the whole sum
	Levels []Level   // from the root down: as many as a leaf's index has bits
}

// A Level leads from claims about a level of the tree to claims about the next one.
type Level struct {
	Rounds []sumcheck.Round // as many as an index of the level has bits
	Nodes  [4]field.Ext     // p₀, p₁, q₀, q₁ where they end
}

// Claims are what is left: the values of the leaves' numerators and denominators at a point, highest bit first.
type Claims struct {
	Point []field.Ext
	P, Q  field.Ext
}

// join makes claims on the next level of those on its halves, at a coordinate that says which half.
func (c *Claims) join(n [4]field.Ext, s []field.Ext, at field.Ext) {
	between := func(low, high field.Ext) field.Ext {
		high.Sub(&high, &low)
		high.Mul(&high, &at)
		high.Add(&high, &low)
		return high
	}
	c.Point = append([]field.Ext{at}, s...)
	c.P, c.Q = between(n[0], n[1]), between(n[2], n[3])
}

// Verify follows a proof about 2^bits leaves to the claims that are left; false: the sum is not 0, or the proof has another
// shape.
func Verify(t sumcheck.Transcript, bits int, p Proof) (c Claims, ok bool) {
	if len(p.Levels) != bits || p.Root.IsZero() {
		return c, false
	}
	t.AbsorbExt("root", p.Root)
	c.Q = p.Root
	for depth, l := range p.Levels {
		if len(l.Rounds) != depth {
			return c, false
		}
		lambda := t.Ext()
		var claim field.Ext // p + λq
		claim.Mul(&lambda, &c.Q)
		claim.Add(&claim, &c.P)
		s := make([]field.Ext, 0, depth+1)
		for i, r := range l.Rounds {
			t.AbsorbExt("fractions", r.C0, r.C2)
			at := t.Ext()
			if claim, ok = step(r, &c.Point[i], &claim, &at); !ok {
				return c, false
			}
			s = append(s, at)
		}
		var sum, z field.Ext // p₀q₁ + q₀(p₁ + λq₁)
		sum.Mul(&l.Nodes[0], &l.Nodes[3])
		z.Mul(&lambda, &l.Nodes[3])
		z.Add(&z, &l.Nodes[1])
		z.Mul(&z, &l.Nodes[2])
		sum.Add(&sum, &z)
		if !sum.Equal(&claim) {
			return c, false
		}
		t.AbsorbExt("nodes", l.Nodes[:]...)
		c.join(l.Nodes, s, t.Ext())
	}
	return c, true
}

// step goes one round on. The round's polynomial is that of degree three without its factor eq(ρ, X), as Gruen (2024/108)
// leaves it out: h = c₀ + c₁X + c₂X², with (1 - ρ)h(0) + ρh(1) = claim. A ρ of 0, whose chance is nil, is refused.
func step(r sumcheck.Round, rho, claim, at *field.Ext) (next field.Ext, ok bool) {
	if rho.IsZero() {
		return next, false
	}
	var h1, z field.Ext
	z.Mul(rho, &r.C0)
	h1.Sub(claim, &r.C0)
	h1.Add(&h1, &z)
	z.Inverse(rho)
	h1.Mul(&h1, &z)
	h1.Sub(&h1, &r.C0)
	h1.Sub(&h1, &r.C2) // c₁
	next.Mul(&r.C2, at)
	next.Add(&next, &h1)
	next.Mul(&next, at)
	next.Add(&next, &r.C0)
	return next, true
}
