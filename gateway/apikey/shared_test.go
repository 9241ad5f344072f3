package apikey_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
)

// TestAnInstanceThatIsGivenUp has three instances share the books. What one has begun is nobody else's as long as it is there. When it was given up it can
// write nothing more, and the other two decide what it has left: each thing once.
func TestAnInstanceThatIsGivenUp(t *testing.T) {
	if server == nil {
		return // TestOnPostgres has it run
	}
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "keys.db")
	gone, one, two := openKeys(t, path), openKeys(t, path), openKeys(t, path)
	k := create(t, one, 100)
	named, unnamed, going := reserve(t, gone, k.ID, 40, 1), reserve(t, gone, k.ID, 20, 1), reserve(t, two, k.ID, 10, 1)
	if err := errors.Join(named.Parts[0].Name(task(1), 7), going.Parts[0].Name(task(2), 8)); err != nil {
		t.Fatal(err)
	}
	if err := gone.AddSession(apikey.Session{ID: 7, Opened: time.Now(), Saved: []byte("seven")}); err != nil {
		t.Fatal(err)
	}
	check(t, gone) // all that it has begun is in the rows
	for _, s := range []*apikey.Store{one, two} {
		doubts, err := s.Undecided(ctx)
		open, later := s.OpenSessions(ctx)
		if err != nil || later != nil || len(doubts)+len(open) > 0 {
			t.Errorf("of others: %+v, %+v, %v, %v", doubts, open, err, later)
		}
	}
	if got, err := two.Key(ctx, k.ID); err != nil || got.Reserved != 70 {
		t.Errorf("%+v, %v; want 70 reserved", got, err)
	}
	giveUp(t, path, gone)
	wantCode(t, named.Parts[0].Capture(task(1), 7, 30, nil)(), essaim.CodeUnavailable)
	wantCode(t, unnamed.Parts[0].Name(task(3), 7), essaim.CodeUnavailable)
	var err error
	var lists [2][]apikey.Doubt
	var taken int
	for i, s := range []*apikey.Store{one, two} {
		if lists[i], err = s.Undecided(ctx); err != nil || len(lists[i]) != 1 || lists[i][0].Task != task(1) {
			t.Fatalf("%+v, %v", lists[i], err)
		}
		open, err := s.OpenSessions(ctx)
		if err != nil {
			t.Fatal(err)
		}
		taken += len(open)
	}
	if taken != 1 {
		t.Errorf("%d instances have taken the session", taken)
	}
	var both sync.WaitGroup
	for i, s := range []*apikey.Store{one, two} {
		both.Go(func() {
			if err := s.Paid(ctx, lists[i][0], 30); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if err := errors.Join(going.Parts[0].Capture(task(2), 8, 10, nil)(), going.Done()); err != nil {
		t.Fatal(err)
	}
	if got, err := one.Key(ctx, k.ID); err != nil || got.Spent != 40 || got.Balance != 60 || got.Reserved != 0 {
		t.Errorf("%+v, %v; want 40 spent and 60 left", got, err)
	}
	if b := check(t, one); len(b.Faults)+len(b.Doubts) > 0 || b.Balances["house"] != 0 {
		t.Errorf("%+v", b)
	}
}
