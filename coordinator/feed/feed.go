// Package feed tells those who follow a task how far it is. A slow reader misses steps,
// never the end; whoever changes the task never waits for a reader. The package decides
// nothing about a task.
package feed

import (
	"context"
	"sync"
	"time"

	"github.com/essaim/essaim"
)

// Feed is a task's progress. It is safe for concurrent use.
type Feed struct {
	mu       sync.Mutex
	now      essaim.Progress                   // guarded by mu
	spoke    bool                              // a part of a text was told; guarded by mu
	watchers map[chan essaim.Progress]struct{} // guarded by mu
}

// New begins with p.
func New(p essaim.Progress) *Feed {
	return &Feed{now: p, watchers: map[chan essaim.Progress]struct{}{}}
}

// Now is where the task is.
func (f *Feed) Now() essaim.Progress {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Step moves the task's state and tells nobody.
//
// Errors: CodeConflict for an event that cannot happen in this state, which stays.
func (f *Feed) Step(e essaim.Event) (essaim.TaskState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := f.now.State.Next(e)
	if err == nil {
		f.now.State = next
	}
	return f.now.State, err
}

// Tell changes the progress and tells whoever follows.
func (f *Feed) Tell(change func(*essaim.Progress)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.Note, f.now.Part = "", nil
	change(&f.now)
	f.spoke = f.spoke || f.now.Part != nil
	for w := range f.watchers {
		select {
		case w <- f.now:
		default:
		}
	}
}

// IfSilent does act, and reports that it did, unless a part of a text was told. None is
// told meanwhile.
func (f *Feed) IfSilent(act func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.spoke {
		act()
	}
	return !f.spoke
}

// Follow passes progress on to tell until done is closed. room is how many steps a slow
// tell may be behind.
//
// Errors: the context's cause, if it ends first.
func (f *Feed) Follow(ctx context.Context, done <-chan struct{}, room int, tell func(essaim.Progress)) error {
	news := make(chan essaim.Progress, room)
	f.mu.Lock()
	f.watchers[news] = struct{}{}
	news <- f.now
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, news)
	}()
	held := held{tell: tell}
	defer held.stop()
	for {
		select {
		case p := <-news:
			held.add(p)
		case <-held.due():
			held.release()
		case <-ctx.Done():
			select {
			case <-done: // the task's own end says more than the context
			default:
				return context.Cause(ctx)
			}
		case <-done:
			for len(news) > 0 {
				held.add(<-news)
			}
			held.release()
			return nil
		}
	}
}

// lull is how long progress is held back: of what happens in it only the newest is told. A
// task that is over by then costs nobody the telling of four states.
const lull = 5 * time.Millisecond

// held passes progress on, the newest after a lull. What is said once, a part of a text
// and a note, is passed on at once. It belongs to one goroutine.
type held struct {
	tell  func(essaim.Progress)
	last  essaim.Progress
	waits bool // last was not told
	timer *time.Timer
}

func (h *held) add(p essaim.Progress) {
	if p.Part != nil || p.Note != "" {
		h.release() // in order
		h.tell(p)
		return
	}
	h.last = p
	switch {
	case h.waits:
		return
	case h.timer == nil:
		h.timer = time.NewTimer(lull)
	default:
		h.timer.Reset(lull)
	}
	h.waits = true
}

// release tells what is held back.
func (h *held) release() {
	if h.waits {
		h.waits = false
		h.stop()
		h.tell(h.last)
	}
}

// due is ready when what is held back has waited long enough.
func (h *held) due() <-chan time.Time {
	if !h.waits {
		return nil
	}
	return h.timer.C
}

func (h *held) stop() {
	if h.timer != nil {
		h.timer.Stop()
	}
}
