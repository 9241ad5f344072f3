package chain_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/x/registry"
)

func planned() chain.Genesis {
	plan := chain.DefaultPlan()
	g := genesis()
	g.Plan, g.Registry, g.Market, g.Models, g.Accounts = &plan, nil, nil, nil, nil
	g.Holders = map[string]essaim.Address{}
	for i, name := range []string{"faucet and airdrop", "grants", "team", "ecosystem"} {
		g.Holders[name] = account(i)
	}
	return g
}

// TestPlan: the default plan gives away exactly the supply, locks what vests, and is an
// unbroken genesis.
func TestPlan(t *testing.T) {
	plan := chain.DefaultPlan()
	amounts, err := plan.Amounts()
	if err != nil {
		t.Fatal(err)
	}
	var sum essaim.Amount
	for _, a := range amounts {
		sum += a
	}
	if sum != 1_000_000_000*essaim.AIM || sum != plan.Supply {
		t.Errorf("the parts come to %s", sum)
	}
	w := newWorldOf(t, planned())
	if got := w.coins(); got != plan.Supply {
		t.Errorf("supply %s", got)
	}
	for _, tt := range []struct {
		name string
		at   essaim.Address
		want essaim.Amount
	}{
		{"faucet", account(0), 50_000_000 * essaim.AIM},
		{"team", account(2), 200_000_000 * essaim.AIM},
		{"ecosystem, less the first stakes", account(3), 200_000_000*essaim.AIM - 101*essaim.AIM},
		{"mining", essaim.Address(authtypes.NewModuleAddress(registry.EmissionName)), 300_000_000 * essaim.AIM},
	} {
		if got := w.balance(tt.at); got != tt.want {
			t.Errorf("%s has %s, want %s", tt.name, got, tt.want)
		}
	}
	start := planned().Time
	const year = 365 * 24 * time.Hour
	for _, tt := range []struct {
		after time.Duration
		free  essaim.Amount
	}{{0, 0}, {year, 0}, {year + year*3/2, 100_000_000 * essaim.AIM}, {4 * year, 200_000_000 * essaim.AIM}} {
		ctx := w.ctx.WithBlockTime(start.Add(tt.after))
		if got := w.app.Bank.SpendableCoins(ctx, addr(2)).AmountOf(essaim.Denom).Uint64(); got != uint64(tt.free) {
			t.Errorf("after %s, %s of the team's coins are free, want %s", tt.after, essaim.Amount(got), tt.free)
		}
	}
	send := banktypes.NewMsgSend(addr(2), addr(0), sdk.NewCoins(sdk.NewInt64Coin(essaim.Denom, 1)))
	if _, err := w.do(send); err == nil {
		t.Error("locked coins were sent")
	}
}

// TestPlanRefused: a plan that does not add up, or whose parts nobody holds, is no genesis.
func TestPlanRefused(t *testing.T) {
	for _, tt := range []struct {
		spoil func(*chain.Genesis)
		want  string
	}{
		{func(g *chain.Genesis) { g.Plan.Parts[6].Share = 1000 }, "10100 basis points"},
		{func(g *chain.Genesis) { g.Plan.Supply = 1 }, "whole number"},
		{func(g *chain.Genesis) { delete(g.Holders, "team") }, `hold "team"`},
		{func(g *chain.Genesis) { g.Holders["team"] = g.Holders["grants"] }, "something else too"},
		{func(g *chain.Genesis) { g.Validators[0].Stake = 200_000_001 * essaim.AIM }, "begin with"},
		{func(g *chain.Genesis) { g.Plan.Start = "nobody" }, "no part"},
	} {
		g := planned()
		tt.spoil(&g)
		if _, err := g.Doc(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

// TestStakingEmission: each block pays the stakers the part of what is left that eight
// years of blocks make, the supply stays, and inflation cannot be switched on.
func TestStakingEmission(t *testing.T) {
	w := newWorldOf(t, planned())
	pot := essaim.Address(authtypes.NewModuleAddress(minttypes.ModuleName))
	left := w.balance(pot)
	for h := int64(2); h < 6; h++ {
		if _, err := w.app.FinalizeBlock(&abci.RequestFinalizeBlock{Height: h, Time: planned().Time.Add(time.Duration(h) * time.Second)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.app.Commit(); err != nil {
			t.Fatal(err)
		}
		w.ctx = w.app.NewContext(true)
		want := left - left/essaim.Amount(8*minttypes.DefaultParams().BlocksPerYear)
		if left = w.balance(pot); left != want {
			t.Fatalf("height %d: %s left, want %s", h, left, want)
		}
	}
	if got := w.coins(); got != chain.DefaultPlan().Supply {
		t.Errorf("supply %s", got)
	}
}

// TestCheck: a good file is summed up to the last uaim, a spoilt one is refused.
func TestCheck(t *testing.T) {
	doc, err := planned().Doc()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "genesis.json")
	if err := doc.SaveAs(file); err != nil {
		t.Fatal(err)
	}
	s, err := chain.Check(file)
	if err != nil {
		t.Fatal(err)
	}
	if s.Supply != chain.DefaultPlan().Supply || s.Mining+s.Staking != 410_000_000*essaim.AIM || s.Community != 90_000_000*essaim.AIM ||
		s.Locked != 400_000_000*essaim.AIM-101*essaim.AIM || s.Accounts != 100_000_000*essaim.AIM+essaim.AIM || s.Validators != 1 || s.CapNeeds != 20 {
		t.Errorf("%+v", s)
	}
	good := string(doc.AppState)
	for what, spoil := range map[string][2]string{
		"a vote longer than stake is locked": {`"voting_period":"172800s"`, `"voting_period":"1728000s"`},
		"a supply that is not the sum":       {`"supply":[{"denom":"uaim","amount":"1000`, `"supply":[{"denom":"uaim","amount":"1001`},
		"a cap out of bounds":                {`"cap_bps":500`, `"cap_bps":5`},
	} {
		doc.AppState = []byte(strings.Replace(good, spoil[0], spoil[1], 1))
		if string(doc.AppState) == good {
			t.Fatalf("%s: nothing to spoil", what)
		}
		if err := doc.SaveAs(file); err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Check(file); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := chain.Check(file + ".not"); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Error(err)
	}
}
