package receiptlog

import (
	"maps"
	"slices"
)

// Numbers knows which sequence numbers no task of a session has had, so that a task need
// not wait for the log to say so: those above floor that are not in taken. It belongs to
// one goroutine at a time; make it with Above.
type Numbers struct {
	floor uint64
	taken map[uint64]bool
}

// maxTaken bounds the numbers that are remembered one by one.
const maxTaken = 1 << 10

// Take reports whether the number is known to be free, and takes it.
func (n *Numbers) Take(seq uint64) bool {
	if seq <= n.floor || n.taken[seq] {
		return false
	}
	if len(n.taken) >= maxTaken {
		all := slices.Sorted(maps.Keys(n.taken))
		n.floor = all[maxTaken/2]
		maps.DeleteFunc(n.taken, func(s uint64, _ bool) bool { return s <= n.floor })
	}
	n.taken[seq] = true
	return seq > n.floor
}

// Above is for a session whose log has numbers up to newest.
func Above(newest uint64) Numbers { return Numbers{newest, map[uint64]bool{}} }
