package feed_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/feed"
)

// follow collects what a follower is told until done is closed.
func follow(t *testing.T, f *feed.Feed, done chan struct{}) (said *[]string, ended chan struct{}) {
	said, ended = new([]string), make(chan struct{})
	go func() {
		defer close(ended)
		err := f.Follow(t.Context(), done, 16, func(p essaim.Progress) {
			*said = append(*said, string(rune('0'+p.Step))+p.Note+string(p.Part))
		})
		if err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	return said, ended
}

func step(n int) func(*essaim.Progress) { return func(p *essaim.Progress) { p.Step = n } }

// TestOnlyTheNewestIsToldAfterALull: and what is said once is told at once, in order.
func TestOnlyTheNewestIsToldAfterALull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, done := feed.New(essaim.Progress{}), make(chan struct{})
		said, ended := follow(t, f, done)
		f.Tell(step(1))
		f.Tell(step(2))
		synctest.Wait()
		if len(*said) != 0 {
			t.Errorf("told at once: %q", *said)
		}
		time.Sleep(time.Second) // of the test's clock
		f.Tell(step(3))
		f.Tell(func(p *essaim.Progress) { p.Note = "lost" })
		f.Tell(func(p *essaim.Progress) { p.Part = []byte("hello") })
		synctest.Wait()
		if want := []string{"2", "3", "3lost", "3hello"}; !slices.Equal(*said, want) {
			t.Errorf("told %q, want %q", *said, want)
		}
		f.Tell(step(4))
		f.Tell(step(5))
		close(done)
		<-ended
		if last := (*said)[len(*said)-1]; last != "5" || len(*said) != 5 {
			t.Errorf("told %q at the end", *said)
		}
	})
}

func TestFollowerThatLeavesIsTold(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("left")
	cancel(why)
	if err := feed.New(essaim.Progress{}).Follow(ctx, make(chan struct{}), 1, func(essaim.Progress) {}); !errors.Is(err, why) {
		t.Errorf("%v, want %v", err, why)
	}
	done := make(chan struct{})
	close(done)
	if err := feed.New(essaim.Progress{}).Follow(ctx, done, 1, func(essaim.Progress) {}); err != nil {
		t.Errorf("the end of the task says more than the context's: %v", err)
	}
}

func TestImpossibleEventChangesNothing(t *testing.T) {
	f := feed.New(essaim.Progress{State: essaim.TaskSubmitted})
	if s, err := f.Step(essaim.EventSettled); err == nil || s != essaim.TaskSubmitted || f.Now().State != s {
		t.Errorf("state %s, %v", s, err)
	}
	if s, err := f.Step(essaim.EventOffered); err != nil || f.Now().State != s || s == essaim.TaskSubmitted {
		t.Errorf("state %s, %v", s, err)
	}
}

func TestWhatWasSaidCannotBeTakenBack(t *testing.T) {
	f, acts := feed.New(essaim.Progress{}), 0
	f.Tell(step(1))
	if !f.IfSilent(func() { acts++ }) {
		t.Error("a step is a word")
	}
	f.Tell(func(p *essaim.Progress) { p.Part = []byte("a") })
	f.Tell(step(2))
	if f.IfSilent(func() { acts++ }) || acts != 1 {
		t.Errorf("done %d times", acts)
	}
}
