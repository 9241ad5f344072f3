package bot

import (
	"sync"

	"github.com/essaim/essaim"
)

// locks has one lock for each account that is in use: one transaction is signed after the other.
type locks struct {
	mu   sync.Mutex
	held map[essaim.Address]*lock
}

type lock struct {
	sync.Mutex
	users int
}

// lock waits for an account; the answer lets it go.
func (l *locks) lock(a essaim.Address) (unlock func()) {
	l.mu.Lock()
	k := l.held[a]
	if k == nil {
		k = &lock{}
		l.held[a] = k
	}
	k.users++
	l.mu.Unlock()
	k.Lock()
	return func() {
		k.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.held, a)
		}
	}
}

// try is lock if nobody has the account now; else nil.
func (l *locks) try(a essaim.Address) (unlock func()) {
	l.mu.Lock()
	busy := l.held[a] != nil
	l.mu.Unlock()
	if busy {
		return nil // it would be a pity to wait; the next round comes
	}
	return l.lock(a)
}
