package client_test

import (
	"testing"

	"github.com/essaim/essaim"
)

// TestPrepared: a payment that is sent twice is made once, also if nobody heard of the first time;
// one whose number somebody else has used is never made.
func TestPrepared(t *testing.T) {
	ctx, b := t.Context(), newBench(t)
	c := dial(t, b)
	from, to := account(t, 0), essaim.Address{42}
	has := func(want essaim.Amount) {
		t.Helper()
		if got, err := c.Balance(ctx, to); err != nil || got != want {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
	}
	p, err := c.PrepareSend(ctx, from, to, 100)
	if err != nil {
		t.Fatal(err)
	}
	has(0)
	tx, err := c.Deliver(ctx, p, false)
	if err != nil || tx.Hash != p.Hash {
		t.Fatal(tx, err)
	}
	has(100)
	for range 2 {
		if tx, err = c.Deliver(ctx, p, true); err != nil || tx.Hash != p.Hash {
			t.Fatal(tx, err)
		}
	}
	has(100)
	first, err1 := c.PrepareSend(ctx, from, to, 1)
	second, err2 := c.PrepareSend(ctx, from, to, 2)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if _, err := c.Deliver(ctx, second, false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Deliver(ctx, first, false); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("its number is used: %v", err)
	}
	has(102)
	if _, err := c.Send(ctx, from, to, 10); err != nil {
		t.Fatal(err) // the client has not lost count
	}
	p, err = c.PrepareSend(ctx, from, to, 2*rich)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Deliver(ctx, p, false); essaim.CodeOf(err) != essaim.CodeInsufficient {
		t.Errorf("too much: %v", err)
	}
	has(112)
}
