package devnet

import (
	"testing"

	"github.com/essaim/essaim"
)

// TestHonestSettlements pay at once what the payer has acknowledged, answer what the
// beacon asks, and pay the rest when the time for objections is over.
func TestHonestSettlements(t *testing.T) {
	r := start(t, Config{Miners: 2})
	price := minerPrice(1) // the dearer one's: none costs more
	before := r.balance(User)
	full, part := r.open(1*essaim.AIM, 2000), r.open(1*essaim.AIM, 150)
	r.draw(full, 3)
	r.draw(part, 3)
	settled, err := full.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Chain().Settlement(t.Context(), full.Record().ID)
	if err != nil || s.Pending != 0 || s.Acknowledged != full.Spent() || s.Paid != full.Spent() || settled.Root.Sum() != full.Spent() {
		t.Fatalf("settlement %+v: %v, all was acknowledged", s, err)
	}
	// This payer is gone without a word about its last picture.
	key, err := NodeKey(r.coordinatorConfig().Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := part.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	spent := part.Spent()
	r.draw(part, 1)
	r.eventually("the session is settled near its expiry", func() bool { return r.state(part.Record().ID) == essaim.SessionSettled })
	s, err = r.Chain().Settlement(t.Context(), part.Record().ID)
	if err != nil || s.Pending == 0 || s.Pending > price+10 || s.Acknowledged != spent {
		t.Fatalf("settlement %+v: %v, want one picture to wait", s, err)
	}
	r.eventually("the rest is paid", func() bool {
		s, err = r.Chain().Settlement(t.Context(), part.Record().ID)
		return err == nil && s.Pending == 0
	})
	draws, err := r.Chain().Draws(t.Context(), key)
	if err != nil || len(draws) != 0 {
		t.Errorf("draws %+v are left: %v", draws, err)
	}
	if got := r.balance(User); got != before-full.Spent()-part.Spent() {
		t.Errorf("the payer has %d, want %d", got, before-full.Spent()-part.Spent())
	}
	if record, err := r.Chain().Record(t.Context(), key); err != nil || record.Slashes != 0 || record.Settled != 2 {
		t.Errorf("record %+v: %v", record, err)
	}
}
