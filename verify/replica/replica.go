// Package replica checks a result by the answers of other miners to the same input (V1).
//
// Miners of different owners commit to their answers before any of them is shown, so
// that nobody can wait and copy: a [Round] takes commitments until all are there or time is
// up, and only then answers. Agreement is accepted. Disagreement is not voted on: it proves
// that somebody is wrong, not who, and leads to a rerun.
//
// It runs no model. It proves nothing against miners that conspire: of k miners
// drawn from a population of which a share r conspires, all do with chance r^(k-1) if one of
// them cheats. It must not decide who is wrong.
package replica

import (
	"context"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify"
)

// Name of the method.
const Name = "replica"

// Method compares a case's answers. Exact says whether a model's results are the same
// on every machine; nil: none are.
type Method struct {
	Exact func(model essaim.Digest) bool
}

// About describes the method.
func (Method) About() verify.About {
	return verify.About{
		Name: Name, Rung: "V1", For: "all tasks that several miners were paid for", Needs: "the answers of k miners of different owners, committed to before any was shown",
		Proves: "miners that do not conspire agree; to the bit if the model is exact", Not: "who is wrong if they do not: that needs a rerun",
		Cost: "k-1 runs, paid by whoever asked", Score: "answers that differ; hash bits of 64 where the model is not exact",
	}
}

// Check compares the case with each answer.
func (m Method) Check(_ context.Context, c verify.Case) (verify.Finding, error) {
	if err := c.Check(); err != nil {
		return verify.Bound(Name, err), nil
	}
	exact := m.Exact != nil && m.Exact(c.Task.Model)
	if !exact && c.Task.Kind != essaim.KindImage {
		return verify.Finding{}, fmt.Errorf("%w: kind %s of a model that is not exact", verify.ErrCannot, c.Task.Kind)
	}
	f := verify.Finding{Method: Name, Result: essaim.VerdictValid}
	good := 0
	for _, a := range c.Answers {
		if a.Check(c.Task) != nil || a.Receipt.Miner == c.Receipt.Miner {
			continue // no answer at all: says nothing about this miner
		}
		good++
		bits, same, err := compare(c, a, exact)
		if err != nil {
			return verify.Bound(Name, err), nil
		}
		if exact && !same {
			f.Score++
		} else if !exact {
			f.Score = max(f.Score, uint64(bits))
		}
		if !same {
			f.Result, f.Next, f.Evidence = essaim.VerdictUnclear, "rerun", a.Receipt.Digest()
		}
	}
	if good == 0 {
		return f, fmt.Errorf("%w: no other miner has answered", verify.ErrCannot)
	}
	if f.Result == essaim.VerdictUnclear {
		f.Reason = "miners disagree, so one of them is wrong"
	}
	return f, nil
}

// compare says whether two answers are the same; bits are the hashes' distance where that
// decides.
func compare(c verify.Case, a verify.Answer, exact bool) (bits int, same bool, err error) {
	if c.Task.Kind != essaim.KindImage {
		return 0, c.Receipt.Output == a.Receipt.Output, nil
	}
	if exact {
		return 0, c.Receipt.Pixels == a.Receipt.Pixels, nil // checked against the pixels
	}
	got, err := verify.Decode(c.Output)
	if err != nil {
		return 0, false, err
	}
	other, err := verify.Decode(a.Output)
	if err != nil {
		return 0, false, nil
	}
	if got.Bounds().Size() != other.Bounds().Size() {
		return 64, false, nil
	}
	bits = verify.HashOf(got).Distance(verify.HashOf(other))
	return bits, bits <= verify.HashAccept, nil
}
