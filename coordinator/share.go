package coordinator

import (
	"github.com/essaim/essaim"
)

const (
	// shareWindow is over how many of a model's latest tasks a miner's share is counted.
	shareWindow = 400

	// maxShare bounds a miner's share of a model's tasks while others have room: one in
	// so many.
	maxShare = 4
)

// shares counts who got the latest tasks of one model.
type shares struct {
	last  [shareWindow]essaim.NodeKey // a ring
	next  int                         // where the next one goes
	size  int                         // how many there are
	count map[essaim.NodeKey]int
}

// note counts one more task, and forgets the oldest.
func (s *shares) note(m essaim.NodeKey) {
	if s.count == nil {
		s.count = map[essaim.NodeKey]int{}
	}
	if s.size == shareWindow {
		old := s.last[s.next]
		if s.count[old]--; s.count[old] == 0 {
			delete(s.count, old)
		}
	} else {
		s.size++
	}
	s.last[s.next] = m
	s.next = (s.next + 1) % shareWindow
	s.count[m]++
}

// allows reports whether the miner could get one more task and stay within its share.
// While there are fewer tasks than shares, nobody can.
func (s *shares) allows(m essaim.NodeKey) bool {
	if s == nil {
		return false
	}
	counted := s.count[m] + 1
	if s.size == shareWindow && s.last[s.next] == m {
		counted-- // the task that the next one pushes out is its own
	}
	return counted*maxShare <= min(s.size+1, shareWindow)
}

// withinShare splits miners into those that could get one more of a model's tasks
// within their share, and the others. c.mu is held.
func (c *Coordinator) withinShare(model essaim.Digest, from []*miner) (within, beyond []*miner) {
	s := c.shares[model]
	for _, m := range from {
		if s.allows(m.key) {
			within = append(within, m)
		} else {
			beyond = append(beyond, m)
		}
	}
	return within, beyond
}

// give hands a miner's place to a job. c.mu is held.
func (c *Coordinator) give(m *miner, j *job) {
	m.running++
	c.rounds.Sit(j.task, j.digest, m.key, m.actor.Owner)
	j.promised, _ = m.models[j.task.Model].UnitPrice.Mul(j.task.Units()) // able has checked it
	m.promised += j.promised
	s := c.shares[j.task.Model]
	if s == nil {
		s = new(shares)
		c.shares[j.task.Model] = s
	}
	s.note(m.key)
}
