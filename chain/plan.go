package chain

import (
	"fmt"
	"math/bits"
	"time"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	vestingtypes "github.com/cosmos/cosmos-sdk/x/auth/vesting/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry"
)

// Plan says who gets what of the coins when a public network begins. Its parts add up to
// the whole supply, to the last uaim; nothing is ever minted afterwards.
type Plan struct {
	Supply essaim.Amount
	Parts  []Part
	// Start names the part that the validators' first stakes, and the accounts of the
	// genesis, are taken out of.
	Start string
}

// Part is one line of the plan.
type Part struct {
	Name  string     `json:"name"`
	Share essaim.Bps `json:"share_bps"` // of the supply
	Pot   Pot        `json:"pot"`
	// Cliff and Vesting are counted from the genesis: nothing is free before the cliff,
	// then it becomes free evenly until Vesting is over. 0: free at once.
	Cliff   time.Duration `json:"cliff"`
	Vesting time.Duration `json:"vesting"`
}

// Pot is where a part lies.
type Pot string

// Where a part lies.
const (
	PotAccount   Pot = "account"   // an account that Genesis.Holders names
	PotMining    Pot = "mining"    // pays miners for verified work, at most a part of its fees
	PotStaking   Pot = "staking"   // pays validators and their delegators, see payStakers
	PotCommunity Pot = "community" // spent by governance
)

// DefaultPlan is the public network's; docs/governance.md says where the shares come from.
func DefaultPlan() Plan {
	const year = 365 * 24 * time.Hour
	return Plan{Supply: 1_000_000_000 * essaim.AIM, Start: "ecosystem", Parts: []Part{
		{Name: "mining emission", Share: 3000, Pot: PotMining},
		{Name: "staking emission", Share: 1100, Pot: PotStaking},
		{Name: "faucet and airdrop", Share: 500, Pot: PotAccount},
		{Name: "grants", Share: 500, Pot: PotAccount},
		{Name: "team", Share: 2000, Pot: PotAccount, Cliff: year, Vesting: 4 * year},
		{Name: "ecosystem", Share: 2000, Pot: PotAccount, Vesting: 4 * year},
		{Name: "community pool", Share: 900, Pot: PotCommunity},
	}}
}

// Amounts are what the parts come to, in their order.
//
// Errors: the shares do not add up to 100 %, or an amount is not a whole number of uaim.
func (p Plan) Amounts() ([]essaim.Amount, error) {
	var shares essaim.Bps
	var out []essaim.Amount
	for _, part := range p.Parts {
		shares += part.Share
		hi, lo := bits.Mul64(uint64(p.Supply), uint64(part.Share))
		if part.Share > 10_000 {
			return nil, fmt.Errorf("plan: %s is above the supply", part.Name)
		}
		amount, rest := bits.Div64(hi, lo, 10_000)
		if rest != 0 {
			return nil, fmt.Errorf("plan: %s is not a whole number of uaim", part.Name)
		}
		out = append(out, essaim.Amount(amount))
	}
	if shares != 10_000 {
		return nil, fmt.Errorf("plan: the shares add up to %d basis points, not 10000", shares)
	}
	return out, nil
}

// fill puts the plan's coins into the book, and returns the community pool. spent is what
// validators and accounts begin with.
func (p Plan) fill(g Genesis, b *book, spent essaim.Amount) (community essaim.Amount, err error) {
	amounts, err := p.Amounts()
	if err != nil {
		return 0, err
	}
	started := false
	for i, part := range p.Parts {
		amount := amounts[i]
		if part.Name == p.Start {
			if spent > amount {
				return 0, fmt.Errorf("plan: validators and accounts begin with %s, %s has %s", spent, part.Name, amount)
			}
			amount, started = amount-spent, true
		}
		switch part.Pot {
		case PotMining:
			b.fund(authtypes.NewModuleAddress(registry.EmissionName), amount)
		case PotStaking:
			b.fund(authtypes.NewModuleAddress(minttypes.ModuleName), amount)
		case PotCommunity:
			b.fund(authtypes.NewModuleAddress(distrtypes.ModuleName), amount)
			community += amount
		default:
			if err := g.hold(b, part, amount); err != nil {
				return 0, err
			}
		}
	}
	if !started && spent > 0 {
		return 0, fmt.Errorf("plan: no part is named %q, which the first stakes come out of", p.Start)
	}
	return community, nil
}

// hold gives a part to its account, which vests if the part does. Coins that vest can be
// delegated to validators, and so vote; they cannot be spent, nor back miners.
func (g Genesis) hold(b *book, part Part, amount essaim.Amount) error {
	holder, ok := g.Holders[part.Name]
	if !ok || holder.IsZero() {
		return fmt.Errorf("plan: no account is named to hold %q", part.Name)
	}
	if _, known := b.at[sdk.AccAddress(holder[:]).String()]; known {
		return fmt.Errorf("plan: %s, which holds %q, holds something else too", holder, part.Name)
	}
	b.account(holder, amount)
	if part.Vesting == 0 {
		return nil
	}
	last := len(b.accounts) - 1
	coins := sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uint64(amount))))
	v, err := vestingtypes.NewContinuousVestingAccount(b.accounts[last].(*authtypes.BaseAccount), coins,
		g.Time.Add(part.Cliff).Unix(), g.Time.Add(part.Vesting).Unix())
	if err != nil {
		return fmt.Errorf("plan: %s: %w", part.Name, err)
	}
	b.accounts[last] = v
	return nil
}
