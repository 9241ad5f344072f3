package logprob

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/essaim/essaim"
)

// model is a made-up language model: logits of a few tokens at each place.
func model(seed uint64, places int) (logits [][]float64) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range places {
		l := make([]float64, 50)
		for i := range l {
			l[i] = 3 * r.NormFloat64()
		}
		logits = append(logits, l)
	}
	return logits
}

// read is what a machine sees: the logits with its own noise, as the five likeliest tokens.
func read(logits [][]float64, tokens []uint32, noise float64, machine uint64) (out Transcript) {
	r := rand.New(rand.NewPCG(machine, 2))
	for i, l := range logits {
		noisy, sum := make([]float64, len(l)), 0.0
		for j, x := range l {
			noisy[j] = x + noise*r.NormFloat64()
			sum += math.Exp(noisy[j])
		}
		p := Place{Token: tokens[i]}
		for range 5 {
			best := 0
			for j := range noisy {
				if noisy[j] > noisy[best] {
					best = j
				}
			}
			p.Top = append(p.Top, Choice{uint32(best), int64(1e6 * (noisy[best] - math.Log(sum)))})
			noisy[best] = math.Inf(-1)
		}
		out = append(out, p)
	}
	return out
}

func greedy(logits [][]float64) (tokens []uint32) {
	for _, p := range read(logits, make([]uint32, len(logits)), 0, 0) {
		tokens = append(tokens, p.Top[0].Token)
	}
	return tokens
}

func similarity(t *testing.T, a, b Transcript) uint64 {
	t.Helper()
	s, err := Similarity(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSimilarity(t *testing.T) {
	const places = 300
	right := model(1, places)
	tokens := greedy(right)
	honest := read(right, tokens, .003, 1)
	if s := similarity(t, honest, honest); s != 1_000_000 {
		t.Errorf("the same machine: %d", s)
	}
	if s := similarity(t, honest, read(right, tokens, .003, 2)); s < Accept {
		t.Errorf("another machine: %d, want %d", s, Accept)
	}
	quantised := similarity(t, read(right, tokens, .3, 3), read(right, tokens, .003, 2))
	other := similarity(t, read(model(2, places), tokens, .003, 1), honest)
	if quantised >= Accept || other >= quantised {
		t.Errorf("a quantised model %d, another model %d, want below %d and below that", quantised, other, Accept)
	}
	t.Logf("a coarser model %d, another model %d", quantised, other)
}

func TestSurprise(t *testing.T) {
	right := model(1, 300)
	own := read(right, greedy(right), 0, 1).Surprise()
	foreign := read(right, greedy(model(2, 300)), 0, 1).Surprise()
	if foreign < 2*own {
		t.Errorf("its own text surprises the model by %d, foreign text by %d", own, foreign)
	}
	if (Transcript{{}}).Surprise() != 0 {
		t.Error("nothing surprises")
	}
}

func TestSimilarityRefuses(t *testing.T) {
	one := Transcript{{Token: 1, Top: []Choice{{1, -5}}}}
	for why, other := range map[string]Transcript{
		"length": {}, "token": {{Token: 2, Top: []Choice{{1, -5}}}}, "list": {{Token: 1}},
	} {
		if _, err := Similarity(one, other); err == nil {
			t.Errorf("another %s is compared", why)
		}
	}
	extreme := Transcript{{Token: 1, Top: []Choice{{1, math.MinInt64}, {2, math.MaxInt64}}}}
	if s := similarity(t, one, extreme); s > 1_000_000 {
		t.Errorf("absurd numbers: %d", s)
	}
}

// states are bfloat16 bits of hidden states with a machine's noise, in units of the last place.
func states(seed uint64, n int, noise float64, machine uint64) []uint16 {
	r, own := rand.New(rand.NewPCG(seed, 3)), rand.New(rand.NewPCG(machine, 4))
	out := make([]uint16, n)
	for i := range out {
		x := r.NormFloat64() * math.Exp(r.NormFloat64()) // heavy tails, as hidden states have
		x *= 1 + noise*own.NormFloat64()/128
		out[i] = uint16(math.Float32bits(float32(x)) >> 16)
	}
	return out
}

func fingerprint(t testing.TB, s []uint16) []byte {
	t.Helper()
	f, err := Fingerprint(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFingerprint(t *testing.T) {
	const n = TokensPerFingerprint * 4096
	f := fingerprint(t, states(1, n, 0, 0))
	if len(f) != 258 {
		t.Fatalf("%d bytes", len(f))
	}
	for _, c := range []struct {
		why   string
		s     []uint16
		fits  bool
		exact bool
	}{
		{"the same states", states(1, n, 0, 0), true, true},
		{"another machine, two units in the last place", states(1, n, 2, 7), true, false},
		{"half the precision of another kind", states(1, n, 40, 8), false, false},
		{"another model", states(2, n, 0, 0), false, false},
	} {
		got, err := Compare(f, c.s)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", c.why, got)
		if got.Fits() != c.fits || c.exact && got != (Comparison{Exponents: 128}) {
			t.Errorf("%s: %+v", c.why, got)
		}
	}
}

// TestInterpolation: the polynomial goes through its points, of any number.
func TestInterpolation(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, n := range []int{1, 2, 3, 17, points} {
		xs, ys := make([]uint32, n), make([]uint32, n)
		for i, x := range r.Perm(prime)[:n] {
			xs[i], ys[i] = uint32(x), r.Uint32N(prime)
		}
		var bytes []byte
		for _, c := range interpolate(xs, ys) {
			bytes = binary.BigEndian.AppendUint16(bytes, uint16(c))
		}
		for i := range xs {
			if got := evaluate(bytes, xs[i]); got != ys[i] {
				t.Fatalf("%d points: at %d it is %d, want %d", n, xs[i], got, ys[i])
			}
		}
	}
	for _, a := range []uint32{1, 2, 3, 65496, 32748} {
		if mul(a, inverse(a)) != 1 {
			t.Errorf("%d has no inverse", a)
		}
	}
}

// TestModulus: indices that would fall together move the modulus down.
func TestModulus(t *testing.T) {
	apart := make([]int, points)
	for i := range apart {
		apart[i] = i
	}
	if m := modulus(apart); m != prime {
		t.Errorf("modulus %d", m)
	}
	apart[5] = prime + 3
	if m := modulus(apart); m >= prime || (prime+3)%m < points && (prime+3)%m != 5 {
		t.Errorf("modulus %d", m)
	}
}

func TestCompareRefuses(t *testing.T) {
	s := states(1, 4096, 0, 0)
	f := fingerprint(t, s)
	if _, err := Compare(f[:257], s); err == nil {
		t.Error("a short fingerprint is compared")
	}
	if _, err := Compare(make([]byte, 258), s); err == nil {
		t.Error("a fingerprint modulo 0 is compared")
	}
	if _, err := Compare(f, s[:100]); err == nil {
		t.Error("100 states are compared")
	}
	if _, err := Fingerprint(s[:127]); err == nil {
		t.Error("127 states have a fingerprint")
	}
	junk := make([]byte, 258)
	for i := range junk {
		junk[i] = 0xee
	}
	if c, err := Compare(junk, s); err != nil || c.Fits() {
		t.Errorf("junk: %+v, error %v", c, err)
	}
}

// TestPinned: a fingerprint made here is understood elsewhere.
func TestPinned(t *testing.T) {
	s := make([]uint16, 4096)
	for i := range s {
		s[i] = uint16(i * i * 7)
	}
	if got := essaim.DigestOf(fingerprint(t, s)).String(); got != pinned {
		t.Errorf("the fingerprint's digest is %s, want %s; it begins %s", got, pinned, hex.EncodeToString(fingerprint(t, s)[:16]))
	}
}

const pinned = "9deb732d1f8190269f9fd23f3a158d4cced317f41e33390e600184a931689090"

func BenchmarkFingerprint(b *testing.B) {
	s := states(1, TokensPerFingerprint*4096, 0, 0)
	for b.Loop() {
		fingerprint(b, s)
	}
}
