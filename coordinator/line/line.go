// Package line is the order in which waiting tasks are served. On each server those whom tasks are for take
// turns, and the tasks of each go first come first served, whatever sessions they are in. So a task waits, on every
// server that can do it, for at most one task of each other payer beside its own payer's earlier ones, however many
// tasks or sessions somebody else has, and whatever else is served meanwhile: nobody starves.
//
// A server's owner goes first on it: the machine is its own. What is for the Last comes after all others, but for one task in so many, so that it does not starve either. The
// package also keeps how long a model's tasks take, for those who wait.
//
// It must not know miners or money, and nothing in it is safe for concurrent use: the
// coordinator's lock guards it.
package line

import (
	"slices"

	"github.com/essaim/essaim"
)

// LastEvery is after how many tasks of others a server takes one of the Last, if one waits.
const LastEvery = 16

// Who is whom a task is for.
type Who struct {
	Payer essaim.Address
	For   string // of those whom the payer pays for
	Last  bool   // after all others
}

// Line holds what waits. Make it with New.
type Line[T comparable] struct {
	tick    uint64
	waiting map[Who]*tasks[T]
	last    int // waiting tasks of the Last
}

type tasks[T comparable] struct {
	list []T
	turn uint64 // when it came, or was last served by any server
	came uint64 // when it came
}

// Server is what the line remembers of one that serves. Its zero value has served nobody.
type Server struct {
	Own essaim.Address // its owner, whose tasks go before all others here; zero: nobody's do

	served map[Who]uint64 // when it last served whom, of those who may still wait
	others int            // tasks since one of the Last
}

// New makes an empty line.
func New[T comparable]() Line[T] { return Line[T]{waiting: map[Who]*tasks[T]{}} }

// Add puts something at the end of what is for somebody.
func (l *Line[T]) Add(who Who, t T) {
	own := l.waiting[who]
	if own == nil {
		l.tick++
		own = &tasks[T]{turn: l.tick, came: l.tick}
		l.waiting[who] = own
	}
	own.list = append(own.list, t)
	if who.Last {
		l.last++
	}
}

// Remove takes something out, whether it was served or not. What is not there is not
// missed.
func (l *Line[T]) Remove(who Who, t T) {
	own := l.waiting[who]
	if own == nil {
		return
	}
	i := slices.Index(own.list, t)
	if i < 0 {
		return
	}
	own.list = slices.Delete(own.list, i, i+1)
	if who.Last {
		l.last--
	}
	if len(own.list) == 0 {
		delete(l.waiting, who)
	}
}

// Serve takes something out that a server takes on now: there, this one's turn is over.
func (l *Line[T]) Serve(who Who, t T, by *Server) {
	l.Remove(who, t)
	l.tick++
	if own := l.waiting[who]; own != nil {
		own.turn = l.tick
		if by.served == nil || len(by.served) > 2*len(l.waiting)+16 {
			l.tidy(by)
		}
		by.served[who] = l.tick
	}
	switch {
	case who.Last:
		by.others = 0
	case l.last > 0:
		by.others++
	}
}

// tidy forgets who waits no more.
func (l *Line[T]) tidy(by *Server) {
	kept := map[Who]uint64{}
	for w, at := range by.served {
		if l.waiting[w] != nil {
			kept[w] = at
		}
	}
	by.served = kept
}

// turn is one that waits, with when its turn began.
type turn struct {
	who   Who
	since uint64
}

// before is the order of turns at a server.
func (s *Server) before(a, b turn) bool {
	if own := a.who.Payer == s.Own; own != (b.who.Payer == s.Own) && s.Own != (essaim.Address{}) {
		return own
	}
	if a.who.Last != b.who.Last {
		return a.who.Last == (s.others >= LastEvery)
	}
	return a.since < b.since
}

func (s *Server) compare(a, b turn) int {
	if s.before(a, b) {
		return -1
	}
	return 1 // no two turns begin together
}

// Next is what a server is to take on: the first that it can.
func (l *Line[T]) Next(by *Server, can func(T) bool) (who Who, t T, ok bool) {
	turns := make([]turn, 0, len(l.waiting))
	for w, own := range l.waiting {
		since := own.came
		if at := by.served[w]; at > since {
			since = at
		}
		turns = append(turns, turn{w, since})
	}
	if len(turns) == 0 {
		return who, t, false
	}
	// The first can nearly always be served, so the others are not put in order for it.
	for i := range turns {
		if s := turns[i]; by.before(s, turns[0]) {
			turns[0], turns[i] = s, turns[0]
		}
	}
	for i, w := range turns {
		if i == 1 {
			slices.SortFunc(turns[1:], by.compare)
			w = turns[1]
		}
		for _, t := range l.waiting[w.who].list {
			if can(t) {
				return w.who, t, true
			}
		}
	}
	return who, t, false
}

// Len is how many wait.
func (l *Line[T]) Len() (n int) {
	for _, own := range l.waiting {
		n += len(own.list)
	}
	return n
}

// Place is when something is served among those that compete with it: 1 if it is next. It is exact
// if one server does them all. all counts those, itself among them. Both are 0 if it does not wait.
func (l *Line[T]) Place(who Who, t T, competes func(T) bool) (place, all int) {
	mine := l.waiting[who]
	if mine == nil || !slices.Contains(mine.list, t) {
		return 0, 0
	}
	own := 0
	for _, o := range mine.list {
		if o == t {
			place = own + 1
		}
		if o == t || competes(o) {
			own++
		}
	}
	all, own = own, place-1
	for w, theirs := range l.waiting {
		if w == who {
			continue
		}
		rivals := 0
		for _, o := range theirs.list {
			if competes(o) {
				rivals++
			}
		}
		all += rivals
		turns := own // as many rounds are over before its own
		switch {
		case w.Last && !who.Last:
			turns = 0
		case who.Last && !w.Last:
			turns = rivals
		case theirs.turn < mine.turn:
			turns++
		}
		place += min(rivals, turns)
	}
	return place, all
}
