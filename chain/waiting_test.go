package chain_test

import (
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/modelv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// draws lists what the beacon has asked.
func (w *world) draws(t testing.TB) []marketv1.Draw { return w.marketState(t).Draws }

func asked(p *marketv1.Params) { p.OpeningBps, p.Openings = 10_000, 3 }

func answer(k work, d marketv1.Draw) *marketv1.MsgOpen {
	return &marketv1.MsgOpen{
		Submitter: account(7).String(), Session: k.session, Draw: d.Index, Opening: k.opening(k.tree.Find(essaim.Amount(d.Point))),
	}
}

// TestBeaconAsks: two blocks after a settlement the beacon draws points of its sum; the
// leaves that cover them are shown, and then what waited is paid.
func TestBeaconAsks(t *testing.T) {
	w := newWaiting(t, asked)
	k := build(t, 1, honest())
	w.must(t, openSession(100_000, 100))
	w.must(t, k.settle(t, 0))
	w.advance(t, 4)
	if len(w.draws(t)) != 0 {
		t.Fatal("asked before the beacon was known")
	}
	w.advance(t, 5)
	draws := w.draws(t)
	if len(draws) != 3 || draws[0].Due != 4+5 {
		t.Fatalf("%+v", draws)
	}
	for _, d := range draws {
		m := answer(k, d)
		wrong := *m
		wrong.Opening = k.opening((int(m.Opening.Index) + 1) % 6)
		refused(t, w, &wrong, market.ErrOpening)
		unknown := *m
		unknown.Draw = 3
		refused(t, w, &unknown, market.ErrDraw)
		w.must(t, m)
		refused(t, w, m, market.ErrDraw)
	}
	w.advance(t, 23)
	w.check(t)
	if s := w.settlement(t, 1); s.Paid != 21_000 || w.record(t, "c").Silent != 0 {
		t.Fatalf("%+v", s)
	}
}

// TestSilence: unanswered draws give what waits back to the payer and cost a missed duty,
// and the miners have the coordinator's word.
func TestSilence(t *testing.T) {
	w := newWaiting(t, asked)
	k := build(t, 1, honest())
	w.must(t, openSession(100_000, 100))
	w.must(t, k.settle(t, 10_500))
	before, stake := w.balance(payer), w.stakeOf(t, "c")
	waits := w.settlement(t, 1).Pending
	w.advance(t, 5)
	w.must(t, answer(k, w.draws(t)[0])) // one is not enough
	refused(t, w, unpaid(t, promise(1, k.lines[0].Amount, nil), "c", "m1"), market.ErrKept)
	w.advance(t, 10)
	w.check(t)
	if got := w.balance(payer) - before; got != essaim.Amount(waits) || len(w.draws(t)) != 0 {
		t.Fatalf("%d of %d went back", got, waits)
	}
	if got := w.stakeOf(t, "c"); got != stake-stake/1000 || w.record(t, "c").Silent != 1 {
		t.Errorf("stake %d of %d is left", got, stake)
	}
	owed := essaim.Amount(6_000)
	claim := unpaid(t, promise(1, owed, nil), "c", "m1")
	var said marketv1.MsgClaimUnpaidResponse
	if err := said.Unmarshal(w.must(t, claim).Data); err != nil || said.Unpaid < 2_990 || said.Unpaid > 3_010 {
		t.Errorf("%+v, %v", said, err)
	}
	w.check(t)
}

// TestAwayIsNotSilence: a coordinator that has announced maintenance answers when it is
// back. What it announces after the draw is no excuse.
func TestAwayIsNotSilence(t *testing.T) {
	away := func(w *world, from, until int64) *registryv1.MsgAway {
		return &registryv1.MsgAway{Owner: coordinatorOwner.String(), NodeKey: public("c").String(), From: from, Until: until}
	}
	for _, c := range []struct {
		name               string
		before             bool  // announced before the draw
		from, until        int64 // of the maintenance
		due                int64
		answered, punished bool
	}{
		{"announced", true, 6, 14, 14 + 5, true, false},
		{"announced and silent", true, 6, 14, 14 + 5, false, true},
		{"begins when the answer is due", true, 9, 14, 4 + 5, false, true},
		{"announced too late", false, 7, 14, 4 + 5, false, true},
		{"longer than claims are heard", true, 6, 400, 2 + 100 - 5, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWaiting(t, func(p *marketv1.Params) { asked(p); p.ClaimBlocks = 100 })
			p := w.ruled(t)
			p.AwayNoticeBlocks = 2
			w.must(t, &registryv1.MsgUpdateParams{Authority: governance(), Params: p})
			if c.before {
				w.must(t, away(w, c.from, c.until))
			}
			k := build(t, 1, honest())
			w.must(t, openSession(100_000, 100))
			w.must(t, k.settle(t, 0))
			w.advance(t, 5)
			if !c.before {
				w.must(t, away(w, c.from, c.until))
			}
			draws := w.draws(t)
			if draws[0].Due != c.due {
				t.Fatalf("due at %d, want %d", draws[0].Due, c.due)
			}
			w.advance(t, c.due-1)
			if c.answered {
				for _, d := range draws {
					w.must(t, answer(k, d))
				}
			}
			w.advance(t, max(c.due, 24)+2)
			w.check(t)
			if got := w.record(t, "c").Silent == 1; got != c.punished {
				t.Errorf("punished: %t", got)
			}
			if s := w.settlement(t, 1); s.Pending != 0 || (s.Paid == 21_000) != c.answered {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestFalseDraw: a leaf that the beacon asks for and that is false convicts.
func TestFalseDraw(t *testing.T) {
	w := newWaiting(t, asked)
	jobs := honest()
	for i := range jobs {
		jobs[i].payer = "c"
	}
	k := build(t, 1, jobs)
	w.must(t, openSession(100_000, 100))
	w.must(t, k.settle(t, 0))
	w.advance(t, 5)
	convicted := map[uint64]bool{}
	for _, d := range w.draws(t) {
		m := answer(k, d)
		var said marketv1.MsgOpenResponse
		if err := said.Unmarshal(w.must(t, m).Data); err != nil || (said.Fault == market.FaultUnsigned) == convicted[m.Opening.Index] {
			t.Fatalf("%+v, %v", said, err)
		}
		convicted[m.Opening.Index] = true
		w.check(t)
	}
	if w.record(t, "c").Convicted != uint64(len(convicted)) {
		t.Error(w.record(t, "c"))
	}
	w.advance(t, 23)
	w.check(t)
}

// lapsedClaim is a miner's claim on a lapsed session.
func lapsedClaim(t testing.TB, session uint64, miner string, total essaim.Amount, voucher []byte) *marketv1.MsgClaimLapsed {
	t.Helper()
	m := unpaid(t, promise(session, total, func(a *essaim.Ack) { a.Miner = public(miner) }), "c", miner)
	return &marketv1.MsgClaimLapsed{Submitter: m.Submitter, Ack: m.Ack, Signature: m.Signature, Voucher: voucher}
}

// TestVanishedCoordinator: payees share what the payer acknowledged, the payer gets the
// rest, and the coordinator's stake answers for what is missing.
func TestVanishedCoordinator(t *testing.T) {
	for name, c := range map[string]struct {
		acknowledged, first, second essaim.Amount // of 4,000 and 6,000 promised
	}{
		"all":              {10_000, 4_000, 6_000},
		"more than is due": {50_000, 4_000, 6_000},
		"a half":           {5_000, 2_000, 3_000},
		"a third":          {3_333, 1_333, 1_999},
		"nothing":          {0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(t, nil)
			w.must(t, openSession(20_000, 10))
			first := lapsedClaim(t, 1, "m1", 4_000, nil)
			refused(t, w, first, market.ErrLapsed)
			w.advance(t, 11)
			before, worked := w.balance(payer), w.balance(stakes)
			refused(t, w, build(t, 1, honest()).settle(t, 0), market.ErrClosed)
			refused(t, w, unpaid(t, promise(1, 4_000, nil), "c", "m1"), market.ErrOpen)
			w.must(t, lapsedClaim(t, 1, "m1", 3_000, nil))
			w.must(t, first)
			refused(t, w, first, market.ErrStale)
			refused(t, w, lapsedClaim(t, 1, "m1", 3_999, nil), market.ErrStale)
			refused(t, w, lapsedClaim(t, 1, "nobody", 3_999, nil), market.ErrPayee)
			refused(t, w, &marketv1.MsgClaimLapsed{Submitter: first.Submitter, Ack: first.Ack, Signature: flip(first.Signature)}, market.ErrSignature)
			if c.acknowledged > 0 {
				w.must(t, show(1, voucher(t, 1, c.acknowledged-1, nil)))
				refused(t, w, show(1, voucher(t, 1, c.acknowledged-1, nil)), market.ErrStale)
				w.must(t, lapsedClaim(t, 1, "m2", 6_000, voucher(t, 1, c.acknowledged, nil)))
			} else {
				w.must(t, lapsedClaim(t, 1, "m2", 6_000, nil))
			}
			w.check(t)
			w.advance(t, 31)
			w.check(t)
			paid := c.first + c.second
			if got := w.balance(payer) - before; got != 20_000-paid {
				t.Errorf("the payer got %d back, want %d", got, 20_000-paid)
			}
			if got := w.balance(stakes) - worked; got > paid || got < paid*93/100 { // but for royalty and protocol fee
				t.Errorf("miners and coordinator got %d of %d", got, paid)
			}
			claim := unpaid(t, promise(1, 4_000, nil), "c", "m1")
			if c.first == 4_000 {
				refused(t, w, claim, market.ErrKept)
				return
			}
			var said marketv1.MsgClaimUnpaidResponse
			if err := said.Unmarshal(w.must(t, claim).Data); err != nil || essaim.Amount(said.Unpaid) != 4_000-c.first {
				t.Errorf("%+v, %v", said, err)
			}
		})
	}
}

// TestDataOwnersAndBurning: the data's owners get their part, the ledger burns its own.
func TestDataOwnersAndBurning(t *testing.T) {
	w := newWaiting(t, func(p *marketv1.Params) { p.BurnBps, p.ProtocolFeeBps = 2_500, 200 })
	register := &modelv1.MsgRegisterModel{Owner: account(5).String(), Manifest: manifest("third"), RoyaltyBps: 400, Data: []modelv1.DataShare{
		{Owner: account(6).String(), RoyaltyBps: 300}, {Owner: account(7).String(), RoyaltyBps: 33},
	}}
	for name, edit := range map[string]func(*modelv1.MsgRegisterModel){
		"twice":         func(m *modelv1.MsgRegisterModel) { m.Data[1].Owner = m.Data[0].Owner },
		"nobody":        func(m *modelv1.MsgRegisterModel) { m.Data[0].Owner = "x" },
		"the zero":      func(m *modelv1.MsgRegisterModel) { m.Data[0].Owner = essaim.Address{}.String() },
		"a module":      func(m *modelv1.MsgRegisterModel) { m.Data[0].Owner = stakes.String() },
		"for nothing":   func(m *modelv1.MsgRegisterModel) { m.Data[0].RoyaltyBps = 0 },
		"too much":      func(m *modelv1.MsgRegisterModel) { m.Data[0].RoyaltyBps = 2_568 },
		"far too much":  func(m *modelv1.MsgRegisterModel) { m.Data[0].RoyaltyBps = 1<<32 - 1 },
		"five of these": func(m *modelv1.MsgRegisterModel) { m.Data = make([]modelv1.DataShare, 5) },
	} {
		bad := *register
		bad.Data = slices.Clone(register.Data)
		edit(&bad)
		t.Run(name, func(t *testing.T) { refused(t, w, &bad, errAny) })
	}
	w.must(t, register)
	third := essaim.DigestOf(manifest("third"))
	refused(t, w, &modelv1.MsgUpdateOffer{Owner: account(5).String(), Model: third.String(), RoyaltyBps: 2_668}, errAny)
	w.must(t, openSession(100_000, 100))
	before := map[essaim.Address]essaim.Amount{}
	for _, a := range []essaim.Address{account(5), account(6), account(7), pool, stakes} {
		before[a] = w.balance(a)
	}
	m := settle(1, "c", line("m1", third, 10_001, 1))
	m.Voucher = voucher(t, 1, 10_001, nil)
	w.must(t, m)
	w.check(t)
	for a, want := range map[essaim.Address]essaim.Amount{account(5): 400, account(6): 300, account(7): 33, pool: 150, stakes: 10_001 - 400 - 300 - 33 - 200} {
		if got := w.balance(a) - before[a]; got != want {
			t.Errorf("%s got %d, want %d", a, got, want)
		}
	}
	if burned := w.marketState(t).Totals.Burned.Uint64(); burned != 50 {
		t.Errorf("%d burned", burned)
	}
}
