package heap_test

import (
	"runtime"
	"testing"

	"github.com/essaim/essaim/internal/heap"
)

func TestPercent(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		live, floor uint64
		want        int
	}{
		{0, 64 * mb, 900}, {1, 64 * mb, 900}, {10 * mb, 64 * mb, 540}, {32 * mb, 64 * mb, 100}, {60 * mb, 64 * mb, 100}, {1 << 40, 64 * mb, 100}, {5, 0, 100},
	} {
		if got := heap.Percent(c.live, c.floor); got != c.want {
			t.Errorf("%d of %d: %d, want %d", c.live, c.floor, got, c.want)
		}
	}
}

var kept []byte

// TestFloor makes garbage, and counts how often it is collected: some sixty times without a floor.
func TestFloor(t *testing.T) {
	t.Setenv("GOGC", "")
	heap.Floor(64 << 20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 4 << 10 {
		kept = make([]byte, 64<<10)
	}
	runtime.ReadMemStats(&after)
	if got := after.NumGC - before.NumGC; got > 15 || got == 0 {
		t.Errorf("256 MB of garbage were collected %d times", got)
	}
}
