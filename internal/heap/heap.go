// Package heap has a program whose memory is mostly short-lived garbage collect it less often
// than Go does by itself: a program that keeps 10 MB would do so after each 10 MB.
//
// It must not be used by packages, only by programs: there is one collector.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	usual = 100  // percent: the collector's own rule
	most  = 1000 // percent of what lives
)

// Enough is a floor for programs that hold roles: with it they stay below 120 MB without a ledger.
const Enough = 64 << 20

// Floor has the heap grow to this many bytes before its garbage is collected, or to twice of what lives,
// whichever is more. It costs a program that keeps little at most so much memory, and one that
// keeps much none. If the environment says GOGC, that counts and nothing is changed.
func Floor(bytes uint64) {
	if os.Getenv("GOGC") == "" {
		watch(bytes)
	}
}

// watch adjusts the collector after each collection: what is allocated here is garbage at once.
func watch(floor uint64) {
	debug.SetGCPercent(Percent(live(), floor))
	runtime.AddCleanup(new([16]byte), watch, floor)
}

// live is what the last collection has kept, in bytes.
func live() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Percent is how much the heap may grow from what lives, in percent of it.
func Percent(live, floor uint64) int {
	percent := uint64(most)
	if live > 0 {
		percent = min(most, floor*100/live)
	}
	return int(max(percent, 2*usual)) - usual
}
