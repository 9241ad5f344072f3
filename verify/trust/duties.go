package trust

// The test of duties: between a miner that misses one audit in ten, as a machine at home does that restarts and loses its
// line, and one that misses every other. It says nothing of results: unanswered is not wrong.
const (
	// MissWeight is ln(p1/p0), p0 = 10 %, p1 = 50 %, in millionths: what an audit that was not answered adds.
	MissWeight = 1_609_437

	// AnswerWeight is ln((1-p0)/(1-p1)): what an answered one takes away.
	AnswerWeight = 587_786
)

// Duties is how a miner that was drawn has answered. The zero Duties is a new miner's.
type Duties struct {
	Asked    uint64
	Missed   uint64
	Evidence int64 // of absence, from -Threshold to Threshold
}

// Drawn counts an audit that the miner was asked for, and reports whether it is clear now that it misses its duties; then
// the test begins anew.
func (d *Duties) Drawn(answered bool) (absent bool) {
	d.Asked++
	if answered {
		d.Evidence -= AnswerWeight
	} else {
		d.Missed++
		d.Evidence += MissWeight
	}
	switch {
	case d.Evidence >= Threshold:
		*d = Duties{}
		return true
	case d.Evidence <= -Threshold:
		d.Evidence = 0
	}
	return false
}
