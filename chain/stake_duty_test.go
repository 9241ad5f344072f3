package chain_test

import (
	"errors"
	"testing"

	dbm "github.com/cosmos/cosmos-db"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

func TestStakeRefusals(t *testing.T) {
	w := newStake(t)
	owner, key := account(2).String(), public("m").String()
	w.must(t, &registryv1.MsgRotateKey{Owner: owner, NodeKey: key, NewKey: public("m2").String(), Possession: possession(account(2), essaim.RoleMiner, "m2")})
	for name, c := range map[string]struct {
		msg  sdk.Msg
		want error
	}{
		"nothing":             {delegate(3, "m", 0), registry.ErrStake},
		"too much":            {delegate(3, "m", 1<<63), errAny},
		"on nobody":           {delegate(3, "nobody", 5), registry.ErrNotFound},
		"by nobody":           {&registryv1.MsgDelegate{Delegator: "x", NodeKey: key, Amount: 5}, registry.ErrOwner},
		"none to take back":   {undelegate(4, "m", 0), registry.ErrStake},
		"more than there is":  {undelegate(3, "m", 10_001), registry.ErrStake},
		"bond below least":    {undelegate(2, "m", 9001), registry.ErrBond},
		"to itself":           {&registryv1.MsgRedelegate{Delegator: account(3).String(), NodeKey: key, To: public("m2").String()}, registry.ErrStake},
		"compound nothing":    {&registryv1.MsgSetCompound{Delegator: account(4).String(), NodeKey: key}, registry.ErrStake},
		"claim of nobody":     {claim(3, "nobody"), registry.ErrNotFound},
		"commission by many":  {&registryv1.MsgSetCommission{Owner: account(3).String(), NodeKey: key}, registry.ErrNotOwner},
		"commission jump":     {&registryv1.MsgSetCommission{Owner: owner, NodeKey: key, CommissionBps: 1301}, registry.ErrCommission},
		"commission of more":  {&registryv1.MsgSetCommission{Owner: owner, NodeKey: key, CommissionBps: 10_001}, registry.ErrCommission},
		"not jailed":          {&registryv1.MsgUnjail{Owner: owner, NodeKey: key}, registry.ErrNotJailed},
		"rotated twice":       {&registryv1.MsgRotateKey{Owner: owner, NodeKey: key, NewKey: public("m3").String(), Possession: possession(account(2), essaim.RoleMiner, "m3")}, registry.ErrRotation},
		"away at once":        {&registryv1.MsgAway{Owner: owner, NodeKey: key, From: 3, Until: 5}, registry.ErrAway},
		"away for long":       {&registryv1.MsgAway{Owner: owner, NodeKey: key, From: 4, Until: 15}, registry.ErrAway},
		"slash by an owner":   {&registryv1.MsgSlash{Authority: owner, NodeKey: key}, registry.ErrAuthority},
		"unknown cause":       {&registryv1.MsgSlash{Authority: governance(), NodeKey: key, Cause: "x", Evidence: []string{"x"}}, registry.ErrSlash},
		"no evidence":         {&registryv1.MsgSlash{Authority: governance(), NodeKey: key, Cause: registry.CauseWrongResult}, registry.ErrEvidence},
		"too hard":            {&registryv1.MsgSlash{Authority: governance(), NodeKey: key, Cause: registry.CauseStatistical, Bps: 2001, Evidence: []string{"x"}}, registry.ErrSlash},
		"restitution to none": {&registryv1.MsgSlash{Authority: governance(), NodeKey: key, Cause: registry.CauseWrongResult, Evidence: []string{"x"}, Restitution: 1}, registry.ErrSlash},
		"restitution to a module": {&registryv1.MsgSlash{
			Authority: governance(), NodeKey: key, Cause: registry.CauseWrongResult, Evidence: []string{"x"}, Restitution: 1, Wronged: essaim.Address(authtypes.NewModuleAddress("market")).String(),
		}, registry.ErrSlash},
		"no such slash":  {&registryv1.MsgAppeal{Owner: owner, Slash: 1, Evidence: []string{"x"}}, registry.ErrNoSlash},
		"reverse by all": {&registryv1.MsgReverse{Authority: owner, Slash: 1}, registry.ErrAuthority},
	} {
		t.Run(name, func(t *testing.T) { refused(t, w, c.msg, c.want) })
	}
	w.must(t, &registryv1.MsgSetCommission{Owner: owner, NodeKey: key, CommissionBps: 1300})
	refused(t, w, &registryv1.MsgSetCommission{Owner: owner, NodeKey: key, CommissionBps: 1600}, registry.ErrCommission)
	w.advance(t, 30) // a new epoch
	w.must(t, &registryv1.MsgSetCommission{Owner: owner, NodeKey: public("m2").String(), CommissionBps: 1600})
	for range registry.MaxExits {
		w.must(t, undelegate(3, "m2", 1))
	}
	refused(t, w, undelegate(3, "m2", 1), registry.ErrStake)
	p := stakeParams()
	for _, edit := range []func(*registryv1.Params){
		func(p *registryv1.Params) { p.EmissionBps = 10_000 },
		func(p *registryv1.Params) { p.CommissionChangeBps = 10_001 },
		func(p *registryv1.Params) { p.Slashes = append(p.Slashes, p.Slashes[0]) },
		func(p *registryv1.Params) { p.Slashes = []registryv1.SlashRule{{Cause: "x", MinBps: 2, MaxBps: 1}} },
	} {
		bad := p
		edit(&bad)
		refused(t, w, &registryv1.MsgUpdateParams{Authority: governance(), Params: bad}, registry.ErrParams)
	}
}

func TestRotation(t *testing.T) {
	w := newStake(t)
	w.must(t, &registryv1.MsgRotateKey{
		Owner: account(2).String(), NodeKey: public("m").String(), NewKey: public("new").String(), Possession: possession(account(2), essaim.RoleMiner, "new"),
	}) // at 2: until 8
	for _, key := range []string{"m", "new"} {
		if a := w.actor(t, key); a.NodeKey != public("new") || a.Stake != 20_000 {
			t.Errorf("%+v", a)
		}
	}
	refused(t, w, registerMiner(account(4), "m"), registry.ErrRegistered)
	w.earn(t, "m", 1000, 0)
	w.advance(t, 9)
	if _, ok, _ := w.app.Registry.Actor(w.ctx, public("m")); ok {
		t.Error("the old key still answers")
	}
	w.must(t, registerMiner(account(4), "m"))
	if got := w.gains(t, 3, claim(3, "new")); got != 449 { // 450 less what no division can share
		t.Error(got)
	}
}

func TestMissedJails(t *testing.T) {
	w := newStake(t)
	key := public("m").String()
	missed := func(n int) int64 {
		t.Helper()
		for range n {
			if err := w.app.Registry.Missed(w.ctx, public("m")); err != nil {
				t.Fatal(err)
			}
		}
		return w.actor(t, "m").JailedUntil
	}
	w.must(t, &registryv1.MsgAway{Owner: account(2).String(), NodeKey: key, From: 4, Until: 14})
	if got := missed(2); got != 0 {
		t.Error("jailed", got)
	}
	w.advance(t, 4)
	if got := missed(50); got != 0 {
		t.Error("jailed while away", got)
	}
	w.must(t, &registryv1.MsgAway{Owner: account(2).String(), NodeKey: key})
	if got := missed(3); got != 8 { // the third within ten blocks
		t.Error("jailed until", got)
	}
	refused(t, w, &registryv1.MsgUnjail{Owner: account(2).String(), NodeKey: key}, registry.ErrJailed)
	w.advance(t, 8)
	w.must(t, &registryv1.MsgUnjail{Owner: account(2).String(), NodeKey: key})
	if a := w.actor(t, "m"); a.JailedUntil != 0 || a.Stake != 20_000 {
		t.Errorf("%+v", a)
	}
}

// TestLowBond: slashed below the least bond, an actor is jailed until it is topped up.
func TestLowBond(t *testing.T) {
	w := newStake(t)
	m := registerMiner(account(4), "small")
	w.must(t, m) // exactly the least
	id := w.slash(t, "small", registry.CauseMissedDuty)
	unjail := &registryv1.MsgUnjail{Owner: account(4).String(), NodeKey: public("small").String()}
	if a := w.actor(t, "small"); a.JailedUntil == 0 || a.Bond != 999 {
		t.Errorf("%+v", a)
	}
	refused(t, w, unjail, registry.ErrBond)
	b := w.branch()
	b.must(t, &registryv1.MsgReverse{Authority: governance(), Slash: id, Evidence: []string{"x"}})
	if a := b.actor(t, "small"); a.JailedUntil != 0 {
		t.Errorf("%+v", a)
	}
	w.advance(t, 8)
	w.supply--
	w.must(t, &registryv1.MsgAddBond{Owner: account(4).String(), NodeKey: public("small").String(), Amount: 1})
	w.must(t, unjail)
	w.check(t)
}

func TestEmissionFollowsFees(t *testing.T) {
	w := newStake(t)
	w.must(t, registerMiner(account(4), "n"))
	w.must(t, registerCoordinator(account(5), "c"))
	w.earn(t, "m", 0, 300)
	w.earn(t, "n", 0, 700)
	w.earn(t, "c", 0, 5000) // a coordinator's income earns no credit
	w.advance(t, 21)
	if got := w.gains(t, 4, claim(4, "n")); got != 0 {
		t.Error("paid before the delay", got)
	}
	b := w.branch()
	b.slash(t, "n", registry.CauseStatistical) // refutes the work
	b.advance(t, 45)
	if got := b.gains(t, 4, claim(4, "n")); got != 0 {
		t.Error("refuted work was paid", got)
	}
	if got := b.gains(t, 3, claim(3, "m")); got != 107 { // 90 % of 240, half of it
		t.Error(got)
	}
	b = w.branch()
	id := b.slash(t, "n", registry.CauseStatistical)
	b.must(t, &registryv1.MsgReverse{Authority: governance(), Slash: id, Evidence: []string{"x"}})
	w = b
	w.advance(t, 45)
	if got := w.gains(t, 4, claim(4, "n")); got != 559 { // 560 less what no division can share
		t.Error(got)
	}
	if got := w.app.Bank.GetBalance(w.ctx, authtypes.NewModuleAddress(registry.EmissionName), essaim.Denom).Amount.Int64(); got != emission-800 {
		t.Error(got)
	}
}

func TestStakeCovers(t *testing.T) {
	w := newStake(t)
	w.must(t, registerCoordinator(account(5), "c"))
	if limit, err := w.app.Registry.Cover(w.ctx, public("c")); err != nil || limit != 200_000 {
		t.Error(limit, err)
	}
	if _, err := w.app.Registry.Cover(w.ctx, public("x")); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	p := stakeParams()
	p.AuditBlocks = 5
	w.must(t, &registryv1.MsgUpdateParams{Authority: governance(), Params: p})
	w.earn(t, "m", 8000, 0)
	w.advance(t, 4)
	w.earn(t, "m", 8000, 0) // room for 2,000 of them
	w.audit(t)
	if a := w.actor(t, "m"); a.Unaudited != 10_000 {
		t.Errorf("%+v", a)
	}
	if got := w.gains(t, 2, claim(2, "m")); got != 1000+4499 {
		t.Error(got)
	}
	w.advance(t, 10)
	w.audit(t)
	if got := w.gains(t, 2, claim(2, "m")); got != 600+2700 {
		t.Error(got)
	}
	if a := w.actor(t, "m"); a.Unaudited != 0 {
		t.Errorf("%+v", a)
	}
}

// TestStakeGenesis: a state with everything in it is the same after export and import.
func TestStakeGenesis(t *testing.T) {
	w := newStake(t)
	p := stakeParams()
	p.AuditBlocks, p.EpochBlocks = 5, 3
	w.must(t, &registryv1.MsgUpdateParams{Authority: governance(), Params: p})
	w.must(t, registerMiner(account(4), "n"))
	w.must(t, registerMiner(account(5), "o"))
	w.must(t, delegate(6, "n", 777))
	w.must(t, &registryv1.MsgRedelegate{Delegator: account(3).String(), NodeKey: public("m").String(), To: public("n").String(), Amount: 123})
	w.must(t, &registryv1.MsgRetire{Owner: account(5).String(), NodeKey: public("o").String()})
	w.must(t, &registryv1.MsgRotateKey{Owner: account(2).String(), NodeKey: public("m").String(), NewKey: public("m2").String(), Possession: possession(account(2), essaim.RoleMiner, "m2")})
	w.earn(t, "m", 50_001, 77)
	w.slash(t, "m", registry.CauseStatistical)
	w.earn(t, "n", 333, 11)
	w.advance(t, 6)
	w.earn(t, "n", 10, 5)

	module := registry.NewModule(w.app.Registry)
	state := module.ExportGenesis(w.ctx, w.app.Codec)
	if err := module.ValidateGenesis(w.app.Codec, nil, state); err != nil {
		t.Fatal(err)
	}
	fresh, err := chain.New(chain.Options{DB: dbm.NewMemDB(), ChainID: chainID})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	other := &world{app: fresh, ctx: fresh.NewContext(true).WithChainID(chainID).WithBlockHeight(w.ctx.BlockHeight())}
	fresh.Bank.InitGenesis(other.ctx, w.app.Bank.ExportGenesis(w.ctx))
	again := registry.NewModule(fresh.Registry)
	again.InitGenesis(other.ctx, fresh.Codec, state)
	if got := again.ExportGenesis(other.ctx, fresh.Codec); string(got) != string(state) {
		t.Fatalf("%s\nbecame\n%s", state, got)
	}
	if want, err := w.app.Registry.TotalStake(w.ctx); err != nil {
		t.Fatal(err)
	} else if got, err := fresh.Registry.TotalStake(other.ctx); err != nil || got != want {
		t.Fatal(got, want, err)
	}
	for name, edit := range map[string]func(g *registryv1.GenesisState){
		"two of one number": func(g *registryv1.GenesisState) { g.Actors[1].Id = g.Actors[0].Id },
		"two of one key":    func(g *registryv1.GenesisState) { g.Actors[1].NodeKey = g.Actors[0].OldKey },
		"actor to come":     func(g *registryv1.GenesisState) { g.NextActor = 1 },
		"stake on nobody":   func(g *registryv1.GenesisState) { g.Delegations[0].Actor = 99 },
		"exit from nobody":  func(g *registryv1.GenesisState) { g.Exits[0].Actor = 99 },
		"slash to come":     func(g *registryv1.GenesisState) { g.NextSlash = 1 },
		"free emission":     func(g *registryv1.GenesisState) { g.Params.EmissionBps = 10_000 },
	} {
		var g registryv1.GenesisState
		w.app.Codec.MustUnmarshalJSON(state, &g)
		edit(&g)
		if err := module.ValidateGenesis(w.app.Codec, nil, w.app.Codec.MustMarshalJSON(&g)); err == nil {
			t.Error(name, "passes")
		}
	}
}
