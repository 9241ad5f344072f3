package lookup

import (
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/sumcheck"
)

// Prove proves that 2^k fractions p/q add up to 0, and returns the claims that are left. It overwrites both. If they do not,
// or if a q is 0, it makes a proof that is refused.
func Prove(t sumcheck.Transcript, p, q []field.Ext) (Proof, Claims) {
	levels := tree(p, q)
	top := levels[len(levels)-1]
	out := Proof{Root: top.q[0]}
	t.AbsorbExt("root", out.Root)
	c := Claims{P: top.p[0], Q: top.q[0]}
	for i := len(levels) - 2; i >= 0; i-- {
		lambda := t.Ext()
		rounds, s, nodes := levels[i].reduce(t, c.Point, &lambda)
		t.AbsorbExt("nodes", nodes[:]...)
		c.join(nodes, s, t.Ext())
		out.Levels = append(out.Levels, Level{rounds, nodes})
	}
	return out, c
}

// A level of the tree: numerators and denominators.
type level struct{ p, q field.Vector }

// tree is all levels, from the leaves up.
func tree(p, q []field.Ext) []level {
	at := level{p, q}
	out := []level{at}
	for len(at.p) > 1 {
		h := len(at.p) / 2
		next := level{make(field.Vector, h), make(field.Vector, h)}
		var room [2][block]field.Ext
		for from := 0; from < h; from += block {
			n := min(block, h-from)
			p0, p1, q0, q1 := at.p[from:][:n], at.p[h+from:][:n], at.q[from:][:n], at.q[h+from:][:n]
			a, b := field.Vector(room[0][:n]), field.Vector(room[1][:n])
			a.Mul(p0, q1)
			b.Mul(p1, q0)
			next.p[from:][:n].Add(a, b)
			next.q[from:][:n].Mul(q0, q1)
		}
		at = next
		out = append(out, at)
	}
	field.Settle()
	return out
}

// block is how many elements are computed with at once: few enough to stay in the nearest cache.
const block = 128

// pairs are the halves of a level, p₁ being p₁ + λq₁, so that what is added up is p₀q₁ + q₀p₁; and eq.
type pairs struct{ p0, p1, q0, q1, eq field.Vector }

// reduce proves the sum over a level's pairs that belongs to claims at a point, and returns its rounds, where they
// end, and the nodes there.
func (l level) reduce(t sumcheck.Transcript, point []field.Ext, lambda *field.Ext) (rounds []sumcheck.Round, s []field.Ext, nodes [4]field.Ext) {
	h := len(l.p) / 2
	v := pairs{l.p[:h], l.p[h:], l.q[:h], l.q[h:], field.EqTable(point)}
	scaled := make(field.Vector, min(h, block))
	for from := 0; from < h; from += block {
		n := min(block, h-from)
		scaled[:n].ScalarMul(v.q1[from:][:n], lambda)
		v.p1[from:][:n].Add(v.p1[from:][:n], scaled[:n])
	}
	for range point {
		h /= 2
		v.eq[:h].Add(v.eq[:h], v.eq[h:2*h]) // eq(ρ, 0) + eq(ρ, 1) = 1
		r := v.round(h)
		t.AbsorbExt("fractions", r.C0, r.C2)
		at := t.Ext()
		for _, a := range []field.Vector{v.p0, v.p1, v.q0, v.q1} {
			field.Fold(a[:h], a[h:2*h], &at)
		}
		field.Settle()
		rounds, s = append(rounds, r), append(s, at)
	}
	field.Settle()
	var z field.Ext
	z.Mul(lambda, &v.q1[0])
	nodes = [4]field.Ext{v.p0[0], v.p1[0], v.q0[0], v.q1[0]}
	nodes[1].Sub(&nodes[1], &z)
	return rounds, s, nodes
}

// round sums over one bit less: the coefficients of X⁰ and X² of Σ eq·(p₀q₁ + q₀p₁), all four being linear in X.
func (v *pairs) round(h int) (r sumcheck.Round) {
	var room [6][block]field.Ext
	for from := 0; from < h; from += block {
		n := min(block, h-from)
		eq := v.eq[from:][:n]
		low := func(a field.Vector) field.Vector { return a[from:][:n] }
		rise := func(i int, a field.Vector) field.Vector {
			d := field.Vector(room[i][:n])
			d.Sub(a[h+from:][:n], a[from:][:n])
			return d
		}
		a, b := field.Vector(room[4][:n]), field.Vector(room[5][:n])
		a.Mul(low(v.p0), low(v.q1))
		b.Mul(low(v.q0), low(v.p1))
		a.Add(a, b)
		z := a.InnerProduct(eq)
		r.C0.Add(&r.C0, &z)
		a.Mul(rise(0, v.p0), rise(1, v.q1))
		b.Mul(rise(2, v.q0), rise(3, v.p1))
		a.Add(a, b)
		z = a.InnerProduct(eq)
		r.C2.Add(&r.C2, &z)
	}
	field.Settle()
	return r
}
