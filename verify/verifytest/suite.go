package verifytest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify"
)

// Run tests that a method keeps the contract of package verify, on the exact model and
// on one whose machines differ by a level.
func Run(t *testing.T, l *Lab, method Method) {
	for _, noise := range []int{0, 1} {
		m := method.Make(l, noise)
		name := map[int]string{0: "Exact", 1: "Inexact"}[noise]
		t.Run(name+"/About", func(t *testing.T) { about(t, method, m) })
		t.Run(name+"/Hands", func(t *testing.T) { hands(t, l, m, noise) })
		t.Run(name+"/Cannot", func(t *testing.T) { cannot(t, l, m, noise) })
		t.Run(name+"/Concurrency", func(t *testing.T) { concurrency(t, l, m, noise) })
	}
}

func about(t *testing.T, method Method, m verify.Method) {
	a := m.About()
	for _, s := range []string{a.Name, a.Rung, a.For, a.Needs, a.Proves, a.Not, a.Cost, a.Score} {
		if s == "" {
			t.Errorf("its description is not complete: %+v", a)
		}
	}
	if a.Name != method.Name || a.Name != strings.ToLower(a.Name) || a != m.About() {
		t.Errorf("it is called %q, or not always", a.Name)
	}
}

// hands wants of each finding that it makes a verdict, that an honest miner is never found
// guilty, that what V0 sees is seen by all, and that no reason quotes the prompt.
func hands(t *testing.T, l *Lab, m verify.Method, noise int) {
	for _, h := range Hands() {
		for n := range 4 {
			if h.Exact && noise > 0 {
				continue
			}
			k := l.Trial(n, h.Side, noise)
			c := k.Answered(h.Do(l, k))
			f, err := m.Check(t.Context(), c)
			if errors.Is(err, verify.ErrCannot) {
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", h.Name, err)
			}
			if err := f.Verdict(c.Receipt, essaim.NodeKey{9}, 1).Check(); err != nil || f.Method != m.About().Name {
				t.Errorf("%s: finding %+v makes no verdict: %v", h.Name, f, err)
			}
			if h.Honest && f.Result == essaim.VerdictInvalid {
				t.Errorf("an honest miner is found guilty: %s", f.Reason)
			}
			if h.Bound && (f.Result != essaim.VerdictInvalid || f.Near) {
				t.Errorf("%s: %s, though V0 sees it", h.Name, f.Result)
			}
			if (f.Result == essaim.VerdictValid) != (f.Reason == "") || f.Next != "" && f.Result != essaim.VerdictUnclear {
				t.Errorf("%s: %s for the reason %q, next %q", h.Name, f.Result, f.Reason, f.Next)
			}
			if strings.Contains(f.Reason, k.Request.Prompt) {
				t.Errorf("the reason %q has the prompt", f.Reason)
			}
			if again, err := m.Check(t.Context(), c); err != nil || again != f {
				t.Errorf("%s: checked again it is %+v, error %v; before %+v", h.Name, again, err, f)
			}
		}
	}
}

// cannot wants an error, not a finding, where a method has not what it needs; and nothing
// held against a miner because a verifier was stopped.
func cannot(t *testing.T, l *Lab, m verify.Method, noise int) {
	k := l.Trial(0, 64, noise)
	k.Request.Model = essaim.DigestOf([]byte("a model that nobody has"))
	c := k.Case(k.Honest())
	if f, err := m.Check(t.Context(), c); err == nil && f.Result == essaim.VerdictInvalid || err != nil && !errors.Is(err, verify.ErrCannot) {
		t.Errorf("without the model: %+v, error %v", f, err)
	}
	k = l.Trial(1, 64, noise)
	c = k.Answered(k.Case(k.Honest()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f, err := m.Check(ctx, c); err == nil && f.Result != essaim.VerdictValid || err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, verify.ErrCannot) {
		t.Errorf("cancelled: %+v, error %v", f, err)
	}
}

func concurrency(t *testing.T, l *Lab, m verify.Method, noise int) {
	k := l.Trial(2, 64, noise)
	c := k.Answered(k.Case(k.Honest()))
	want, err := m.Check(t.Context(), c)
	if err != nil {
		t.Skipf("it cannot check this: %v", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got, err := m.Check(t.Context(), c); err != nil || got != want {
				t.Errorf("together with others: %+v, error %v; want %+v", got, err, want)
			}
		})
	}
	wg.Wait()
}

// Measure counts what methods find in n trials of a hand, a quarter of that for large
// pictures. The figures are the same on every machine.
func Measure(t *testing.T, l *Lab, methods []Method, h Hand, n, noise int) []Rate {
	t.Helper()
	rates := make([]Rate, len(methods))
	if h.Side > 64 {
		n /= 4
	}
	if h.Exact && noise > 0 {
		n = 0
	}
	made := make([]verify.Method, len(methods))
	for j, method := range methods {
		made[j] = method.Make(l, noise)
	}
	for i := range n {
		k := l.Trial(i, h.Side, noise)
		c := k.Answered(h.Do(l, k))
		for j, method := range methods {
			f, err := made[j].Check(t.Context(), c)
			switch {
			case errors.Is(err, verify.ErrCannot):
				rates[j].Cannot++
			case err != nil:
				t.Fatalf("%s, %s: %v", method, h.Name, err)
			default:
				rates[j].add(f)
			}
		}
	}
	return rates
}
