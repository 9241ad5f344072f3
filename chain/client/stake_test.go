package client_test

import (
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/client"
)

// registerTwo puts two miners of account 0 on a bench.
func registerTwo(t *testing.T, c *client.Client) (m1, m2 essaim.NodeKey) {
	t.Helper()
	owner := account(t, 0)
	for _, name := range []string{"m1", "m2"} {
		a := essaim.Actor{NodeKey: public(name), HPKEKey: []byte{1}, Bond: 1000}
		if _, err := c.RegisterMiner(t.Context(), owner, a, possession(owner, essaim.RoleMiner, name)); err != nil {
			t.Fatal(err)
		}
	}
	return public("m1"), public("m2")
}

// TestStake tells the life of a delegation through every method of a staker.
func TestStake(t *testing.T) {
	b, by := newBench(t), account(t, 1)
	ctx, c := t.Context(), dial(t, b)
	m1, m2 := registerTwo(t, c)
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := c.Delegate(ctx, by, m1, 5000, false)
	ok("delegate", err)
	_, err = c.SetCompound(ctx, by, m1, true)
	ok("set compound", err)
	s, err := c.Standing(ctx, m1)
	ok("standing", err)
	shares, err := s.SharesFor(77)
	ok("shares", err)
	if s.Stake != 6000 || s.Bond != 1000 || s.Pool != 6000 || s.Shares != 6000 || shares != 77 || s.Held != 0 {
		t.Errorf("%+v, 77 uaim are %d shares", s, shares)
	}
	list, err := c.Standings(ctx, essaim.RoleMiner, 1)
	ok("standings", err)
	if len(list) != 1 || list[0].NodeKey != m1 {
		t.Errorf("most stake: %+v", list)
	}
	due, _, err := c.Redelegate(ctx, by, m1, m2, 2000)
	ok("redelegate", err)
	later, _, err := c.Undelegate(ctx, by, m1, 500)
	ok("undelegate", err)
	if later != due+1 {
		t.Errorf("due at %d and %d", due, later)
	}
	exits, err := c.Exits(ctx, by.Address())
	ok("exits", err)
	if len(exits) != 2 || exits[0].To != m2 || exits[0].Value != 2000 || exits[1].DueAt != later || !exits[1].To.IsZero() {
		t.Errorf("exits %+v", exits)
	}
	b.blocks(t, 5)
	held, err := c.Delegations(ctx, by.Address())
	ok("delegations", err)
	if len(held) != 2 || held[0].Value != 2500 || !held[0].Compound || held[1].Actor != m2 || held[1].Value != 2000 {
		t.Errorf("delegations %+v", held)
	}
	who, err := c.Delegators(ctx, m2, 0)
	ok("delegators", err)
	total, err := c.TotalStake(ctx)
	ok("total", err)
	if have, err := c.Balance(ctx, by.Address()); err != nil || have != rich-4500 || total != 6500 || len(who) != 2 {
		t.Errorf("holds %d (%v), all stake is %d, delegators %+v", have, err, total, who)
	}
	claimed, _, err := c.Claim(ctx, by, essaim.NodeKey{})
	if err != nil || claimed != (client.Claimed{}) {
		t.Errorf("claimed %+v, %v", claimed, err)
	}
	p, err := c.StakeParams(ctx)
	ok("params", err)
	e, err := c.Emission(ctx, 3)
	ok("emission", err)
	if none, err := c.Slashes(ctx, m1); err != nil || len(none) != 0 || p.UnbondingBlocks != 3 || e.Balance != 0 {
		t.Errorf("slashes %v %v, params %+v, emission %+v", none, err, p, e)
	}
}

// TestOwner: what owners do besides, and what the ledger refuses them and stakers.
func TestOwner(t *testing.T) {
	b, owner, by := newBench(t), account(t, 0), account(t, 1)
	ctx, c := t.Context(), dial(t, b)
	m1, m2 := registerTwo(t, c)
	want := func(what string, err error, code essaim.Code) {
		t.Helper()
		if err == nil || essaim.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	if _, _, err := c.RotateKey(ctx, owner, m1, public("new"), possession(owner, essaim.RoleMiner, "new")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Standing(ctx, m1); essaim.CodeOf(err) != essaim.CodeNotFound { // no overlap here
		t.Errorf("the old key: %v", err)
	}
	_, err := c.Away(ctx, owner, m2, 10, 20)
	want("away", err, essaim.CodeBadInput)
	_, err = c.SetCommission(ctx, owner, m2, 100)
	want("commission", err, essaim.CodeBadInput)
	_, err = c.Unjail(ctx, owner, m2)
	want("unjail", err, essaim.CodeConflict)
	_, err = c.Unjail(ctx, by, m2)
	want("unjail another's", err, essaim.CodeRefused)
	_, _, err = c.Appeal(ctx, owner, 7, []string{"bafk"})
	want("appeal", err, essaim.CodeNotFound)
	_, err = c.Slash(ctx, 7)
	want("slash", err, essaim.CodeNotFound)
	_, _, err = c.Undelegate(ctx, by, m2, 5)
	want("undelegate nothing", err, essaim.CodeConflict)
	_, err = c.Delegate(ctx, by, m2, rich+1, false)
	want("delegate too much", err, essaim.CodeInsufficient)
	if _, err := c.Retire(ctx, owner, m2); err != nil {
		t.Fatal(err)
	}
	_, err = c.Delegate(ctx, by, m2, 5, false)
	want("delegate on a retired actor", err, essaim.CodeConflict)
	_, _, err = c.Redelegate(ctx, owner, public("new"), m2, 5)
	want("redelegate to a retired actor", err, essaim.CodeConflict)
}

// mute is a signer that must not sign.
type mute struct{ key }

func (mute) Sign([]byte) ([]byte, error) { panic("asked to sign") }

// TestTrial: a trial answers and fails like the real thing, and nothing has happened.
func TestTrial(t *testing.T) {
	b, by := newBench(t), mute{account(t, 1)}
	ctx, c := t.Context(), dial(t, b)
	m1, _ := registerTwo(t, c)
	b.blocks(t, 1)
	tx, err := c.Trial().Delegate(ctx, by, m1, 5000, true)
	if err != nil || tx.Gas == 0 || tx.Hash != "" || tx.Height != 0 {
		t.Fatalf("%+v, %v", tx, err)
	}
	if _, err := c.Trial().Delegate(ctx, by, m1, rich+1, true); essaim.CodeOf(err) != essaim.CodeInsufficient {
		t.Error(err)
	}
	if _, err := c.Trial().Delegate(ctx, by, essaim.NodeKey{1}, 1, true); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Error(err)
	}
	if _, _, err := c.Trial().Undelegate(ctx, account(t, 0), m1, 0); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Error(err) // the bond must stay
	}
	if s, err := c.Standing(ctx, m1); err != nil || s.Stake != 1000 {
		t.Errorf("stake %d, %v", s.Stake, err)
	}
	b.blocks(t, 1)
	sent, err := c.Delegate(ctx, account(t, 1), m1, 5000, true)
	if err != nil || sent.Gas == 0 || sent.Gas > 2*tx.Gas || tx.Gas > 2*sent.Gas {
		t.Errorf("gas %d, in the trial %d; %v", sent.Gas, tx.Gas, err)
	}
}
