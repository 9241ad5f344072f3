package trust_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify/trust"
)

// TestWeights derives the constants.
func TestWeights(t *testing.T) {
	const p0, p1, alpha, beta = .01, .10, 1e-4, 1e-4
	for name, c := range map[string]struct{ got, want float64 }{
		"fail":      {trust.FailWeight, math.Log(p1 / p0)},
		"pass":      {trust.PassWeight, math.Log((1 - p0) / (1 - p1))},
		"threshold": {trust.Threshold, math.Log((1 - beta) / alpha)},
	} {
		if want := math.Round(c.want * 1e6); c.got != want {
			t.Errorf("%s is %.0f, want %.0f", name, c.got, want)
		}
	}
}

func repeat(r *trust.Record, o trust.Outcome, n int) (last trust.Action) {
	for range n {
		last = r.Audited(o)
	}
	return last
}

func TestActions(t *testing.T) {
	var r trust.Record
	if a := repeat(&r, trust.Wrong, 2); a != trust.Warn {
		t.Errorf("two wrong results of two: %s", a) // 4.6 of 9.2
	}
	if a := repeat(&r, trust.Wrong, 2); a != trust.Convict || r != (trust.Record{}) {
		t.Errorf("four wrong results of four: %s, %+v", a, r)
	}
	r = trust.Record{}
	if a := repeat(&r, trust.Unclear, 1000); a != trust.Nothing || r != (trust.Record{}) {
		t.Errorf("unanswered: %s, %+v", a, r)
	}
	if a := repeat(&r, trust.Right, 97); a != trust.Nothing || r.Misconduct != 0 || r.Oddity != 0 {
		t.Errorf("97 right results: %s, %+v; want the tests to begin anew", a, r)
	}
	// Odd hardware: each result near, none wrong.
	r = trust.Record{}
	for _, want := range []trust.Action{trust.Nothing, trust.Warn, trust.Nothing, trust.Unlist, trust.Nothing, trust.Nothing} {
		if a := r.Audited(trust.Near); a != want {
			t.Errorf("near for the %d. time: %s, want %s", r.Nears, a, want)
		}
	}
	if !r.Unlisted || r.Misconduct != 0 || r.Oddity > trust.Threshold {
		t.Errorf("odd hardware: %+v", r)
	}
	if a := repeat(&r, trust.Near, 10_000); a != trust.Nothing {
		t.Errorf("odd hardware leads to %s", a)
	}
	if a := repeat(&r, trust.Wrong, 4); a != trust.Convict || !r.Unlisted {
		t.Errorf("wrong on odd hardware: %s, %+v", a, r)
	}
}

func TestOutcomeOf(t *testing.T) {
	for want, v := range map[trust.Outcome]essaim.Verdict{
		trust.Right:   {Result: essaim.VerdictValid},
		trust.Near:    {Result: essaim.VerdictInvalid, Near: true},
		trust.Wrong:   {Result: essaim.VerdictInvalid},
		trust.Unclear: {Result: essaim.VerdictUnclear, Near: true},
	} {
		if got := trust.OutcomeOf(v); got != want {
			t.Errorf("%+v is %s, want %s", v, got, want)
		}
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		r     trust.Record
		exact bool
		want  essaim.Bps
	}{
		{trust.Record{}, true, 10_000},
		{trust.Record{Jobs: 19}, true, 10_000},
		{trust.Record{Jobs: 20}, true, 2_500},
		{trust.Record{Jobs: 99}, false, 2_500},
		{trust.Record{Jobs: 100}, true, 500},
		{trust.Record{Jobs: 100}, false, 1_000},
		{trust.Record{Jobs: 1 << 60, Misconduct: -5, Oddity: -5}, true, 500},
		{trust.Record{Jobs: 1 << 60, Misconduct: 5}, true, 2_500},
		{trust.Record{Jobs: 1 << 60, Oddity: 5}, false, 2_500},
	} {
		if got := c.r.Share(c.exact); got != c.want {
			t.Errorf("%+v, exact %v: %s, want %s", c.r, c.exact, got, c.want)
		}
	}
}

func TestDeterrent(t *testing.T) {
	const r = 1_000_000
	for _, c := range []struct {
		b    trust.Bargain
		want float64 // in prices
	}{
		{trust.Typical(r, 100), 101.6},
		{trust.Typical(r, 500), 19.5},
		{trust.Typical(r, 1_000), 9.3},
		{trust.Bargain{r, 7_000, 500, 500, 10_000, 0}, 12},
	} {
		s, ok := c.b.Deterrent()
		if got := float64(s) / r; !ok || math.Abs(got-c.want) > .06 {
			t.Errorf("%+v: %.3f prices, %v; want %.1f", c.b, got, ok, c.want)
		}
		if p := c.b.LargestPrice(s); p < r || p > r+1 {
			t.Errorf("%+v: %d deters up to %d, want %d", c.b, s, p, r)
		}
		// Cheating pays below, and not above.
		q := float64(c.b.Audits) * float64(c.b.Finds) * float64(10_000-c.b.Corrupt) / 1e12
		honest, cost := r*(1-float64(c.b.Work)/1e4), r*float64(c.b.Cheat)/1e4
		for _, d := range []float64{-10, 10} {
			cheat := (1-q)*(r-cost) - q*(float64(s)+d+cost)
			if (cheat > honest) != (d < 0) {
				t.Errorf("%+v: with %f, cheating earns %f and honesty %f", c.b, float64(s)+d, cheat, honest)
			}
		}
	}
	for why, b := range map[string]trust.Bargain{
		"no audits":          trust.Typical(r, 0),
		"all verifiers bad":  {r, 7_000, 500, 500, 9_500, 10_000},
		"more than it costs": {r, 500, 7_000, 500, 9_500, 0},
		"more than all":      {r, 7_000, 500, 10_001, 9_500, 0},
		"too much money":     trust.Typical(math.MaxUint64, 500),
	} {
		if s, ok := b.Deterrent(); ok {
			t.Errorf("%s: %d deters", why, s)
		}
	}
	if s, ok := trust.Typical(0, 500).Deterrent(); s != 0 || !ok {
		t.Errorf("a job for nothing: %d, %v", s, ok)
	}
}

// TestDeters: a twentieth of the stake deters at the shares that jobs are audited with, and
// the least slash that does is where the inequality says.
func TestDeters(t *testing.T) {
	for _, c := range []struct {
		slash, audits essaim.Bps
		least         essaim.Bps
		ok            bool
	}{
		{500, trust.ShareExact, 489, true},
		{489, trust.ShareExact, 489, true},
		{488, trust.ShareExact, 489, false},
		{500, trust.ShareInexact, 232, true},
		{10_000, 100, 2_541, true},
		{500, 100, 2_541, false},
		{10_000, 0, 10_001, false},
	} {
		if least, ok := trust.Deters(c.slash, c.audits); ok != c.ok || least != c.least {
			t.Errorf("a slash of %s with audits of %s: %v, least %s; want %v, %s", c.slash, c.audits, ok, least, c.ok, c.least)
		}
	}
	if got := trust.LargestJob(1_000 * essaim.AIM); got != 2_500_000 {
		t.Errorf("1000 AIM stand for a job of %s", got)
	}
}

// TestIntegersOnly: the ledger may count with this package and the one that draws.
func TestIntegersOnly(t *testing.T) {
	for _, dir := range []string{".", "../duty"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				id, isName := n.(*ast.Ident)
				lit, isLit := n.(*ast.BasicLit)
				if isName && (id.Name == "float64" || id.Name == "float32" || id.Name == "math") || isLit && lit.Kind == token.FLOAT {
					t.Errorf("%s: floating point", set.Position(n.Pos()))
				}
				return true
			})
		}
	}
}
