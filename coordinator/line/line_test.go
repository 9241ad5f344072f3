package line_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/line"
)

func payer(n int) line.Who { return line.Who{Payer: essaim.Address{byte(n)}} }

func anything(int) bool { return true }

// TestPlaceIsKept: with one server, the place that each task was told is when it is served, and nobody is passed
// twice by the same payer.
func TestPlaceIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := line.New[int]()
		who := map[int]line.Who{}
		for i, p := range rapid.SliceOfN(rapid.IntRange(0, 4), 1, 40).Draw(t, "payers") {
			who[i] = payer(p)
			l.Add(who[i], i)
		}
		told := map[int]int{}
		for i, p := range who {
			place, all := l.Place(p, i, anything)
			if all != len(who) {
				t.Fatalf("of %d, want %d", all, len(who))
			}
			told[i] = place
		}
		var server line.Server
		for n := 1; l.Len() > 0; n++ {
			p, next, ok := l.Next(&server, anything)
			if !ok || told[next] != n {
				t.Fatalf("task %d was told place %d and is served as number %d", next, told[next], n)
			}
			l.Serve(p, next, &server)
		}
	})
}

// waits is a task with the servers that can do it.
type waits struct {
	who    line.Who
	able   []int
	passed map[int]map[line.Who]int // by server, tasks of others that it has served meanwhile
}

// TestNobodyStarves: servers that can do different tasks become free in any order, tasks come in any
// order, and those whom tasks are for need not be the same number of payers. While a task waits, no server that
// can do it serves two tasks of the same other one, unless it serves this one's earlier tasks in between.
func TestNobodyStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := line.New[*waits]()
		servers := make([]line.Server, 3)
		var all []*waits
		for range rapid.IntRange(1, 120).Draw(t, "events") {
			if rapid.Bool().Draw(t, "comes") {
				w := &waits{who: payer(rapid.IntRange(0, 3).Draw(t, "payer")), passed: map[int]map[line.Who]int{}}
				w.who.For = fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "for"))
				for s := range servers {
					w.passed[s] = map[line.Who]int{}
					if rapid.Bool().Draw(t, "able") {
						w.able = append(w.able, s)
					}
				}
				l.Add(w.who, w)
				all = append(all, w)
				continue
			}
			s := rapid.IntRange(0, len(servers)-1).Draw(t, "server")
			who, w, ok := l.Next(&servers[s], func(w *waits) bool { return slices.Contains(w.able, s) })
			if !ok {
				if slices.ContainsFunc(all, func(w *waits) bool { return slices.Contains(w.able, s) }) {
					t.Fatal("a server has nothing to do while a task waits for it")
				}
				continue
			}
			l.Serve(who, w, &servers[s])
			all = slices.DeleteFunc(all, func(o *waits) bool { return o == w })
			for _, o := range all {
				if !slices.Contains(o.able, s) {
					continue
				}
				if o.who == who { // its own turn: the others' begin anew
					clear(o.passed[s])
					continue
				}
				if o.passed[s][who]++; o.passed[s][who] > 1 {
					t.Fatalf("a task was passed twice by %v", who)
				}
			}
		}
	})
}

// TestTheLastComeLastAndCome: others go before the Last, however late they come; but of a server's tasks one in so
// many is theirs.
func TestTheLastComeLastAndCome(t *testing.T) {
	l, server := line.New[int](), line.Server{}
	anonymous := line.Who{Payer: essaim.Address{9}, Last: true}
	for i := range 3 {
		l.Add(anonymous, -1-i)
	}
	var at []int
	for n := range 3 * line.LastEvery {
		l.Add(payer(n%5), n)
		if place, _ := l.Place(payer(n%5), n, anything); place > 1+len(at) { // those were served before others
			t.Errorf("a payer's task has place %d behind the last", place)
		}
		who, next, _ := l.Next(&server, anything)
		l.Serve(who, next, &server)
		if next < 0 {
			at = append(at, n)
		}
	}
	if want := []int{line.LastEvery, 2*line.LastEvery + 1}; !slices.Equal(at, want) {
		t.Errorf("the last are served as %v, want %v", at, want)
	}
}

// TestTurnsAreOfEachServer: somebody whose tasks are served elsewhere all the time keeps the turn where it waits.
func TestTurnsAreOfEachServer(t *testing.T) {
	l, here, there := line.New[string](), line.Server{}, line.Server{}
	l.Add(payer(1), "wanted here")
	for i := range 4 {
		l.Add(payer(2), fmt.Sprint("rival ", i))
	}
	for i := range 4 { // payer 1 has its turns there, just before each of those here
		l.Add(payer(1), fmt.Sprint("elsewhere ", i))
		_, next, _ := l.Next(&there, func(s string) bool { return s == fmt.Sprint("elsewhere ", i) })
		l.Serve(payer(1), next, &there)
		who, next, _ := l.Next(&here, func(s string) bool { return len(s) < 12 && s[0] != 'e' })
		l.Serve(who, next, &here)
		if next == "wanted here" {
			return
		}
	}
	t.Error("the task waits for ever")
}

// TestOwnFirst: an owner's tasks go before all others on its own server, and on no other.
func TestOwnFirst(t *testing.T) {
	l, own, other := line.New[int](), line.Server{Own: payer(2).Payer}, line.Server{}
	for i := range 4 {
		l.Add(payer(1), i)
		l.Add(payer(2), 10+i)
	}
	for i := range 2 {
		who, next, _ := l.Next(&own, anything)
		if next != 10+i {
			t.Errorf("the owner's server takes task %d", next)
		}
		l.Serve(who, next, &own)
	}
	if _, next, _ := l.Next(&other, anything); next != 0 {
		t.Errorf("another server takes task %d", next)
	}
}

func TestPlaceCountsRivalsOnly(t *testing.T) {
	l := line.New[int]()
	for i := range 6 {
		l.Add(payer(1), i)
	}
	if place, all := l.Place(payer(1), 5, func(o int) bool { return o%2 == 1 }); place != 3 || all != 3 {
		t.Errorf("place %d of %d", place, all)
	}
	l.Remove(payer(1), 5)
	if place, all := l.Place(payer(1), 5, anything); place != 0 || all != 0 {
		t.Errorf("what does not wait has place %d of %d", place, all)
	}
}

func TestPace(t *testing.T) {
	var p line.Pace
	model := essaim.DigestOf([]byte("m"))
	if p.Wait(model, 3, 2) != 0 {
		t.Error("knows something")
	}
	p.Note(model, time.Second)
	p.Note(model, 2*time.Second)
	if got := p.Of(model); got != 1200*time.Millisecond {
		t.Errorf("mean %v", got)
	}
	if got := p.Wait(model, 3, 2); got != 3*p.Of(model) {
		t.Errorf("third of two at a time: %v", got)
	}
}

// TestRetry: who is turned away comes again when the queue may be through, neither at once nor never.
func TestRetry(t *testing.T) {
	var p line.Pace
	model, unknown := essaim.DigestOf([]byte("m")), essaim.DigestOf([]byte("another"))
	p.Note(model, 500*time.Millisecond)
	for _, c := range []struct {
		model           essaim.Digest
		waiting, served int
		want            time.Duration
	}{
		{unknown, 1000, 1, time.Second}, {model, 0, 8, time.Second}, {model, 8, 8, time.Second}, {model, 9, 8, 1500 * time.Millisecond},
		{model, 80, 8, 5500 * time.Millisecond}, {model, 10, 0, 5500 * time.Millisecond}, {model, 1 << 14, 8, line.MaxRetry},
	} {
		if got := p.Retry(c.model, c.waiting, c.served); got != c.want {
			t.Errorf("%d waiting, %d served: %v, want %v", c.waiting, c.served, got, c.want)
		}
	}
}
