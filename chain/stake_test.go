package chain_test

import (
	"errors"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// stakeParams are small enough that a test sees every rule.
func stakeParams() registryv1.Params {
	return registryv1.Params{
		MinBondMiner: 1000, MinBondCoordinator: 20_000, UnbondingBlocks: 10, CommissionChangeBps: 500,
		EpochBlocks: 20, EmissionPerEpoch: 1_000_000, EmissionBps: 8000,
		Slashes: []registryv1.SlashRule{
			{Cause: registry.CauseWrongResult, MinBps: 500, MaxBps: 500, JailBlocks: 7, Refutes: true},
			{Cause: registry.CauseStatistical, MinBps: 500, MaxBps: 2000, JailBlocks: 3, Refutes: true},
			{Cause: registry.CauseMissedDuty, MinBps: 10, MaxBps: 10},
			{Cause: "everything", MinBps: 10_000, MaxBps: 10_000, JailBlocks: 5},
		},
		AppealBlocks: 5, ExtensionBlocks: 8, MissedMax: 2, MissedBlocks: 10, MissedJailBlocks: 4,
		AwayBlocks: 10, AwayNoticeBlocks: 2, CoverCoordinator: 10, CoverMinerBps: 5000, RotationBlocks: 6,
	}
}

// newStake is a world with these parameters, coins to earn, and a miner m of account 2
// that takes 10 % commission, backed by account 3 with as much as its bond.
func newStake(t testing.TB) *world {
	t.Helper()
	g := genesis()
	p := stakeParams()
	g.Registry, g.Emission = &p, emission
	w := newWorldOf(t, g)
	to := authtypes.NewModuleAddress("gov")
	from := account(7)
	if err := w.app.Bank.SendCoins(w.ctx, from[:], to, sdk.NewCoins(sdk.NewInt64Coin(essaim.Denom, 100_000_000))); err != nil {
		t.Fatal(err)
	}
	m := registerMiner(account(2), "m")
	m.Bond, m.CommissionBps, m.CommissionChangeBps = 10_000, 1000, 300
	w.must(t, m)
	w.must(t, delegate(3, "m", 10_000))
	return w
}

const emission = 5_000_000

func delegate(i int, node string, amount uint64) *registryv1.MsgDelegate {
	return &registryv1.MsgDelegate{Delegator: account(i).String(), NodeKey: public(node).String(), Amount: amount}
}

func undelegate(i int, node string, amount uint64) *registryv1.MsgUndelegate {
	return &registryv1.MsgUndelegate{Delegator: account(i).String(), NodeKey: public(node).String(), Amount: amount}
}

func claim(i int, node string) *registryv1.MsgClaim {
	m := &registryv1.MsgClaim{Delegator: account(i).String()}
	if node != "" {
		m.NodeKey = public(node).String()
	}
	return m
}

// earn pays an actor as the market would.
func (w *world) earn(t testing.TB, node string, amount, fee uint64) {
	t.Helper()
	if err := w.app.Registry.Income(w.ctx, "gov", public(node), amount, fee); err != nil {
		t.Fatal(err)
	}
}

func (w *world) slash(t testing.TB, node, cause string) uint64 {
	t.Helper()
	id, err := w.app.Registry.Slash(w.ctx, registry.Slash{Node: public(node), Cause: cause, Evidence: []string{"bafkevidence"}, Method: "replica"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *world) actor(t testing.TB, node string) essaim.Actor {
	t.Helper()
	a, ok, err := w.app.Registry.Actor(w.ctx, public(node))
	if err != nil || !ok {
		t.Fatal(node, ok, err)
	}
	return a
}

// audit is check where slashes may burn.
func (w *world) audit(t interface{ Fatal(...any) }) {
	if err := w.app.Registry.CheckInvariant(w.ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.app.Market.CheckInvariant(w.ctx); err != nil {
		t.Fatal(err)
	}
}

// gains runs a message and returns what an account has more afterwards.
func (w *world) gains(t testing.TB, i int, msg sdk.Msg) int64 {
	t.Helper()
	before := w.balance(account(i))
	w.must(t, msg)
	w.audit(t)
	return int64(w.balance(account(i))) - int64(before)
}

func TestIncomeIsShared(t *testing.T) {
	w := newStake(t)
	w.earn(t, "m", 1001, 0) // 100 commission, 901 over 20,000 shares
	w.audit(t)
	if got := w.gains(t, 3, claim(3, "m")); got != 450 {
		t.Errorf("delegator got %d", got)
	}
	if got := w.gains(t, 2, claim(2, "")); got != 550 {
		t.Errorf("owner got %d", got)
	}
	w.earn(t, "m", 12, 0) // half a uaim was left to each, less what no division can share
	if got := w.gains(t, 3, claim(3, "m")); got != 5 {
		t.Errorf("delegator got %d", got)
	}
	if owned, err := w.app.Registry.Owned(w.ctx, account(3)); err != nil || owned != 10_000 {
		t.Error(owned, err)
	}
	if total, err := w.app.Registry.TotalStake(w.ctx); err != nil || total != 20_000 {
		t.Error(total, err)
	}
}

func TestLeavingIsSlashed(t *testing.T) {
	w := newStake(t)
	w.must(t, undelegate(3, "m", 4000))
	w.earn(t, "m", 16_000, 0) // the leaving 4,000 earn nothing: 14,400 over 16,000 shares
	if got := w.gains(t, 3, claim(3, "")); got != 5399 {
		t.Errorf("delegator got %d", got)
	}
	w.slash(t, "m", registry.CauseWrongResult)
	if a := w.actor(t, "m"); a.Bond != 9500 || a.Stake != 15_200 || a.JailedUntil != 9 {
		t.Errorf("%+v", a)
	}
	before := w.balance(account(3))
	w.advance(t, 13)
	if got := w.balance(account(3)) - before; got != 3800 {
		t.Errorf("exit paid %d", got)
	}
	w.audit(t)
	w.supply -= 1000 // 5 % of all that was there is burned, also of what was leaving
	w.check(t)
}

func TestReversalGivesAllBack(t *testing.T) {
	w := newStake(t)
	w.must(t, undelegate(3, "m", 0))
	a := w.slash(t, "m", registry.CauseWrongResult)
	b := w.slash(t, "m", registry.CauseStatistical)
	refused(t, w, delegate(4, "m", 5), registry.ErrJailed)
	refused(t, w, &registryv1.MsgAddBond{Owner: account(2).String(), NodeKey: public("m").String(), Amount: 1}, registry.ErrFrozen)
	w.must(t, &registryv1.MsgAppeal{Owner: account(2).String(), Slash: b, Evidence: []string{"bafkcounter"}}) // until 15
	before := w.balance(account(3))
	w.advance(t, 14)
	w.audit(t)
	if w.balance(account(3)) != before {
		t.Error("a frozen pool paid out")
	}
	w.supply -= 1000
	refused(t, w, &registryv1.MsgReverse{Authority: governance(), Slash: a, Evidence: []string{"x"}}, registry.ErrEnded)
	w.must(t, &registryv1.MsgReverse{Authority: governance(), Slash: b, Evidence: []string{"bafkproof"}})
	w.audit(t)
	if got := w.actor(t, "m"); got.Bond != 9500 || got.JailedUntil != 9 {
		t.Errorf("%+v", got)
	}
	w.advance(t, 17)
	if got := w.balance(account(3)) - before; got != 9500 {
		t.Errorf("exit paid %d", got)
	}
	w.must(t, &registryv1.MsgUnjail{Owner: account(2).String(), NodeKey: public("m").String()})
	w.audit(t)
}

func TestRetiredPaysEverybodyOut(t *testing.T) {
	w := newStake(t)
	w.must(t, &registryv1.MsgRetire{Owner: account(2).String(), NodeKey: public("m").String()})
	w.must(t, undelegate(3, "m", 2500))
	w.earn(t, "m", 1000, 0)
	refused(t, w, delegate(4, "m", 5), registry.ErrRetired)
	w.advance(t, 13)
	w.audit(t)
	if got := w.balance(account(3)); got != rich+899 { // and the owner has what no division could share
		t.Errorf("delegator has %d", got)
	}
	if got := w.balance(account(2)); got != rich+101 {
		t.Errorf("owner has %d", got)
	}
	if _, ok, err := w.app.Registry.Actor(w.ctx, public("m")); ok || err != nil {
		t.Error("still there", err)
	}
	if err := w.app.Registry.Income(w.ctx, "gov", public("m"), 5, 0); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	w.must(t, registerMiner(account(4), "m"))
	w.audit(t)
}
