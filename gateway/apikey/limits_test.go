package apikey_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/standing"
)

func TestLimits(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "keys.db")
	s := openKeys(t, path)
	secret, k, err := s.Create(ctx, "anna", 1000)
	if err != nil {
		t.Fatal(err)
	}
	want := apikey.Limits{Expires: time.Unix(time.Now().Unix()+3600, 0).UTC(), PerMinute: 3, PerDay: 100}
	if err := s.SetLimits(ctx, k.ID, want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find(ctx, secret); err != nil || got.Limits != want {
		t.Fatalf("%+v, %v", got.Limits, err)
	}
	// A day: what is reserved and what was spent count, what was given back does not.
	began := time.Now()
	first := reserve(t, s, k.ID, 30, 2)
	_, err = s.Reserve(ctx, k.ID, 41, 1)
	wantCode(t, err, essaim.CodeInsufficient)
	if err := first.Parts[0].Capture(task(1), 7, 20, nil)(); err != nil {
		t.Fatal(err)
	}
	if err := first.Done(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Reserve(ctx, k.ID, 81, 1)
	wantCode(t, err, essaim.CodeInsufficient)
	if err := reserve(t, s, k.ID, 80, 1).Done(); err != nil {
		t.Fatal(err)
	}
	// A minute: refused requests do not count.
	if err := reserve(t, s, k.ID, 1, 1).Done(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Reserve(ctx, k.ID, 1, 1)
	if wantCode(t, err, essaim.CodeUnavailable); !errors.Is(err, apikey.ErrBusy) {
		t.Errorf("beyond the limit a minute: %v", err)
	}
	if after := standing.After(err); after > time.Minute || after < time.Minute-time.Since(began) { // when the first one is a minute old
		t.Errorf("come again after %v", after)
	}
	if err := s.SetLimits(ctx, k.ID, apikey.Limits{PerDay: 100}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // what was spent today outlives the program
		t.Fatal(err)
	}
	s = openKeys(t, path)
	_, err = s.Reserve(ctx, k.ID, 81, 1)
	wantCode(t, err, essaim.CodeInsufficient)
	// The end.
	if err := s.SetLimits(ctx, k.ID, apikey.Limits{Expires: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Find(ctx, secret)
	wantCode(t, err, essaim.CodeRefused)
	_, err = s.Reserve(ctx, k.ID, 1, 1)
	wantCode(t, err, essaim.CodeRefused)
	wantCode(t, s.SetLimits(ctx, "nobody", apikey.Limits{}), essaim.CodeNotFound)
	if b, err := s.Check(ctx); err != nil || len(b.Faults) > 0 {
		t.Errorf("%+v, %v", b.Faults, err)
	}
}
