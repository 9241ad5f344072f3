package apikey_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
)

// TestARefusedReservationLeavesNothing has two requests want more than the key has, the
// second before the first one's reservation is in the file: one is refused, by Reserve or
// by Name, and then no task is named for it.
func TestARefusedReservationLeavesNothing(t *testing.T) {
	s := openKeys(t, filepath.Join(t.TempDir(), "keys.db"))
	for range 20 {
		k := create(t, s, 10)
		first := reserve(t, s, k.ID, 7, 1)
		second, err := s.Reserve(t.Context(), k.ID, 7, 1)
		if err == nil {
			err = second.Parts[0].Name(task(2), 1)
			if err := second.Done(); err != nil {
				t.Error(err)
			}
		}
		wantCode(t, err, essaim.CodeInsufficient)
		if b := check(t, s); len(b.Doubts)+len(b.Faults) > 0 {
			t.Errorf("%+v, %+v", b.Doubts, b.Faults)
		}
		if err := first.Done(); err != nil {
			t.Error(err)
		}
		if k, err := s.Key(t.Context(), k.ID); err != nil || k.Balance != 10 || k.Reserved != 0 {
			t.Errorf("%+v, %v", k, err)
		}
	}
}

// TestALostCaptureIsDecidedByTheReceipt kills the program after an answer whose price was
// not yet in the file, and has the doubt decided beside the capture where it was not killed.
func TestALostCaptureIsDecidedByTheReceipt(t *testing.T) {
	if server != nil {
		return // rows are in one place; see TestAnInstanceThatIsGivenUp
	}
	path := filepath.Join(t.TempDir(), "keys.db")
	s := openKeys(t, path)
	k := create(t, s, 100)
	h := reserve(t, s, k.ID, 40, 1)
	if err := h.Parts[0].Name(task(1), 7); err != nil {
		t.Fatal(err)
	}
	again, _ := killed(t, path, s) // as if the capture had been lost
	h.Parts[0].Capture(task(1), 7, 30, nil)
	if err := h.Done(); err != nil {
		t.Fatal(err)
	}
	doubts, err := again.Undecided(t.Context())
	if err != nil || len(doubts) != 1 {
		t.Fatalf("%+v, %v", doubts, err)
	}
	for name, books := range map[string]*apikey.Store{"killed": again, "alive": s} {
		for range 2 {
			if err := books.Paid(t.Context(), doubts[0], 30); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		k, err := books.Key(t.Context(), k.ID)
		if err != nil || k.Spent != 30 || k.Balance != 70 || k.Reserved != 0 {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
		if b, err := books.Check(t.Context()); err != nil || len(b.Faults)+len(b.Doubts) > 0 || b.Balances["house"] != 0 {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
	if doubts, err := s.Undecided(t.Context()); err != nil || len(doubts) != 0 {
		t.Errorf("%+v, %v", doubts, err)
	}
}

// TestAShortTaskIsOneEntry has a task captured before the rows have seen its reservation: they never do, and what it cost counts
// as ever, on the day, too. Where an owner took away meanwhile what had been reserved, the house pays.
func TestAShortTaskIsOneEntry(t *testing.T) {
	if server != nil {
		return // each reservation is a row there
	}
	path := filepath.Join(t.TempDir(), "keys.db")
	s := openKeys(t, path)
	k := create(t, s, 100)
	spend := func(n uint64, meanwhile func()) {
		t.Helper()
		h := reserve(t, s, k.ID, 40, 1)
		meanwhile()
		if err := errors.Join(h.Parts[0].Name(task(n), 7), h.Parts[0].Capture(task(n), 7, 30, nil)(), h.Done()); err != nil {
			t.Fatal(err)
		}
	}
	spend(1, func() {})
	b := check(t, s)
	if last := b.Entries[len(b.Entries)-1]; len(b.Entries) != 2 || last.Kind != apikey.Capture || last.From != "key/"+k.ID || last.To != "session/7" || last.Amount != 30 {
		t.Errorf("%+v", b.Entries)
	}
	if err := s.SetLimits(t.Context(), k.ID, apikey.Limits{PerDay: 50}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Reserve(t.Context(), k.ID, 21, 1)
	wantCode(t, err, essaim.CodeInsufficient)
	if err := s.SetLimits(t.Context(), k.ID, apikey.Limits{}); err != nil {
		t.Fatal(err)
	}
	spend(2, func() {
		owner, err := apikey.Open(path)
		if err == nil {
			_, _, err = owner.Withdraw(t.Context(), k.ID, 60, "")
			err = errors.Join(err, owner.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	b = check(t, s)
	if last := b.Entries[len(b.Entries)-1]; last.Kind != apikey.Cover || last.From != "house" || b.Balances["house"] != -30 || len(b.Faults)+len(b.Doubts) > 0 {
		t.Errorf("%+v, %+v, %+v", b.Entries, b.Faults, b.Doubts)
	}
	if k, err := s.Key(t.Context(), k.ID); err != nil || k.Balance != 10 || k.Spent != 30 || k.Reserved != 0 {
		t.Errorf("%+v, %v", k, err)
	}
}
