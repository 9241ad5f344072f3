package pixel

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/essaim/essaim/engine"
)

// allocated is what do allocates, in bytes.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMemory bounds what an engine takes besides its weights: once, at work, and for each picture
// after the first ones. Several times what was measured is allowed: a goroutine that moves to another
// processor finds other memory there.
func TestMemory(t *testing.T) {
	if raced {
		t.Skip("the race detector drops pooled memory at random")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would empty the pools
	var e *Engine
	if n := allocated(func() { e = newEngine(t) }); n > 12<<20 {
		t.Errorf("opening allocates %d KiB", n>>10)
	}
	request := func(size int) engine.Request {
		return engine.Request{Model: e.model.Digest, Prompt: "four balloons", Width: size, Height: size}
	}
	run := func(n int, r engine.Request) func() {
		return func() {
			for range n {
				if _, err := e.Run(t.Context(), r, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, c := range []struct {
		size        int
		first, each uint64 // KiB
	}{{64, 8 << 10, 1 << 10}, {256, 16 << 10, 3 << 10}, {512, 32 << 10, 12 << 10}} {
		first := allocated(run(1, request(c.size))) >> 10
		each := allocated(run(10, request(c.size))) >> 10 / 10
		t.Logf("%d x %d: %d KiB for the first picture, %d for each further one", c.size, c.size, first, each)
		if first > c.first || each > c.each {
			t.Errorf("%d x %d: %d KiB for the first picture, %d for each further one; want at most %d and %d", c.size, c.size, first, each, c.first, c.each)
		}
	}
	batch := make([]engine.Request, together)
	for i := range batch {
		batch[i] = request(side)
		batch[i].Prompt = "red apple"
	}
	draw := func() {
		if _, err := e.RunBatch(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	first, again := allocated(draw)>>10, allocated(draw)>>10
	t.Logf("%d together: %d KiB the first time, %d again", together, first, again)
	if first > 16<<10 || again > together*256 {
		t.Errorf("%d together: %d KiB the first time, %d again", together, first, again)
	}
}
