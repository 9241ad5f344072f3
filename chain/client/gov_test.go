package client_test

import (
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/client"
)

// TestGovernance proposes, deposits, votes and reads, on a running chain.
func TestGovernance(t *testing.T) {
	b := newBench(t)
	ctx, c, by := t.Context(), dial(t, b), account(t, 0)
	d := client.Draft{Title: "a title", Summary: "a summary", Deposit: 4 * essaim.AIM}
	id, _, err := c.ProposeText(ctx, by, d)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := c.Proposal(ctx, id); err != nil || p.Status != "deposit" || p.Title != d.Title || p.Deposit != 4*essaim.AIM || p.Outcome != nil {
		t.Fatalf("%+v %v", p, err)
	}
	if _, err := c.Deposit(ctx, account(t, 1), id, 6*essaim.AIM); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Vote(ctx, by, id, client.Choice{Option: "yes", Weight: 2500}, client.Choice{Option: "veto", Weight: 7500}); err != nil {
		t.Fatal(err)
	}
	p, err := c.Proposal(ctx, id)
	if err != nil || p.Status != "voting" || p.Outcome == nil || !p.Outcome.Stake.Seated || p.Outcome.Work.Seated || p.Until.IsZero() {
		t.Fatalf("%+v %v", p, err)
	}
	d.Deposit = 10 * essaim.AIM
	for _, propose := range []func() (uint64, essaim.Tx, error){
		func() (uint64, essaim.Tx, error) { return c.ProposeSpend(ctx, by, d, essaim.Address{1}, 5) },
		func() (uint64, essaim.Tx, error) { return c.ProposeUpgrade(ctx, by, d, "next", 1_000_000, "where") },
		func() (uint64, essaim.Tx, error) {
			return c.ProposeParams(ctx, by, d, "tally", []byte(`{"cap_bps":400}`))
		},
		func() (uint64, essaim.Tx, error) {
			return c.ProposeParams(ctx, by, d, "gov", []byte(`{"quorum":"0.4"}`))
		},
	} {
		if _, _, err := propose(); err != nil {
			t.Error(err)
		}
	}
	list, err := c.Proposals(ctx)
	if err != nil || len(list) != 5 {
		t.Fatal(len(list), err)
	}
	if m := string(list[3].Messages); !strings.Contains(m, `"cap_bps":400`) || !strings.Contains(m, `"half_life_blocks":"1500000"`) {
		t.Errorf("the other parameters did not stay: %s", m)
	}
	if w, err := c.VotingPower(ctx, by.Address()); err != nil || w.TotalStake == 0 || w.Stake != 0 {
		t.Error(w, err)
	}
	for _, module := range client.Governed() {
		if params, err := c.Params(ctx, module); err != nil || len(params) < 10 {
			t.Errorf("%s: %s %v", module, params, err)
		}
	}
	for what, err := range map[string]error{
		"no module":    second(c.Params(ctx, "nothing")),
		"no parameter": third(c.ProposeParams(ctx, by, d, "tally", []byte(`{"nothing":1}`))),
		"no weight":    second(c.Vote(ctx, by, id, client.Choice{Option: "yes", Weight: 9999})),
		"no option":    second(c.Vote(ctx, by, id, client.Choice{Option: "maybe", Weight: 10_000})),
		"no title":     third(c.ProposeText(ctx, by, client.Draft{})),
	} {
		if essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.Proposal(ctx, 99); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Error(err)
	}
}

func second[A any](_ A, err error) error { return err }

func third[A, B any](_ A, _ B, err error) error { return err }
