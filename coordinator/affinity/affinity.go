// Package affinity remembers which miner has had a conversation last: its engine may still hold what was said
// before, and need not read it again. A conversation is a text that its client has chosen, and says nothing else. The
// package decides nothing: whoever asks may choose another miner.
package affinity

import (
	"container/list"
	"time"

	"github.com/essaim/essaim"
)

const (
	// Longest bounds the name of a conversation, in bytes.
	Longest = 64

	// Warm is how long an engine is thought to remember.
	Warm = 10 * time.Minute

	most = 1 << 16 // conversations
)

// Table is what is remembered. Its zero value is empty. It is not safe for concurrent use.
type Table struct {
	by  map[string]*list.Element
	all list.List // of *entry; the one that was used last is in front
}

type entry struct {
	conversation string
	miner        essaim.NodeKey
	at           time.Time
}

// Note remembers who has had a conversation now; "" is none.
func (t *Table) Note(conversation string, miner essaim.NodeKey, now time.Time) {
	if conversation == "" {
		return
	}
	if t.by == nil {
		t.by = map[string]*list.Element{}
	}
	if e := t.by[conversation]; e != nil {
		*e.Value.(*entry) = entry{conversation, miner, now}
		t.all.MoveToFront(e)
		return
	}
	t.by[conversation] = t.all.PushFront(&entry{conversation, miner, now})
	for e := t.all.Back(); e != nil && (len(t.by) > most || t.cold(e, now)); e = t.all.Back() {
		delete(t.by, t.all.Remove(e).(*entry).conversation)
	}
}

// Of is who has had a conversation last.
func (t *Table) Of(conversation string, now time.Time) (miner essaim.NodeKey, ok bool) {
	e := t.by[conversation]
	if e == nil || t.cold(e, now) {
		return miner, false
	}
	return e.Value.(*entry).miner, true
}

func (t *Table) cold(e *list.Element, now time.Time) bool {
	return now.Sub(e.Value.(*entry).at) >= Warm
}
