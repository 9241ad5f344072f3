// Package round holds the rounds of replicas: tasks of one request that several miners of
// different owners are paid for, and of which none is shown before all have committed.
//
// A coordinator asks it which owner may take a seat, hands commitments in, and is held back
// until answers may be shown. The rules are those of verify/replica; what is added is time
// and that a miner which is lost before it has committed can be replaced. The package must
// not decide who is right, and sees digests only.
package round

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify/replica"
)

// Most is how many replicas of a request there may be: a quote names no more miners.
const Most = 3

// Wanted reads a task's wish for replicas: "replica:2" or "replica:3". 0: it has none.
//
// Errors: CodeBadInput for a wish that nobody here fulfils.
func Wanted(wish string) (int, error) {
	if wish == "" || wish == essaim.VerifyProof {
		return 0, nil
	}
	n, ok := strings.CutPrefix(wish, essaim.VerifyReplicas)
	k, err := strconv.Atoi(n)
	if !ok || err != nil || k < 2 || k > Most {
		return 0, essaim.Errorf(essaim.CodeBadInput, "ask for proof, replica:2 or replica:3, or for nothing", "verification %.40q is not offered here", wish)
	}
	return k, nil
}

// Table is all rounds of a coordinator. It is safe for concurrent use.
type Table struct {
	chainID  string
	patience time.Duration

	mu     sync.Mutex
	rounds map[request]*round // guarded by mu
}

// request is what the tasks of a round have in common.
type request struct {
	session essaim.SessionID
	model   essaim.Digest
	input   essaim.Digest
	seed    uint64
	wish    string
}

type round struct {
	wanted int
	seats  map[essaim.Digest]*seat // by task
	opened chan struct{}           // closed when answers may be shown
	open   bool
	rules  *replica.Round // set when open; nil: one miner alone has committed
}

// seat is a task's place in its round, and whoever has it now.
type seat struct {
	miner      essaim.NodeKey // zero: nobody
	owner      essaim.Address
	commitment *essaim.Digest // nil: not yet
}

// New makes a table. patience is how long the first to commit waits for the others.
func New(chainID string, patience time.Duration) *Table {
	return &Table{chainID: chainID, patience: patience, rounds: map[request]*round{}}
}

func requestOf(t essaim.Task) request {
	return request{t.Session, t.Model, t.Input, t.Seed, t.Verify}
}

// Join gives a task a seat in its round, which the first one begins.
//
// Errors: CodeConflict if the round has as many tasks as were wanted.
func (t *Table) Join(task essaim.Task, digest essaim.Digest) error {
	k, err := Wanted(task.Verify)
	if k == 0 || err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rounds[requestOf(task)]
	if r == nil {
		r = &round{wanted: k, seats: map[essaim.Digest]*seat{}, opened: make(chan struct{})}
		t.rounds[requestOf(task)] = r
	}
	if r.seats[digest] != nil {
		return nil
	}
	if len(r.seats) >= r.wanted || r.open {
		return essaim.Errorf(essaim.CodeConflict, "seal another input for another round", "the request has its %d replicas", r.wanted)
	}
	r.seats[digest] = &seat{}
	return nil
}

// Leave ends a task's part in its round; the last one ends the round.
func (t *Table) Leave(task essaim.Task, digest essaim.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rounds[requestOf(task)]
	if r == nil || r.seats[digest] == nil {
		return
	}
	if r.open { // the seat stays taken, so that nobody joins who has seen answers
		r.seats[digest].miner = essaim.NodeKey{}
	} else {
		delete(r.seats, digest)
	}
	for _, s := range r.seats {
		if !s.miner.IsZero() || !r.open {
			return
		}
	}
	delete(t.rounds, requestOf(task))
}

// Free reports whether an owner's miner may take a task: none of that owner has a part in
// the round already.
func (t *Table) Free(task essaim.Task, digest essaim.Digest, owner essaim.Address) bool {
	if !task.Replicated() {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rounds[requestOf(task)]
	if r == nil {
		return true
	}
	for d, s := range r.seats {
		if d != digest && !s.miner.IsZero() && s.owner == owner {
			return false
		}
	}
	return true
}

// Sit notes who has a task now; whoever had it before has not committed to anything.
func (t *Table) Sit(task essaim.Task, digest essaim.Digest, miner essaim.NodeKey, owner essaim.Address) {
	if !task.Replicated() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rounds[requestOf(task)]; r != nil && r.seats[digest] != nil && !r.open {
		*r.seats[digest] = seat{miner: miner, owner: owner}
	}
}

// Commit takes a miner's commitment to its receipt and waits until all have committed, or
// the time for it is over.
//
// Errors: CodeConflict for a commitment that comes too late, or a second one; the context's.
func (t *Table) Commit(ctx context.Context, task essaim.Task, digest essaim.Digest, miner essaim.NodeKey, commitment essaim.Digest) error {
	t.mu.Lock()
	r := t.rounds[requestOf(task)]
	if r == nil || r.open || r.seats[digest] == nil || r.seats[digest].miner != miner || r.seats[digest].commitment != nil {
		t.mu.Unlock()
		return essaim.Errorf(essaim.CodeConflict, "commit once, before anybody reveals", "the commitment of miner %s comes too late", miner.Short())
	}
	r.seats[digest].commitment = &commitment
	missing := r.wanted
	for _, s := range r.seats {
		if s.commitment != nil {
			missing--
		}
	}
	if missing == 0 {
		t.begin(r, task)
	}
	t.mu.Unlock()
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	select {
	case <-r.opened:
	case <-timer.C:
		t.mu.Lock()
		t.begin(r, task)
		t.mu.Unlock()
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// begin opens a round with those that have committed. t.mu is held.
func (t *Table) begin(r *round, task essaim.Task) {
	if r.open {
		return
	}
	r.open = true
	defer close(r.opened)
	var seats []replica.Seat
	for _, s := range r.seats {
		if s.commitment != nil {
			seats = append(seats, replica.Seat{Miner: s.miner, Owner: s.owner})
		}
	}
	rules, err := replica.NewRound(t.chainID, task.Input, seats)
	if err != nil {
		return // fewer than two: nothing can be copied, and nothing is compared
	}
	for _, s := range r.seats {
		if s.commitment != nil {
			_ = rules.Commit(s.miner, *s.commitment) // its own seat, once
		}
	}
	r.rules = rules
}

// Reveal takes the receipt that a miner shows.
//
// Errors: CodeConflict if the round is not open, CodeRefused if the miner has not committed
// to this receipt.
func (t *Table) Reveal(task essaim.Task, digest essaim.Digest, miner essaim.NodeKey, receipt essaim.Digest, salt essaim.Salt) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rounds[requestOf(task)]
	if r == nil || !r.open || r.seats[digest] == nil {
		return essaim.Errorf(essaim.CodeConflict, "wait until all have committed, then reveal", "miner %s may not reveal now", miner.Short())
	}
	if r.rules != nil {
		return r.rules.Reveal(miner, receipt, salt)
	}
	s := r.seats[digest]
	if s.commitment == nil || essaim.Commit(t.chainID, task.Input, receipt, salt, miner) != *s.commitment {
		return essaim.Errorf(essaim.CodeRefused, "reveal what was committed to", "miner %s has not committed to this receipt", miner.Short())
	}
	return nil
}
