package chain_test

import (
	"fmt"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/beacon"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/model"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// disputes runs random schedules of what payers, coordinators, miners and strangers may do
// to sessions whose settlements wait.
type disputes struct {
	*world
	opened uint64
	works  map[uint64]work // settled
	lies   map[uint64]bool // built from false leaves
	seen   map[string]int  // how often each thing happened
}

func (d *disputes) try(t *rapid.T, what string, msg sdk.Msg) bool {
	b := d.branch()
	if _, err := b.do(msg); err != nil { // a transaction that fails leaves no trace
		d.seen["refused "+what]++
		return false
	}
	if _, err := d.do(msg); err != nil {
		t.Fatal("done once, then", err)
	}
	d.seen[what]++
	return true
}

func (d *disputes) any(t *rapid.T) uint64 { return rapid.Uint64Range(1, d.opened+1).Draw(t, "session") }

func (d *disputes) open(t *rapid.T) {
	m := openSession(rapid.Uint64Range(20_000, 50_000).Draw(t, "deposit"), d.ctx.BlockHeight()+rapid.Int64Range(1, 30).Draw(t, "blocks"))
	if d.try(t, "open", m) {
		d.opened++
	}
}

func (d *disputes) topUp(t *rapid.T) {
	d.try(t, "top up", &marketv1.MsgTopUp{Payer: payer.String(), Session: d.any(t), Amount: rapid.Uint64Range(1, 9_000).Draw(t, "amount")})
}

// one is a session in a state, if there is any.
func (d *disputes) one(t *rapid.T, state marketv1.State) uint64 {
	for _, s := range d.state(t).Sessions {
		if s.State == state && rapid.Bool().Draw(t, "this one") {
			return s.Id
		}
	}
	return d.any(t)
}

func (d *disputes) settle(t *rapid.T) {
	id := d.one(t, marketv1.State_STATE_OPEN)
	jobs := honest()
	jobs = jobs[:rapid.IntRange(1, len(jobs)).Draw(t, "jobs")]
	lie := rapid.IntRange(0, 4).Draw(t, "lie")
	switch lie {
	case 1:
		jobs[0].payer = "c"
	case 2:
		jobs = append(jobs, jobs[0])
	case 3:
		jobs[0].amount = 1_234
	}
	k := build(fatal{t: t}, id, jobs)
	if d.try(t, "settle", k.settle(fatal{t: t}, essaim.Amount(rapid.Uint64Range(0, 25_000).Draw(t, "acknowledged")))) {
		d.works[id], d.lies[id] = k, lie > 0 && lie < 4
	}
}

// fatal lets the helpers of tests fail a property.
type fatal struct {
	testing.TB // none: only what is below is called
	t          *rapid.T
}

func (f fatal) Helper()           {}
func (f fatal) Fatal(args ...any) { f.t.Fatal(args...) }

func (d *disputes) show(t *rapid.T) {
	id := d.one(t, rapid.SampledFrom([]marketv1.State{marketv1.State_STATE_SETTLED, marketv1.State_STATE_LAPSED}).Draw(t, "state"))
	d.try(t, "show a voucher", show(id, voucher(fatal{t: t}, id, essaim.Amount(rapid.Uint64Range(1, 30_000).Draw(t, "amount")), nil)))
}

func (d *disputes) challenge(t *rapid.T) {
	id := d.one(t, marketv1.State_STATE_SETTLED)
	k, ok := d.works[id]
	if !ok {
		return
	}
	m := challenge(id, k.opening(rapid.IntRange(0, len(k.openings)-1).Draw(t, "leaf")))
	if rapid.Bool().Draw(t, "two") {
		m.Openings = append(m.Openings, k.opening(rapid.IntRange(0, len(k.openings)-1).Draw(t, "other leaf")))
	}
	if d.try(t, "challenge", m) && !d.lies[id] {
		t.Fatalf("an honest settlement was convicted: session %d", id)
	}
}

func (d *disputes) answer(t *rapid.T) {
	for range 3 { // the beacon asks about what was settled lately
		if len(d.state(t).Asks) > 0 {
			d.block(t)
		}
	}
	for _, x := range d.state(t).Draws {
		if rapid.IntRange(0, 3).Draw(t, "silent") > 0 {
			m := answer(d.works[x.Session], x)
			if rapid.IntRange(0, 5).Draw(t, "another leaf") == 0 {
				m.Opening = d.works[x.Session].opening(0)
			}
			d.try(t, "answer", m)
		}
	}
}

func (d *disputes) claim(t *rapid.T) {
	state := rapid.SampledFrom([]marketv1.State{marketv1.State_STATE_SETTLED, marketv1.State_STATE_LAPSED, marketv1.State_STATE_EXPIRED}).Draw(t, "state")
	id, miner := d.one(t, state), rapid.SampledFrom([]string{"m1", "m2", "m3"}).Draw(t, "miner")
	total := essaim.Amount(rapid.Uint64Range(10, 20_000).Draw(t, "promised"))
	var shown []byte
	if rapid.Bool().Draw(t, "voucher") {
		shown = voucher(fatal{t: t}, id, essaim.Amount(rapid.Uint64Range(1, 30_000).Draw(t, "amount")), nil)
	}
	d.try(t, "claim of a lapsed session", lapsedClaim(fatal{t: t}, id, miner, total, shown))
	d.try(t, "claim of a broken promise", unpaid(fatal{t: t}, promise(id, total, func(a *essaim.Ack) { a.Miner = public(miner) }), "c", miner))
}

func (d *disputes) leave(t *rapid.T) {
	owner, name := minerOwner, "m1"
	if rapid.Bool().Draw(t, "come") {
		d.try(t, "register", registerMiner(owner, name))
		return
	}
	d.try(t, "retire", &registryv1.MsgRetire{Owner: owner.String(), NodeKey: public(name).String()})
}

func (d *disputes) pass(t *rapid.T) {
	for range rapid.IntRange(1, 8).Draw(t, "blocks") {
		d.block(t)
	}
	d.try(t, "unjail", &registryv1.MsgUnjail{Owner: coordinatorOwner.String(), NodeKey: public("c").String()})
}

func (d *disputes) block(t *rapid.T) {
	if err := d.app.Beacon.Advance(d.ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := registry.NewModule(d.app.Registry).EndBlock(d.ctx); err != nil {
		t.Fatal(err)
	}
	if err := market.NewModule(d.app.Market).EndBlock(d.ctx); err != nil {
		t.Fatal(err)
	}
	d.ctx = d.ctx.WithBlockHeight(d.ctx.BlockHeight() + 1)
}

func (d *disputes) govern(t *rapid.T) {
	p := waitingParams()
	p.BurnBps = rapid.Uint32Range(0, market.MaxBurn).Draw(t, "burn")
	p.OpeningBps, p.Openings = rapid.SampledFrom([]uint32{0, 5_000, 10_000}).Draw(t, "chance"), rapid.Uint32Range(1, 4).Draw(t, "openings")
	if rapid.IntRange(0, 9).Draw(t, "no window") == 0 {
		p.ChallengeBlocks, p.OpeningBps = 0, 0
	}
	d.try(t, "govern", &marketv1.MsgUpdateParams{Authority: governance(), Params: p})
}

// move exports the ledger and goes on with another one that has read it.
func (d *disputes) move(t *rapid.T, fresh *world) {
	before := d.fingerprint()
	other := fresh.branch()
	other.ctx = other.ctx.WithBlockHeight(d.ctx.BlockHeight())
	other.supply = d.supply
	cdc := d.app.Codec
	other.app.Bank.InitGenesis(other.ctx, d.app.Bank.ExportGenesis(d.ctx))
	beacon.NewModule(other.app.Beacon).InitGenesis(other.ctx, cdc, beacon.NewModule(d.app.Beacon).ExportGenesis(d.ctx, cdc))
	model.NewModule(other.app.Model).InitGenesis(other.ctx, cdc, model.NewModule(d.app.Model).ExportGenesis(d.ctx, cdc))
	registry.NewModule(other.app.Registry).InitGenesis(other.ctx, cdc, registry.NewModule(d.app.Registry).ExportGenesis(d.ctx, cdc))
	exported := market.NewModule(d.app.Market).ExportGenesis(d.ctx, cdc)
	if err := market.NewModule(other.app.Market).ValidateGenesis(cdc, nil, exported); err != nil {
		t.Fatal(err)
	}
	market.NewModule(other.app.Market).InitGenesis(other.ctx, cdc, exported)
	if after := other.fingerprint(); after != before {
		t.Fatalf("an export that is read differs:\n%s\n%s", before, after)
	}
	d.world = other
	d.seen["move"]++
}

func (d *disputes) state(t *rapid.T) marketv1.GenesisState { return d.marketState(t) }

// audit: all money is accounted for, and the supply is what it was but for what was burned.
func (d *disputes) audit(t *rapid.T) {
	d.check(t)
	for _, s := range d.state(t).Settlements {
		session := d.state(t).Sessions[s.Session-1]
		if s.Paid+s.Refunded+s.Pending != session.Deposit {
			t.Fatalf("session %d: %+v of a deposit of %d", s.Session, s, session.Deposit)
		}
	}
}

// TestEverySessionEnds is the market's invariant over random schedules of everything that
// can happen to sessions whose settlements wait; and in the end, if nobody does anything
// more, all of them are over and nothing is in escrow.
func TestEverySessionEnds(t *testing.T) {
	base, fresh := newCourtWith(t, 1<<20), newWorld(t) // slashes stay held: the supply stays
	base.must(t, registerMiner(account(6), "m3"))
	base.must(t, &registryv1.MsgAddBond{Owner: coordinatorOwner.String(), NodeKey: public("c").String(), Amount: 1_000_000})
	p := waitingParams()
	asked(&p)
	base.must(t, &marketv1.MsgUpdateParams{Authority: governance(), Params: p})
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		d := &disputes{world: base.branch(), works: map[uint64]work{}, lies: map[uint64]bool{}, seen: seen}
		t.Repeat(map[string]func(*rapid.T){
			"open": d.open, "open more": d.open, "top up": d.topUp, "settle": d.settle, "settle more": d.settle, "show": d.show, "challenge": d.challenge,
			"challenge more": d.challenge, "answer": d.answer, "claim": d.claim, "leave": d.leave, "pass": d.pass, "govern": d.govern,
			"move": func(t *rapid.T) { d.move(t, fresh) },
			"":     d.audit,
		})
		for range 60 {
			d.block(t)
		}
		d.audit(t)
		for _, s := range d.state(t).Sessions {
			if s.State != marketv1.State_STATE_SETTLED && s.State != marketv1.State_STATE_EXPIRED {
				t.Fatalf("session %d is %s for ever", s.Id, s.State)
			}
			seen[s.State.String()]++
		}
		g := d.state(t)
		if !g.Totals.Escrowed.IsZero() || len(g.Lines)+len(g.Draws)+len(g.Asks)+len(g.Convictions)+len(g.Lapses)+len(g.Claims) > 0 {
			t.Fatalf("left over: %+v", g)
		}
		for _, r := range g.Records {
			seen["silent"] += int(r.Silent)
		}
	})
	t.Log(fmt.Sprint(seen))
	if seen["open"] < 200 {
		return // too few schedules to meet everything
	}
	for _, what := range []string{"open", "top up", "settle", "show a voucher", "challenge", "refused challenge", "answer", "claim of a lapsed session",
		"claim of a broken promise", "silent", "move", "STATE_SETTLED", "STATE_EXPIRED"} {
		if seen[what] == 0 {
			t.Errorf("the schedules miss a case: %s", what)
		}
	}
}
