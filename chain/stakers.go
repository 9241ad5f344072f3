package chain

import (
	"context"
	"fmt"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	mintkeeper "github.com/cosmos/cosmos-sdk/x/mint/keeper"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	stakingkeeper "github.com/cosmos/cosmos-sdk/x/staking/keeper"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/essaim/essaim"
)

// validators tells x/tally what accounts have bonded to validators that are at work.
type validators struct{ *stakingkeeper.Keeper }

// Owned adds up an account's own delegations. It reads one entry for each validator that
// the account delegates to, and the transaction pays gas for it.
func (v validators) Owned(ctx context.Context, account essaim.Address) (uint64, error) {
	sum := math.ZeroInt()
	var failed error
	err := v.IterateDelegatorDelegations(ctx, account[:], func(d stakingtypes.Delegation) bool {
		operator, err := v.ValidatorAddressCodec().StringToBytes(d.ValidatorAddress)
		if err != nil {
			failed = err
			return true
		}
		val, err := v.GetValidator(ctx, operator)
		if err != nil {
			failed = err
			return true
		}
		if val.IsBonded() {
			sum = sum.Add(val.TokensFromShares(d.Shares).TruncateInt())
		}
		return false
	})
	if err == nil {
		err = failed
	}
	return amount(sum, err)
}

// TotalStake is what all working validators hold.
func (v validators) TotalStake(ctx context.Context) (uint64, error) {
	return amount(v.TotalValidatorPower(ctx))
}

func amount(n math.Int, err error) (uint64, error) {
	switch {
	case err != nil:
		return 0, err
	case !n.IsUint64():
		return 0, fmt.Errorf("stake of %s uaim is out of range", n)
	}
	return n.Uint64(), nil
}

// stakingYears is how long the staking emission would last at today's rate: each block
// pays what is left, divided by so many years of blocks. It never ends, and never pays
// more than there is.
const stakingYears = 8

// payStakers takes the place of minting: x/mint's account holds the staking emission from
// genesis, and each block a part of it joins the fees that x/distribution shares among
// validators and their delegators. Nothing is ever minted; the account may not.
func payStakers(bank bankkeeper.Keeper, accounts interface{ GetModuleAddress(string) sdk.AccAddress }) mintkeeper.MintFn {
	return func(ctx sdk.Context, k *mintkeeper.Keeper) error {
		p, err := k.Params.Get(ctx)
		if err != nil {
			return err
		}
		left := bank.GetBalance(ctx, accounts.GetModuleAddress(minttypes.ModuleName), essaim.Denom).Amount
		part := left.Quo(math.NewIntFromUint64(p.BlocksPerYear).MulRaw(stakingYears))
		if part.IsZero() {
			return nil
		}
		return k.AddCollectedFees(ctx, sdk.NewCoins(sdk.NewCoin(essaim.Denom, part)))
	}
}
