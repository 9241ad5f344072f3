package line_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/line"
)

func payer(n int) essaim.Address { return essaim.Address{byte(n)} }

// TestNobodyStarves: whatever the others have waiting, each of a payer's tasks waits for at most
// one task of each other payer after the one before it was served, and the place that was told
// is when it is served.
func TestNobodyStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := line.New[int]()
		who := map[int]essaim.Address{}
		for i, p := range rapid.SliceOfN(rapid.IntRange(0, 4), 1, 40).Draw(t, "payers") {
			who[i] = payer(p)
			l.Add(who[i], i)
		}
		told := map[int]int{}
		for i, p := range who {
			place, all := l.Place(p, i, func(int) bool { return true })
			if all != len(who) {
				t.Fatalf("of %d, want %d", all, len(who))
			}
			told[i] = place
		}
		since := map[essaim.Address]map[essaim.Address]int{}
		for n := 1; len(l.Turns()) > 0; n++ {
			p := l.Turns()[0]
			next := l.Of(p)[0]
			if told[next] != n {
				t.Fatalf("task %d was told place %d and is served as number %d", next, told[next], n)
			}
			for _, other := range l.Turns()[1:] {
				if since[other] == nil {
					since[other] = map[essaim.Address]int{}
				}
				if since[other][p]++; since[other][p] > 1 {
					t.Fatalf("payer %v was passed twice by %v", other, p)
				}
			}
			delete(since, p)
			l.Serve(p, next)
		}
	})
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
	if place, all := l.Place(payer(1), 5, func(int) bool { return true }); place != 0 || all != 0 {
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
