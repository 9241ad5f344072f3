package client_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry"
)

// TestCoordinatorsWord: a promise that was not kept, from the acknowledgement to the
// coordinator's record.
func TestCoordinatorsWord(t *testing.T) {
	p := registry.DefaultParams()
	p.MinBondMiner, p.MinBondCoordinator = 1000, 1000
	b := newBenchWith(t, p)
	ctx, c := t.Context(), dial(t, b)
	owner, payer, other := account(t, 0), account(t, 1), account(t, 2)
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	model, _, err := c.RegisterModel(ctx, other, manifest("m"), 1000, 500)
	ok("register model", err)
	_, err = c.RegisterMiner(ctx, owner, essaim.Actor{NodeKey: public("m1"), HPKEKey: []byte{1}, Bond: 1000}, possession(owner, essaim.RoleMiner, "m1"))
	ok("register miner", err)
	if r, err := c.Record(ctx, public("c")); err != nil || r != (essaim.Record{}) {
		t.Fatalf("record of a stranger: %+v, %v", r, err)
	}
	_, err = c.RegisterCoordinator(ctx, owner, essaim.Actor{NodeKey: public("c"), Bond: 1000, Fee: 200, URL: "https://gate.example"}, possession(owner, essaim.RoleCoordinator, "c"))
	ok("register coordinator", err)
	height, err := c.Height(ctx)
	ok("height", err)
	id, _, err := c.OpenSession(ctx, payer, essaim.Session{Coordinator: public("c"), Deposit: 10_000, SessionKey: public("s"), Expiry: height + 100})
	ok("open", err)

	ack, err := essaim.SignAck(essaim.Ack{
		ChainID: chainID, Session: id, Price: 900, Miner: public("m1"), Model: model, Total: 1_800, Deadline: height + 100,
	}, nodeKey("c"))
	ok("sign", err)
	sig := ed25519.Sign(nodeKey("m1"), essaim.ClaimBytes(ack, public("m1")))
	if _, err := c.ClaimUnpaid(ctx, other, ack, sig); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Fatalf("claim about an open session: %v", err)
	}
	settlement, signature := claim(id, "c", essaim.Line{Miner: public("m1"), Model: model, Amount: 900, Tasks: 1})
	voucher, err := essaim.SignVoucher(essaim.Voucher{ChainID: chainID, Session: id, Coordinator: public("c"), Amount: 900, Count: 1}, nodeKey("s"))
	ok("sign a voucher", err)
	_, err = c.Settle(ctx, other, settlement, signature, voucher)
	ok("settle", err)
	if l, err := c.Line(ctx, id, public("m1"), model); err != nil || l.Amount != 900 || l.Tasks != 1 {
		t.Fatalf("line %+v, %v", l, err)
	}
	if l, err := c.Line(ctx, id, public("m2"), model); err != nil || l.Amount != 0 {
		t.Fatalf("line of another miner %+v, %v", l, err)
	}
	_, err = c.ClaimUnpaid(ctx, other, ack, sig)
	ok("claim", err)
	if _, err := c.ClaimUnpaid(ctx, other, ack, sig); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Fatalf("claim again: %v", err)
	}
	if r, err := c.Record(ctx, public("c")); err != nil || r != (essaim.Record{Opened: 1, Settled: 1, Paid: 900, Unpaid: 1, Slashes: 1}) {
		t.Fatalf("record %+v, %v", r, err)
	}
	a, err := c.Actor(ctx, public("c"))
	ok("actor", err)
	if a.Stake != 900 || a.JailedUntil == 0 {
		t.Fatalf("coordinator %+v", a)
	}
	// It earned 900 − 9 − 45 − 18; what half of its stake does not cover waits for audits.
	if got, err := c.Unclaimed(ctx, public("m1")); err != nil || got != 500 {
		t.Fatalf("the miner has earned %d, %v", got, err)
	}
	if cover, err := c.Cover(ctx); err != nil || cover.Coordinator != 10 || cover.Miner != 5_000 || cover.AuditBlocks == 0 {
		t.Fatalf("cover %+v, %v", cover, err)
	}
}
