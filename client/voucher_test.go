package client_test

import (
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
)

// draws makes n pictures.
func draws(t *testing.T, n *clienttest.Network, s *client.Session, count int) {
	t.Helper()
	for range count {
		if _, err := s.Draw(t.Context(), request(n), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func counts(n *clienttest.Network, s *client.Session) (out []uint64) {
	for _, v := range n.Vouchers(s.Record().ID) {
		if v.Amount != essaim.Amount(v.Count)*clienttest.Price {
			return nil
		}
		out = append(out, v.Count)
	}
	return out
}

// TestVouchersSayWhatWasAccepted: with tasks, by themselves, and at the end.
func TestVouchersSayWhatWasAccepted(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, deposit)
	if err := s.Acknowledge(t.Context()); err != nil || len(counts(n, s)) != 0 {
		t.Fatalf("%v, vouchers %v for nothing", err, counts(n, s))
	}
	draws(t, n, s, 2) // the second task carries the first one's
	if err := s.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	draws(t, n, s, 1)
	if _, err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := counts(n, s)
	if !slices.IsSorted(got) || !slices.Equal(slices.Compact(got), got) || len(got) < 3 || got[0] != 1 || got[1] != 2 || got[len(got)-1] != 3 {
		t.Errorf("vouchers over %v receipts, want 1, 2 and at the end 3", got)
	}
}

// TestNothingUncheckedIsAcknowledged: a delivery that does not stand the checks is charged
// by the coordinator, but the client never says that it has accepted it.
func TestNothingUncheckedIsAcknowledged(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, deposit)
	draws(t, n, s, 2)
	n.OnDelivery = func(d *essaim.Delivery) { d.Sealed[len(d.Sealed)-1] ^= 1 }
	_, err := s.Draw(t.Context(), request(n), nil)
	wantCode(t, err, essaim.CodeRefused)
	if err := s.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled, err := s.Close(t.Context())
	if err != nil || settled.Root.Count() != 3 {
		t.Fatalf("settled %d, %v", settled.Root.Count(), err)
	}
	if got := counts(n, s); slices.Max(got) != 2 {
		t.Errorf("vouchers over %v receipts, 2 were accepted", got)
	}
}

func TestVouchersSurviveARestart(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, deposit)
	draws(t, n, s, 2)
	again, err := client.Restore(t.Context(), n.Config(), s.Save())
	if err != nil {
		t.Fatal(err)
	}
	draws(t, n, again, 1)
	if err := again.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := counts(n, s); len(got) == 0 || got[len(got)-1] != 3 {
		t.Errorf("vouchers over %v receipts, want 3 at last", got)
	}
}

// TestSpendingLimit: no task is signed beyond it, also not after a restart, and what may
// have been charged without a picture counts.
func TestSpendingLimit(t *testing.T) {
	n := clienttest.New(t, 1)
	cfg := n.Config()
	cfg.Limit = 3 * clienttest.Price
	s, err := client.Open(t.Context(), cfg, deposit)
	if err != nil {
		t.Fatal(err)
	}
	draws(t, n, s, 1)
	n.OnDelivery = func(d *essaim.Delivery) { d.Sealed[len(d.Sealed)-1] ^= 1 }
	_, err = s.Draw(t.Context(), request(n), nil)
	wantCode(t, err, essaim.CodeRefused)
	n.OnDelivery = nil
	if s.Left() != clienttest.Price {
		t.Errorf("%s left, want %s", s.Left(), clienttest.Price)
	}
	s, err = client.Restore(t.Context(), n.Config(), s.Save())
	if err != nil {
		t.Fatal(err)
	}
	draws(t, n, s, 1)
	before := n.Submits()
	_, err = s.Draw(t.Context(), request(n), nil)
	wantCode(t, err, essaim.CodeInsufficient)
	if n.Submits() != before {
		t.Error("a task was signed beyond the limit")
	}
	// The payer may raise it.
	cfg.Limit = 4 * clienttest.Price
	if s, err = client.Restore(t.Context(), cfg, s.Save()); err != nil {
		t.Fatal(err)
	}
	draws(t, n, s, 1)
}
