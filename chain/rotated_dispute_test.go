package chain_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/essaim/essaim"
	xdispute "github.com/essaim/essaim/chain/x/dispute"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/gen/chain/disputev1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/quant/dispute"
)

// rotate gives the miner's machine another node key.
func (x *trial) rotate(t testing.TB) {
	t.Helper()
	x.must(t, &registryv1.MsgRotateKey{
		Owner: minerOwner.String(), NodeKey: public("m1").String(), NewKey: public("new").String(), Possession: possession(minerOwner, essaim.RoleMiner, "new"),
	})
	x.key = "new"
}

// TestANewKeyDefendsOldReceipts: a miner whose node key was replaced, before a dispute about a receipt of the old one or while it
// is played, answers with the new one, and with no other: a right picture stands, a wrong one costs the same stake.
func TestANewKeyDefendsOldReceipts(t *testing.T) {
	settled := settledTrial(t)
	for name, c := range map[string]struct {
		moves int // made before the rotation; negative: it comes before the dispute
		wrong bool
		want  disputev1.Verdict
	}{
		"before, right":    {-1, false, disputev1.Verdict_VERDICT_CHALLENGER_WRONG},
		"before, wrong":    {-1, true, disputev1.Verdict_VERDICT_MINER_WRONG},
		"at once, right":   {0, false, disputev1.Verdict_VERDICT_CHALLENGER_WRONG},
		"meanwhile, right": {4, false, disputev1.Verdict_VERDICT_CHALLENGER_WRONG},
		"meanwhile, wrong": {4, true, disputev1.Verdict_VERDICT_MINER_WRONG},
	} {
		t.Run(name, func(t *testing.T) {
			x := settled.on(settled.branch())
			stake := x.stakeOf(t, "m1")
			miners, others := x.record, x.wrong(50)
			if c.wrong {
				miners, others = others, x.record
			}
			f := x.receipt(t, miners.Trace(), nil)
			if c.moves < 0 {
				x.rotate(t)
			}
			id := x.open(t, f)
			for range c.moves {
				msg, _ := x.next(t, id, miners, others)
				x.must(t, msg)
			}
			if c.moves >= 0 {
				x.rotate(t)
			}
			x.onlyTheNewKey(t, id, miners)
			if d := x.play(t, id, miners, others); d.Verdict != c.want || d.Silent {
				t.Errorf("%+v", d)
			}
			if c.wrong {
				stake -= stake / 20
			}
			if got := x.stakeOf(t, "new"); got != stake {
				t.Errorf("stake %d, want %d", got, stake)
			}
		})
	}
}

// onlyTheNewKey refuses the next move of the miner, if it is one, by other keys: by the old one, which somebody may have stolen.
func (x *trial) onlyTheNewKey(t *testing.T, id uint64, miners *dispute.Record) {
	t.Helper()
	g, err := dispute.DecodeGame(x.state(t).Disputes[id-1].Game)
	if err != nil || g.Turn() != dispute.TheMiner {
		t.Fatalf("it is the turn of %v, %v", g.Turn(), err)
	}
	for _, key := range []string{"m1", "m2"} {
		other := *x
		other.key = key
		msg, _ := other.next(t, id, miners, nil)
		refused(t, x.world, msg, xdispute.ErrSignature)
	}
}

// TestANewKeyClaims: what a coordinator has promised to the key of before, the new one shows.
func TestANewKeyClaims(t *testing.T) {
	w := newCourt(t)
	w.must(t, openSession(10_000, 20))
	w.advance(t, 22)
	w.must(t, &registryv1.MsgRotateKey{
		Owner: minerOwner.String(), NodeKey: public("m1").String(), NewKey: public("new").String(), Possession: possession(minerOwner, essaim.RoleMiner, "new"),
	})
	claim := unpaid(t, promise(1, 500, nil), "c", "m1")
	for _, key := range []string{"m2", "c"} {
		claim.Signature = ed25519.Sign(nodeKey(key), essaim.ClaimBytes(claim.Ack, public(key)))
		refused(t, w, claim, market.ErrSignature)
	}
	claim.Signature = ed25519.Sign(nodeKey("new"), essaim.ClaimBytes(claim.Ack, public("new")))
	before := w.stakeOf(t, "c")
	w.must(t, claim)
	if got := w.stakeOf(t, "c"); got != before-before/10 {
		t.Errorf("stake %d of %d is left", got, before)
	}
}
