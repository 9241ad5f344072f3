package lookup_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/lookup"
	"github.com/essaim/essaim/proof/transcript"
)

// number is any element of the extension.
func number(t *rapid.T, label string) field.Ext {
	var c [4]uint64
	for i := range c {
		c[i] = rapid.Uint64Range(0, field.P-1).Draw(t, label)
	}
	return field.FromCoordinates(c)
}

// fractions are those of some look-ups in a table of eight, none of them beyond it.
func fractions(t *rapid.T, bits int, alpha field.Ext) (p, q []field.Ext) {
	n := 1 << bits
	p, q = make([]field.Ext, n), make([]field.Ext, n)
	times := make([]int64, 8)
	minus := func(v int64) (d field.Ext) {
		e := field.Of(v)
		d.B0.A0 = e
		d.Sub(&alpha, &d)
		return d
	}
	looked := rapid.IntRange(0, n-8).Draw(t, "looked up")
	for i := range n {
		switch {
		case i < 8:
			q[i] = minus(int64(i))
		case i < 8+looked:
			v := rapid.Int64Range(0, 7).Draw(t, "v")
			times[v]++
			p[i].SetOne()
			q[i] = minus(v)
		default:
			q[i].SetOne()
		}
	}
	for i, m := range times {
		p[i].B0.A0 = field.Of(-m)
	}
	return p, q
}

// value is a multilinear extension's at a point.
func value(v, point []field.Ext) field.Ext { return field.Dot(field.Eq(point), v) }

// TestLookups: look-ups in a table are proven, the claims that are left are true, and a number that is not in the
// table is not proven.
func TestLookups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(3, 9).Draw(t, "bits")
		p, q := fractions(t, bits, number(t, "alpha"))
		if rapid.Bool().Draw(t, "lie") {
			var one field.Ext
			at := rapid.IntRange(0, len(q)-1).Draw(t, "at")
			q[at].Add(&q[at], one.SetOne())
			if p[at].IsZero() {
				p[at].SetOne()
			}
			proof, _ := lookup.Prove(new(transcript.Transcript), p, q)
			if _, ok := lookup.Verify(new(transcript.Transcript), bits, proof); ok {
				t.Fatal("a number that is not in the table is proven to be")
			}
			return
		}
		p0, q0 := append([]field.Ext(nil), p...), append([]field.Ext(nil), q...)
		proof, left := lookup.Prove(new(transcript.Transcript), p, q)
		c, ok := lookup.Verify(new(transcript.Transcript), bits, proof)
		if !ok {
			t.Fatal("refused")
		}
		wantP, wantQ := value(p0, c.Point), value(q0, c.Point)
		if !c.P.Equal(&wantP) || !c.Q.Equal(&wantQ) || !left.P.Equal(&c.P) || !left.Q.Equal(&c.Q) {
			t.Fatalf("the claims are %v, %v; the leaves come to %v, %v", &c.P, &c.Q, &wantP, &wantQ)
		}
	})
}

// TestMutations: each number of a proof counts.
func TestMutations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const bits = 5
		p, q := fractions(t, bits, number(t, "alpha"))
		p0, q0 := append([]field.Ext(nil), p...), append([]field.Ext(nil), q...)
		proof, _ := lookup.Prove(new(transcript.Transcript), p, q)
		all := []*field.Ext{&proof.Root}
		for i := range proof.Levels {
			l := &proof.Levels[i]
			for j := range l.Rounds {
				all = append(all, &l.Rounds[j].C0, &l.Rounds[j].C2)
			}
			for j := range l.Nodes {
				all = append(all, &l.Nodes[j])
			}
		}
		e := all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
		by := number(t, "by")
		if by.IsZero() {
			by.SetOne()
		}
		e.Add(e, &by)
		c, ok := lookup.Verify(new(transcript.Transcript), bits, proof)
		wantP, wantQ := value(p0, c.Point), value(q0, c.Point)
		if ok && c.P.Equal(&wantP) && c.Q.Equal(&wantQ) {
			t.Fatal("a changed proof leads to claims that are true")
		}
	})
}

// TestShapes: proofs of another shape are refused, and nothing panics.
func TestShapes(t *testing.T) {
	for _, p := range []lookup.Proof{{}, {Levels: make([]lookup.Level, 3)}} {
		if _, ok := lookup.Verify(new(transcript.Transcript), 3, p); ok {
			t.Error("a proof of nothing is taken")
		}
	}
	var p lookup.Proof
	p.Root.SetOne()
	p.Levels = make([]lookup.Level, 3)
	if _, ok := lookup.Verify(new(transcript.Transcript), 3, p); ok {
		t.Error("a proof without rounds is taken")
	}
}

func BenchmarkProve(b *testing.B) {
	const n = 1 << 18
	alpha := field.FromCoordinates([4]uint64{5, 6, 7, 8})
	p, q := make([]field.Ext, n), make([]field.Ext, n)
	for b.Loop() {
		for i := range p {
			p[i].SetOne()
			q[i] = alpha
			q[i].B0.A0 = field.Of(int64(i))
		}
		lookup.Prove(new(transcript.Transcript), p, q)
	}
}
