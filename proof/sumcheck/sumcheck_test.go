package sumcheck

import (
	"math/rand/v2"
	"testing"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/transcript"
)

func random(seed uint64, n int) []field.Ext {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]field.Ext, n)
	for i := range out {
		out[i] = field.FromCoordinates([4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()})
	}
	return out
}

// last is Σ_b p~_b(s)·x~_b(s) by the definition.
func last(p, x, s []field.Ext, lanes int) (sum field.Ext) {
	eq := field.Eq(s)
	for b := range lanes {
		var pb, xb, z field.Ext
		for j := range eq {
			z.Mul(&eq[j], &p[j*lanes+b])
			pb.Add(&pb, &z)
			z.Mul(&eq[j], &x[j*lanes+b])
			xb.Add(&xb, &z)
		}
		z.Mul(&pb, &xb)
		sum.Add(&sum, &z)
	}
	return sum
}

func TestSumcheck(t *testing.T) {
	for _, c := range []struct{ bits, lanes int }{{0, 3}, {1, 1}, {3, 5}, {8, 2}} {
		n := c.lanes << c.bits
		p, x := random(1, n), random(2, n)
		sum := field.Dot(p, x)
		rounds, s := Prove(new(transcript.Transcript), append([]field.Ext(nil), p...), append([]field.Ext(nil), x...), c.lanes)
		if len(rounds) != c.bits {
			t.Errorf("%v: %d rounds", c, len(rounds))
		}
		again, rest := Verify(new(transcript.Transcript), sum, rounds)
		for i := range s {
			if !s[i].Equal(&again[i]) {
				t.Fatalf("%v: prover and verifier draw other challenges", c)
			}
		}
		if want := last(p, x, s, c.lanes); !rest.Equal(&want) {
			t.Errorf("%v: a right sum leaves a wrong claim", c)
		}
	}
}

// TestLies: a wrong sum, or any wrong number in a round, leaves a wrong claim.
func TestLies(t *testing.T) {
	const bits, lanes = 5, 3
	p, x := random(3, lanes<<bits), random(4, lanes<<bits)
	sum := field.Dot(p, x)
	rounds, _ := Prove(new(transcript.Transcript), append([]field.Ext(nil), p...), append([]field.Ext(nil), x...), lanes)
	check := func(why string, sum field.Ext, rounds []Round) {
		s, rest := Verify(new(transcript.Transcript), sum, rounds)
		if want := last(p, x, s, lanes); rest.Equal(&want) {
			t.Errorf("%s passes", why)
		}
	}
	one := *new(field.Ext).SetOne()
	wrong := sum
	wrong.Add(&wrong, &one)
	check("a wrong sum", wrong, rounds)
	// Without the transcript, a prover who knew s would mend the next rounds: here he only repeats them.
	for i := range rounds {
		for j := range 2 {
			lie := append([]Round(nil), rounds...)
			if j == 0 {
				lie[i].C0.Add(&lie[i].C0, &one)
			} else {
				lie[i].C2.Add(&lie[i].C2, &one)
			}
			check("a wrong round", sum, lie)
		}
	}
}
