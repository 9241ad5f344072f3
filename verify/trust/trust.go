// Package trust decides what follows from verdicts: how often a miner is checked, and when
// its failures are evidence enough to act on.
//
// One failed check of a model that is not exact proves nothing: machines differ, verifiers
// err. So evidence is counted by Wald's sequential probability-ratio test, per miner and
// model, and stake is taken only when chance explains the failures once in ten thousand
// tests. What an exact model got wrong is proven at once and needs no statistics: that is a
// dispute's matter.
//
// Two tests run side by side. Wrong results speak for misconduct; results that are not the
// same but as near as other hardware comes speak for odd hardware, which costs the model's
// listing and no stake. A duty that was not answered says nothing: unanswered is not wrong.
//
// Everything is integers, so that the ledger can count the same way: it must not use
// floating point (a test reads the source), a clock or randomness.
package trust

import "github.com/essaim/essaim"

// Outcome is what one audit of a miner came to.
type Outcome string

// Outcomes of an audit.
const (
	Right   Outcome = "right"
	Near    Outcome = "near"    // not the same, but as near as other hardware comes
	Wrong   Outcome = "wrong"   // neither
	Unclear Outcome = "unclear" // or not answered
)

// OutcomeOf reads a verdict.
func OutcomeOf(v essaim.Verdict) Outcome {
	switch {
	case v.Result == essaim.VerdictValid:
		return Right
	case v.Result != essaim.VerdictInvalid:
		return Unclear
	case v.Near:
		return Near
	}
	return Wrong
}

// The test. Evidence is counted in millionths of a nat, the natural logarithm of how many
// times likelier the audits are from a miner that fails one in ten than from one that
// fails one in a hundred.
const (
	// FailWeight is ln(p1/p0), p0 = 1 %, p1 = 10 %: what a failed audit adds.
	FailWeight = 2_302_585

	// PassWeight is ln((1-p0)/(1-p1)): what a passed audit takes away.
	PassWeight = 95_310

	// Threshold is ln((1-β)/α) for α = β = 10⁻⁴: at +Threshold the failures are no accident, at
	// -Threshold the miner is good and the test begins anew.
	Threshold = 9_210_240
)

// Record is what is known of one miner with one model. The zero Record is a new miner's.
type Record struct {
	Jobs   uint64 // finished, audited or not
	Audits uint64 // that came to an outcome other than Unclear
	Wrongs uint64
	Nears  uint64

	Misconduct int64 // evidence for it, from -Threshold to Threshold
	Oddity     int64 // evidence for odd hardware, likewise
	Unlisted   bool  // the model was taken off the miner's list
}

// Action is what follows from an audit.
type Action string

// Actions. Each is returned once, by the audit that brings it about.
const (
	Nothing Action = "nothing"
	Warn    Action = "warn"    // half the evidence is there: tell the owner
	Unlist  Action = "unlist"  // odd hardware: no more tasks of this model, no stake taken
	Convict Action = "convict" // misconduct: slash, and begin anew
)

// Finished counts a job.
func (r *Record) Finished() { r.Jobs++ }

// Audited counts an audit's outcome.
func (r *Record) Audited(o Outcome) Action {
	if o == Unclear {
		return Nothing
	}
	r.Audits++
	misconduct, oddity := r.Misconduct, r.Oddity
	switch o {
	case Right:
		r.Misconduct -= PassWeight
		r.Oddity -= PassWeight
	case Near: // says nothing of misconduct, neither way
		r.Nears++
		r.Oddity += FailWeight
	case Wrong:
		r.Wrongs++
		r.Misconduct += FailWeight
	}
	if r.Misconduct <= -Threshold {
		r.Misconduct = 0
	}
	if r.Oddity <= -Threshold {
		r.Oddity = 0
	}
	crossed := func(before, now, at int64) bool { return before < at && now >= at }
	switch {
	case r.Misconduct >= Threshold:
		*r = Record{Unlisted: r.Unlisted}
		return Convict
	case r.Oddity >= Threshold && !r.Unlisted:
		r.Unlisted, r.Oddity = true, Threshold
		return Unlist
	case crossed(misconduct, r.Misconduct, Threshold/2) || !r.Unlisted && crossed(oddity, r.Oddity, Threshold/2):
		return Warn
	}
	r.Oddity = min(r.Oddity, Threshold)
	return Nothing
}

// How often jobs are audited, and of those audits how many come with a canary: a job with a
// known wrong answer, which a verifier must not wave through. Who makes canaries chooses
// them in secret; a public draw would give them away.
const (
	ShareNew     essaim.Bps = 10_000 // of the first JobsNew
	ShareYoung   essaim.Bps = 2_500  // up to JobsYoung, and under suspicion
	ShareExact   essaim.Bps = 500    // afterwards, of exact models
	ShareInexact essaim.Bps = 1_000  // afterwards, of others
	Canaries     essaim.Bps = 200

	JobsNew   = 20
	JobsYoung = 100
)

// Share is which part of the miner's next jobs is audited. It is never 0. A miner with more
// failures than passes explain is suspect and is audited like a young one.
func (r Record) Share(exact bool) essaim.Bps {
	switch {
	case r.Jobs < JobsNew:
		return ShareNew
	case r.Jobs < JobsYoung, r.Misconduct > 0, r.Oddity > 0:
		return ShareYoung
	case exact:
		return ShareExact
	}
	return ShareInexact
}
