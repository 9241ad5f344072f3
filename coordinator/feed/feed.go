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
	now      essaim.Progress       // guarded by mu
	spoke    bool                  // a part of a text was told; guarded by mu
	watchers map[*watcher]struct{} // guarded by mu
}

// New begins with p.
func New(p essaim.Progress) *Feed {
	return &Feed{now: p, watchers: map[*watcher]struct{}{}}
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
		w.add(f.now)
	}
}

// watcher is somebody who follows: what was not told yet. A queue with room for all that may be in it would cost each of a
// thousand waiting tasks some 40 KB. Guarded by Feed.mu.
type watcher struct {
	news []essaim.Progress
	room int
	wake chan struct{} // holds a token when there are news
}

// add drops what there is no room for.
func (w *watcher) add(p essaim.Progress) {
	if len(w.news) >= w.room {
		return
	}
	w.news = append(w.news, p)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take takes the news, for a queue that may be used again.
func (f *Feed) take(w *watcher, used []essaim.Progress) []essaim.Progress {
	clear(used) // parts of a text, which are heard
	f.mu.Lock()
	defer f.mu.Unlock()
	news := w.news
	w.news = used[:0]
	return news
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
	w := &watcher{room: room, wake: make(chan struct{}, 1)}
	f.mu.Lock()
	f.watchers[w] = struct{}{}
	w.add(f.now)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}()
	held := held{tell: tell}
	defer held.stop()
	var news []essaim.Progress
	hear := func() {
		news = f.take(w, news)
		for _, p := range news {
			held.add(p)
		}
	}
	for {
		select {
		case <-w.wake:
			hear()
		case <-held.due():
			held.release()
		case <-ctx.Done():
			select {
			case <-done: // the task's own end says more than the context
			default:
				return context.Cause(ctx)
			}
		case <-done:
			hear()
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
