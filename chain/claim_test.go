package chain_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// promise is an acknowledgement by "c" to "m1" in a session, as far as it has come.
func promise(session uint64, total essaim.Amount, change func(*essaim.Ack)) essaim.Ack {
	a := essaim.Ack{
		ChainID: chainID, Receipt: essaim.DigestOf([]byte("receipt")), Session: essaim.SessionID(session), Price: 10,
		Miner: public("m1"), Model: firstModel, Total: total, Deadline: 100,
	}
	if change != nil {
		change(&a)
	}
	return a
}

// unpaid shows a promise, signed by a key, claimed by another.
func unpaid(t testing.TB, a essaim.Ack, signer, claimant string) *marketv1.MsgClaimUnpaid {
	t.Helper()
	signed, err := essaim.SignAck(a, nodeKey(signer))
	if err != nil {
		t.Fatal(err)
	}
	return &marketv1.MsgClaimUnpaid{
		Submitter: account(7).String(), Ack: signed, Signature: ed25519.Sign(nodeKey(claimant), essaim.ClaimBytes(signed, a.Miner)),
	}
}

// newCourt is a market whose registry slashes and whose sessions can be contested.
func newCourt(t testing.TB) *world { return newCourtWith(t, 30) }

func newCourtWith(t testing.TB, appealBlocks uint32) *world {
	w := newMarket(t)
	r := genesis().Registry
	p := registry.DefaultParams()
	p.MinBondMiner, p.MinBondCoordinator, p.UnbondingBlocks = r.MinBondMiner, r.MinBondCoordinator, r.UnbondingBlocks
	p.AppealBlocks, p.EmissionPerEpoch, p.AuditBlocks = appealBlocks, 0, 0
	w.must(t, &registryv1.MsgUpdateParams{Authority: governance(), Params: p})
	w.must(t, &marketv1.MsgUpdateParams{Authority: governance(), Params: marketv1.Params{ProtocolFeeBps: 100, MaxSessionBlocks: 1000, ClaimBlocks: 50}})
	return w
}

func (w *world) record(t testing.TB, name string) marketv1.Record {
	t.Helper()
	g := w.marketState(t)
	for _, r := range g.Records {
		if r.Coordinator == public(name).String() {
			return r
		}
	}
	return marketv1.Record{}
}

func (w *world) marketState(t interface{ Fatal(...any) }) (g marketv1.GenesisState) {
	if err := w.app.Codec.UnmarshalJSON(market.NewModule(w.app.Market).ExportGenesis(w.ctx, w.app.Codec), &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestBrokenPromises: a coordinator that acknowledged work and did not settle it loses a
// tenth of its stake, and the miner's owner is the first to get of that.
func TestBrokenPromises(t *testing.T) {
	for name, end := range map[string]func(*world){
		"the session expired":          func(w *world) { w.advance(t, 22) },
		"the line is missing":          func(w *world) { w.must(t, settle(1, "c", line("m2", firstModel, 5_000, 5))) },
		"the line is short":            func(w *world) { w.must(t, settle(1, "c", line("m1", firstModel, 499, 1))) },
		"another model's line is long": func(w *world) { w.must(t, settle(1, "c", line("m1", secondModel, 9_000, 1))) },
		"another miner got it": func(w *world) {
			w.must(t, settle(1, "c", line("m1", firstModel, 1, 1), line("m2", firstModel, 4_999, 5)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCourt(t)
			w.must(t, openSession(10_000, 20))
			claim := unpaid(t, promise(1, 500, nil), "c", "m1")
			refused(t, w, claim, market.ErrOpen)
			end(w)
			before, stake := w.balance(minerOwner), w.stakeOf(t, "c")
			r := w.must(t, claim)
			w.check(t)
			if got := w.stakeOf(t, "c"); got != stake-stake/10 {
				t.Errorf("stake %d of %d is left", got, stake)
			}
			if rec := w.record(t, "c"); rec.Unpaid != 1 || rec.Opened != 1 || rec.Settled+rec.Expired != 1 {
				t.Errorf("record %+v", rec)
			}
			var said marketv1.MsgClaimUnpaidResponse
			if err := said.Unmarshal(r.Data); err != nil || said.Slash != 1 || said.Unpaid == 0 || said.Unpaid > 500 {
				t.Errorf("the ledger says %+v, %v", said, err)
			}
			refused(t, w, claim, market.ErrClaimed)
			refused(t, w, unpaid(t, promise(1, 400, nil), "c", "m1"), market.ErrClaimed)
			refused(t, w, openSession(1_000, 200), market.ErrCoordinator) // it is jailed
			w.advance(t, w.ctx.BlockHeight()+32)                          // the appeal window ends
			if got := w.balance(minerOwner) - before; got != essaim.Amount(said.Unpaid) {
				t.Errorf("the miner's owner got %d in restitution, want %d", got, said.Unpaid)
			}
		})
	}
}

func (w *world) stakeOf(t testing.TB, name string) essaim.Amount {
	t.Helper()
	a, ok, err := w.app.Registry.Actor(w.ctx, public(name))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	return a.Stake
}

// TestHonestCoordinatorsAreSafe: no claim stands against one that has settled what it
// promised, or never promised.
func TestHonestCoordinatorsAreSafe(t *testing.T) {
	w := newCourt(t)
	w.must(t, openSession(10_000, 90))
	w.must(t, openSession(10_000, 90))
	w.must(t, settle(1, "c", line("m1", firstModel, 500, 1)))
	w.must(t, settle(2, "c", line("m1", firstModel, 500, 1)))
	large := unpaid(t, promise(1, 600, nil), "c", "m1")
	for name, c := range map[string]struct {
		msg  *marketv1.MsgClaimUnpaid
		want error
	}{
		"exactly what was promised":  {unpaid(t, promise(1, 500, nil), "c", "m1"), market.ErrKept},
		"more than was promised":     {unpaid(t, promise(1, 20, nil), "c", "m1"), market.ErrKept},
		"promised by nobody":         {unpaid(t, promise(1, 600, nil), "nobody", "m1"), market.ErrAck},
		"promised by the miner":      {unpaid(t, promise(1, 600, nil), "m1", "m1"), market.ErrAck},
		"claimed by another miner":   {unpaid(t, promise(1, 600, nil), "c", "m2"), market.ErrSignature},
		"claimed by the coordinator": {unpaid(t, promise(1, 20, nil), "c", "c"), market.ErrSignature},
		"another chain's": {unpaid(t, promise(1, 600, func(a *essaim.Ack) {
			a.ChainID = "essaim-other-1"
		}), "c", "m1"), market.ErrAck},
		"no such session":         {unpaid(t, promise(9, 600, nil), "c", "m1"), market.ErrNotFound},
		"not a signed object":     {&marketv1.MsgClaimUnpaid{Submitter: account(7).String(), Ack: []byte("x")}, market.ErrAck},
		"too large":               {&marketv1.MsgClaimUnpaid{Submitter: account(7).String(), Ack: make([]byte, market.MaxAck+1)}, market.ErrAck},
		"changed after signature": {&marketv1.MsgClaimUnpaid{Submitter: account(7).String(), Ack: flip(large.Ack), Signature: large.Signature}, market.ErrAck},
	} {
		t.Run(name, func(t *testing.T) { refused(t, w, c.msg, c.want) })
	}
	w.advance(t, 2+50)
	refused(t, w, large, market.ErrLate)
	if r := w.record(t, "c"); r.Unpaid != 0 || r.Settled != 2 || r.Opened != 2 {
		t.Errorf("record %+v", r)
	}
}

func flip(b []byte) []byte {
	out := append([]byte(nil), b...)
	out[len(out)/2] ^= 1
	return out
}

// TestWhatIsKeptIsForgotten: lines and claims go when a session can be contested no more,
// a limited number at the end of each block.
func TestWhatIsKeptIsForgotten(t *testing.T) {
	w := newCourt(t)
	w.must(t, openSession(10_000, 20))
	w.must(t, openSession(10_000, 20))
	w.must(t, settle(1, "c", line("m1", firstModel, 499, 1), line("m2", firstModel, 1, 1)))
	w.must(t, unpaid(t, promise(1, 500, nil), "c", "m1"))
	if g := w.marketState(t); len(g.Lines) != 2 || len(g.Claims) != 1 {
		t.Fatalf("%d lines, %d claims", len(g.Lines), len(g.Claims))
	}
	w.advance(t, 2+51)
	if g := w.marketState(t); len(g.Lines) != 0 || len(g.Claims) != 0 {
		t.Fatalf("%d lines, %d claims", len(g.Lines), len(g.Claims))
	}
	// The other one expired at height 20.
	w.must(t, unpaid(t, promise(2, 500, nil), "c", "m1"))
	w.advance(t, 20+51)
	if g := w.marketState(t); len(g.Claims) != 0 {
		t.Fatalf("%d claims", len(g.Claims))
	}
	if err := w.app.Market.CheckInvariant(w.ctx); err != nil {
		t.Fatal(err)
	}
}

// TestCover: open deposits are bounded by the coordinator's stake.
func TestCover(t *testing.T) {
	w := newCourt(t) // the stake is 20,000: ten times that is covered
	w.must(t, openSession(150_000, 20))
	refused(t, w, openSession(50_001, 20), market.ErrCover)
	w.must(t, openSession(50_000, 20))
	refused(t, w, openSession(1, 20), market.ErrCover)
	refused(t, w, &marketv1.MsgTopUp{Payer: payer.String(), Session: 1, Amount: 1}, market.ErrCover)
	w.must(t, settle(2, "c"))
	topped := w.branch()
	refused(t, topped, &marketv1.MsgTopUp{Payer: payer.String(), Session: 1, Amount: 50_001}, market.ErrCover)
	topped.must(t, &marketv1.MsgTopUp{Payer: payer.String(), Session: 1, Amount: 50_000})
	refused(t, topped, openSession(1, 20), market.ErrCover)
	topped.check(t)
	w.must(t, openSession(50_000, 40))
	w.advance(t, 21) // the first has expired
	w.must(t, openSession(150_000, 40))
	w.must(t, &registryv1.MsgDelegate{Delegator: account(6).String(), NodeKey: public("c").String(), Amount: 100})
	w.must(t, openSession(1_000, 40))
	refused(t, w, openSession(1, 40), market.ErrCover)
	w.check(t)
}
