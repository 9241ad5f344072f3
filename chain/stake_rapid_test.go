package chain_test

import (
	"math/big"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// stakers runs random schedules against the application and the books.
type stakers struct {
	*world
	books
	before   [accounts]int64
	accepted map[string]int
	refusals int
	jails    map[*backed]bool
	slashID  uint64
}

var stakeNames = []string{"m", "n", "o"}

func newStakers(base *world, accepted map[string]int, p registryv1.Params) *stakers {
	s := &stakers{world: base.branch(), accepted: accepted, jails: map[*backed]bool{}}
	s.books = books{
		params: p, height: s.ctx.BlockHeight(), epochs: map[uint64]registryv1.Epoch{}, epoch: 1, paid: 1, left: emission,
		jailed: func(a *backed) bool { return s.jails[a] },
	}
	m := &backed{name: "m", owner: 2, commission: 1000, rest: new(big.Int), holders: map[int]*holder{}}
	m.join(2, 10_000)
	m.join(3, 10_000)
	n := &backed{name: "n", owner: 3, rest: new(big.Int), holders: map[int]*holder{}}
	n.join(3, 2000)
	s.actors = []*backed{m, n}
	for i := range s.before {
		s.before[i] = int64(s.world.balance(account(i)))
	}
	return s
}

// try runs a message, and reports whether it was accepted. A refused one must leave no
// trace; looking at all of the state is dear, so it is done now and then.
func (s *stakers) try(t *rapid.T, msg sdk.Msg) bool {
	look := rapid.IntRange(0, 19).Draw(t, "look") == 0
	before := ""
	if look {
		before = s.fingerprint()
	}
	_, err := s.do(msg)
	if err == nil {
		s.accepted[sdk.MsgTypeURL(msg)]++
		return true
	}
	s.refusals++
	if look && s.fingerprint() != before {
		t.Fatalf("refused %s changed the state", sdk.MsgTypeURL(msg))
	}
	return false
}

// living returns the actor of a name, or nil.
func (s *stakers) living(name string) *backed {
	for _, a := range s.actors {
		if a.name == name && !a.closed {
			return a
		}
	}
	return nil
}

// some draws an actor: any of the names, and nil if nobody has it.
func (s *stakers) some(t *rapid.T) (string, *backed) {
	name := rapid.SampledFrom(stakeNames).Draw(t, "actor")
	return name, s.living(name)
}

func someone(t *rapid.T) int { return rapid.IntRange(2, 4).Draw(t, "who") }

func someAmount(t *rapid.T) uint64 {
	return rapid.OneOf(rapid.Uint64Range(0, 20), rapid.Uint64Range(0, 30_000)).Draw(t, "amount")
}

func (s *stakers) register(t *rapid.T) {
	name, _ := s.some(t)
	m := registerMiner(account(someone(t)), name)
	m.Bond = rapid.Uint64Range(990, 9000).Draw(t, "bond")
	m.CommissionBps, m.CommissionChangeBps = rapid.Uint32Range(0, 10_000).Draw(t, "commission"), 300
	if s.try(t, m) {
		s.enter(m, name)
	}
}

func (s *stakers) enter(m *registryv1.MsgRegisterMiner, name string) {
	owner, _ := essaim.ParseAddress(m.Owner)
	who := int(owner[19])
	a := &backed{name: name, owner: who, commission: uint64(m.CommissionBps), rest: new(big.Int), holders: map[int]*holder{}}
	s.actors = append(s.actors, a)
	s.books.balance[who] -= int64(m.Bond)
	a.join(who, m.Bond)
}

func (s *stakers) retire(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
		return
	}
	if name, a := s.some(t); a != nil {
		if s.try(t, &registryv1.MsgRetire{Owner: account(a.owner).String(), NodeKey: public(name).String()}) {
			s.leave(a, nil, a.owner, 0, true)
		}
	}
}

func (s *stakers) delegate(t *rapid.T) {
	name, a := s.some(t)
	who := someone(t)
	m := delegate(who, name, someAmount(t))
	m.Compound = rapid.Bool().Draw(t, "compound")
	if s.try(t, m) {
		s.books.balance[who] -= int64(m.Amount)
		a.join(who, m.Amount)
		a.holder(who).compound = m.Compound
	}
}

func (s *stakers) undelegate(t *rapid.T) {
	name, a := s.some(t)
	who, amount := someone(t), someAmount(t)
	if rapid.Bool().Draw(t, "redelegate") {
		other, to := s.some(t)
		m := &registryv1.MsgRedelegate{Delegator: account(who).String(), NodeKey: public(name).String(), To: public(other).String(), Amount: amount}
		if s.try(t, m) {
			s.leave(a, to, who, amount, false)
		}
		return
	}
	if s.try(t, undelegate(who, name, amount)) {
		s.leave(a, nil, who, amount, false)
	}
}

func (s *stakers) claimSome(t *rapid.T) {
	who := someone(t)
	if rapid.Bool().Draw(t, "all") {
		if !s.try(t, claim(who, "")) {
			t.Fatal("nobody can be refused a claim of all")
		}
		for _, a := range s.actors {
			if a.holders[who] != nil {
				s.books.claim(a, who)
			}
		}
		return
	}
	name, a := s.some(t)
	if s.try(t, claim(who, name)) {
		s.books.claim(a, who)
	}
}

func (s *stakers) work(t *rapid.T) {
	name, a := s.some(t)
	amount := someAmount(t)
	fee := rapid.Uint64Range(0, 1000).Draw(t, "fee")
	err := s.app.Registry.Income(s.ctx, "gov", public(name), amount, fee)
	if (err == nil) != (a != nil) {
		t.Fatal(err)
	}
	if a != nil {
		s.income(a, amount, fee)
	}
}

func (s *stakers) punish(t *rapid.T) {
	name, a := s.some(t)
	rule := rapid.SampledFrom(s.params.Slashes).Draw(t, "cause")
	if seldom := rapid.IntRange(0, 5).Draw(t, "seldom"); seldom > 3 || rule.Cause == "everything" && seldom > 0 {
		return
	}
	x := registry.Slash{
		Node: public(name), Cause: rule.Cause, Evidence: []string{"x"}, Wronged: account(6),
		Bps:         rapid.Uint32Range(rule.MinBps, rule.MaxBps).Draw(t, "bps"),
		Restitution: rapid.Uint64Range(0, 3000).Draw(t, "restitution"),
	}
	id, err := s.app.Registry.Slash(s.ctx, x)
	if (err == nil) != (a != nil) {
		t.Fatal(err)
	}
	if a != nil {
		s.books.slash(id, a, uint64(x.Bps), x.Restitution, 6, rule.Refutes)
		s.slashID = id
		s.accepted["slash"]++
	}
}

func (s *stakers) judge(t *rapid.T) {
	if s.slashID == 0 {
		return
	}
	id := rapid.Uint64Range(max(s.slashID, 3)-2, s.slashID).Draw(t, "slash")
	var x *slashed
	for _, y := range s.slashes {
		if y.id == id {
			x = y
		}
	}
	if rapid.Bool().Draw(t, "appeal") {
		if s.try(t, &registryv1.MsgAppeal{Owner: account(x.from.owner).String(), Slash: id, Evidence: []string{"y"}}) {
			x.end += int64(s.params.ExtensionBlocks)
			x.from.frozen = max(x.from.frozen, x.end)
		}
		return
	}
	if s.try(t, &registryv1.MsgReverse{Authority: governance(), Slash: id, Evidence: []string{"z"}}) {
		s.reverse(x)
	}
}

func (s *stakers) owner(t *rapid.T) {
	name, a := s.some(t)
	if a == nil {
		return
	}
	by, key := account(a.owner).String(), public(name).String()
	s.try(t, &registryv1.MsgUnjail{Owner: by, NodeKey: key})
	bps := rapid.Uint32Range(0, 1500).Draw(t, "commission")
	if s.try(t, &registryv1.MsgSetCommission{Owner: by, NodeKey: key, CommissionBps: bps}) {
		a.commission = uint64(bps)
	}
	if err := s.app.Registry.Missed(s.ctx, public(name)); err != nil {
		t.Fatal(err)
	}
}

// pass lets blocks end.
func (s *stakers) pass(t *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(t, "blocks") {
		s.look()
		if err := registry.NewModule(s.app.Registry).EndBlock(s.ctx); err != nil {
			t.Fatal(err)
		}
		s.ctx = s.ctx.WithBlockHeight(s.ctx.BlockHeight() + 1)
		s.endBlock()
	}
}

// look takes over who is in jail.
func (s *stakers) look() {
	for _, a := range s.actors {
		if !a.closed {
			w, _, _ := s.app.Registry.Actor(s.ctx, public(a.name))
			s.jails[a] = w.JailedUntil != 0
		}
	}
}

// compare compares the two sets of books to the last uaim, and in every bit of fraction.
func (s *stakers) compare(t *rapid.T) {
	s.audit(t)
	s.look()
	for i := range accounts {
		if got := int64(s.world.balance(account(i))) - s.before[i]; got != s.books.balance[i] {
			t.Fatalf("account %d gained %d, the books say %d", i, got, s.books.balance[i])
		}
	}
	if burned := uint64(s.supply) - s.app.Bank.GetSupply(s.ctx, essaim.Denom).Amount.Uint64(); burned != s.burned {
		t.Fatalf("%d burned, the books say %d", burned, s.burned)
	}
	var g registryv1.GenesisState
	if err := s.app.Codec.UnmarshalJSON(registry.NewModule(s.app.Registry).ExportGenesis(s.ctx, s.app.Codec), &g); err != nil {
		t.Fatal(err)
	}
	for _, x := range g.Actors {
		a := s.actors[x.Id-1]
		if x.Pool.Stake != a.stake || x.Pool.Shares != a.shares || x.Pool.Leaving != a.out || x.Earned != a.earned || x.Closed != a.closed {
			t.Fatalf("%+v, the books say %+v", x, a)
		}
	}
	seen := 0
	for _, d := range g.Delegations {
		who, _ := essaim.ParseAddress(d.Delegator)
		h := s.actors[d.Actor-1].holders[int(who[19])]
		if h == nil || d.Shares != h.shares || int(d.Exits) != h.exits {
			t.Fatalf("%+v, the books say %+v", d, h)
		}
		if reward := rewardOf(g.Actors, d); reward.Cmp(h.reward) != 0 {
			t.Fatalf("%+v has rewards of %s/2⁶⁴, the books say %s", d, reward, h.reward)
		}
		seen++
	}
	for _, a := range s.actors {
		if seen -= len(a.holders); a.tidied && len(a.holders) > 0 {
			t.Fatalf("%s is gone and has holders", a.name)
		}
	}
	if seen != 0 {
		t.Fatalf("the ledger has %d delegations more than the books", seen)
	}
	if e := g.Emission; e.Epoch != s.epoch || e.NextPaid != s.paid || e.Fees != s.fees || e.Promised != s.promised {
		t.Fatalf("%+v, the books say %d %d %d %d", e, s.epoch, s.paid, s.fees, s.promised)
	}
}

// rewardOf is all that a delegation has earned and not claimed, in 2⁻⁶⁴ uaim.
func rewardOf(actors []registryv1.Actor, d registryv1.Delegation) *big.Int {
	fixed := func(hi, lo uint64) *big.Int {
		x := new(big.Int).Lsh(new(big.Int).SetUint64(hi), 64)
		return x.Add(x, new(big.Int).SetUint64(lo))
	}
	for _, a := range actors {
		if a.Id == d.Actor {
			since := new(big.Int).Sub(fixed(a.Pool.IndexHi, a.Pool.IndexLo), fixed(d.SeenHi, d.SeenLo))
			return since.Mul(since, new(big.Int).SetUint64(d.Shares)).Add(since, fixed(d.Pending, d.Fraction))
		}
	}
	return nil
}

// TestStakeIsExact compares the registry with the plain books over random schedules of
// everything that moves stake and rewards. The supply changes only by what is burned.
func TestStakeIsExact(t *testing.T) {
	base := newStake(t)
	p := stakeParams()
	p.AuditBlocks, p.EpochBlocks = 3, 4
	base.must(t, &registryv1.MsgUpdateParams{Authority: governance(), Params: p})
	n := registerMiner(account(3), "n")
	n.Bond, n.CommissionChangeBps = 2000, 300
	base.must(t, n)
	accepted, refusals := map[string]int{}, 0
	rapid.Check(t, func(t *rapid.T) {
		s := newStakers(base, accepted, p)
		t.Repeat(map[string]func(*rapid.T){
			"register": s.register, "retire": s.retire, "delegate": s.delegate, "delegate more": s.delegate,
			"undelegate": s.undelegate, "undelegate more": s.undelegate, "claim": s.claimSome, "work": s.work, "work more": s.work,
			"punish": s.punish, "judge": s.judge, "owner": s.owner, "pass": s.pass, "pass more": s.pass, "": s.compare,
		})
		refusals += s.refusals
	})
	t.Logf("%d refused, accepted: %v", refusals, accepted)
	if refusals > 500 && len(accepted) < 11 {
		t.Error("the schedules miss a message")
	}
}
