package chance

import (
	"github.com/essaim/essaim"
)

const (
	// ShareWindow is over how many of a model's latest tasks a miner's share is counted.
	ShareWindow = 400

	// MaxShare bounds a miner's share of a model's tasks while others have room: one in
	// so many.
	MaxShare = 4
)

// Shares counts who got the latest tasks of one model. Its zero value has none; nil allows nobody anything.
type Shares struct {
	last  [ShareWindow]essaim.NodeKey // a ring
	next  int                         // where the next one goes
	size  int                         // how many there are
	count map[essaim.NodeKey]int
}

// Note counts one more task, and forgets the oldest.
func (s *Shares) Note(m essaim.NodeKey) {
	if s.count == nil {
		s.count = map[essaim.NodeKey]int{}
	}
	if s.size == ShareWindow {
		old := s.last[s.next]
		if s.count[old]--; s.count[old] == 0 {
			delete(s.count, old)
		}
	} else {
		s.size++
	}
	s.last[s.next] = m
	s.next = (s.next + 1) % ShareWindow
	s.count[m]++
}

// Allows reports whether the miner could get one more task and stay within its share.
// While there are fewer tasks than shares, nobody can.
func (s *Shares) Allows(m essaim.NodeKey) bool {
	if s == nil {
		return false
	}
	counted := s.count[m] + 1
	if s.size == ShareWindow && s.last[s.next] == m {
		counted-- // the task that the next one pushes out is its own
	}
	return counted*MaxShare <= min(s.size+1, ShareWindow)
}

// Count is how many of the latest tasks a miner got.
func (s *Shares) Count(m essaim.NodeKey) int { return s.count[m] }
