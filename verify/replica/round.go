package replica

import (
	"slices"

	"github.com/essaim/essaim"
)

// Round is one commit-then-reveal among the miners that were drawn for a task. Who
// holds the round (the client, or its coordinator) carries messages and time into it; a
// Round does no I/O, and is for one goroutine.
type Round struct {
	chainID string
	task    essaim.Digest
	miners  []essaim.NodeKey
	commits map[essaim.NodeKey]essaim.Digest
	answers map[essaim.NodeKey]essaim.Digest
	closed  bool // no further commitments
}

// Seat is a miner in a round, and whose it is.
type Seat struct {
	Miner essaim.NodeKey
	Owner essaim.Address
}

// NewRound begins a round about a task.
//
// Errors: CodeBadInput for fewer than two miners, or two of one owner, whose agreement
// would mean nothing.
func NewRound(chainID string, task essaim.Digest, seats []Seat) (*Round, error) {
	r := &Round{chainID: chainID, task: task, commits: map[essaim.NodeKey]essaim.Digest{}, answers: map[essaim.NodeKey]essaim.Digest{}}
	for i, s := range seats {
		if slices.ContainsFunc(seats[:i], func(o Seat) bool { return o.Owner == s.Owner || o.Miner == s.Miner }) {
			return nil, essaim.Errorf(essaim.CodeBadInput, "draw miners of different owners", "owner %s has two seats in a round", s.Owner)
		}
		r.miners = append(r.miners, s.Miner)
	}
	if len(seats) < 2 {
		return nil, essaim.Errorf(essaim.CodeBadInput, "ask for replica:2 or more", "a round has %d miners", len(seats))
	}
	return r, nil
}

// Commit takes a miner's commitment (essaim.Commit, about the task, to its answer). When
// all are there, the round is open for answers.
//
// Errors: CodeRefused for a miner without a seat, CodeConflict for a second commitment
// and for one that comes when answers may have been shown.
func (r *Round) Commit(miner essaim.NodeKey, commitment essaim.Digest) error {
	if !slices.Contains(r.miners, miner) {
		return essaim.Errorf(essaim.CodeRefused, "", "miner %s has no seat in the round", miner.Short())
	}
	if _, done := r.commits[miner]; done || r.Open() {
		return essaim.Errorf(essaim.CodeConflict, "commit once, before anybody reveals", "the commitment of miner %s comes too late", miner.Short())
	}
	r.commits[miner] = commitment
	return nil
}

// Expire ends the time for commitments: the round goes on with those that are there.
func (r *Round) Expire() { r.closed = true }

// Open reports whether answers may be shown: nobody can commit any more.
func (r *Round) Open() bool { return r.closed || len(r.commits) == len(r.miners) }

// Reveal takes a miner's answer: the digest of its pixels, or of its output where there are
// none, and the salt of its commitment.
//
// Errors: CodeConflict before the round is open, and for a second answer; CodeRefused if
// the miner has not committed to this answer.
func (r *Round) Reveal(miner essaim.NodeKey, answer essaim.Digest, salt essaim.Salt) error {
	if _, done := r.answers[miner]; done || !r.Open() {
		return essaim.Errorf(essaim.CodeConflict, "wait until all have committed, then reveal once", "miner %s may not reveal now", miner.Short())
	}
	commitment, ok := r.commits[miner]
	if !ok || essaim.Commit(r.chainID, r.task, answer, salt, miner) != commitment {
		return essaim.Errorf(essaim.CodeRefused, "reveal what was committed to", "miner %s has not committed to this answer", miner.Short())
	}
	r.answers[miner] = answer
	return nil
}

// Outcome is how a round stands.
type Outcome string

// Outcomes of a round.
const (
	Waiting  Outcome = "waiting"  // for commitments or answers
	Agreed   Outcome = "agreed"   // at least two answers, all the same to the bit
	Disputed Outcome = "disputed" // answers differ: to a rerun, or to a comparison of pictures if the model is not exact
	Alone    Outcome = "alone"    // fewer than two answers: nothing is known
)

// Outcome is how the round stands now. silent are the miners that have committed and not
// revealed, or not committed in time, in the order of their seats; over says that none
// will reveal any more.
func (r *Round) Outcome(over bool) (o Outcome, silent []essaim.NodeKey) {
	different := map[essaim.Digest]bool{}
	for _, m := range r.miners {
		if a, ok := r.answers[m]; ok {
			different[a] = true
		} else {
			silent = append(silent, m)
		}
	}
	pending := len(r.commits) - len(r.answers)
	switch {
	case !r.Open() || pending > 0 && !over:
		return Waiting, silent
	case len(r.answers) < 2:
		return Alone, silent
	case len(different) > 1:
		return Disputed, silent
	}
	return Agreed, silent
}
