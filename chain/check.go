package chain

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	vesting "github.com/cosmos/cosmos-sdk/x/auth/vesting/exported"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/chain/x/tally"
)

// Summary is what a genesis gives to whom, in uaim. Supply is the sum of all.
type Summary struct {
	ChainID    string        `json:"chain_id"`
	Supply     essaim.Amount `json:"supply"`
	Validators int           `json:"validators"`
	Stake      essaim.Amount `json:"stake"` // of the validators
	Mining     essaim.Amount `json:"mining"`
	Staking    essaim.Amount `json:"staking"`
	Community  essaim.Amount `json:"community"`
	Locked     essaim.Amount `json:"locked"`   // in accounts that vest
	Accounts   essaim.Amount `json:"accounts"` // everything else
	Voting     time.Duration `json:"voting"`
	CapNeeds   int           `json:"cap_needs"` // how many accounts must vote for the house of stake to count
}

// Check begins a chain from a genesis file in memory, as a node would, and says what it
// gives to whom. Whatever a node refuses, it refuses: sums that do not match, unknown
// fields, a vote that takes longer than stake is locked.
//
// Errors: CodeNotFound if there is no such file, CodeBadInput for the rest.
func Check(file string) (Summary, error) {
	doc, err := cmttypes.GenesisDocFromFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Summary{}, essaim.Errorf(essaim.CodeNotFound, "name a genesis file", "no file %s", file)
	case err != nil:
		return Summary{}, essaim.Errorf(essaim.CodeBadInput, "", "genesis: %w", err)
	}
	s, err := check(doc)
	if err != nil {
		return s, essaim.Errorf(essaim.CodeBadInput, "", "genesis: %w", err)
	}
	return s, nil
}

func check(doc *cmttypes.GenesisDoc) (s Summary, err error) {
	defer func() { // modules panic in InitGenesis
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	a, err := New(Options{DB: dbm.NewMemDB(), ChainID: doc.ChainID})
	if err != nil {
		return s, err
	}
	defer a.Close()
	params := doc.ConsensusParams.ToProto()
	if _, err := a.InitChain(&abci.RequestInitChain{
		ChainId: doc.ChainID, Time: doc.GenesisTime, InitialHeight: doc.InitialHeight, ConsensusParams: &params, AppStateBytes: doc.AppState,
	}); err != nil {
		return s, err
	}
	if _, err := a.FinalizeBlock(&abci.RequestFinalizeBlock{Height: doc.InitialHeight, Time: doc.GenesisTime}); err != nil {
		return s, err
	}
	if _, err := a.Commit(); err != nil {
		return s, err
	}
	return a.summary(a.NewContext(true).WithBlockTime(doc.GenesisTime), doc.ChainID)
}

// summary is of the state after the first block, which moves the first part of the
// staking emission among the pots of x/distribution: the sum stays.
func (a *App) summary(ctx sdk.Context, chainID string) (Summary, error) {
	held := func(at sdk.AccAddress) essaim.Amount {
		return essaim.Amount(a.Bank.GetBalance(ctx, at, essaim.Denom).Amount.Uint64())
	}
	s := Summary{
		ChainID: chainID, Supply: essaim.Amount(a.Bank.GetSupply(ctx, essaim.Denom).Amount.Uint64()),
		Mining:    held(authtypes.NewModuleAddress(registry.EmissionName)),
		Staking:   held(authtypes.NewModuleAddress(minttypes.ModuleName)) + held(authtypes.NewModuleAddress(authtypes.FeeCollectorName)),
		Community: held(authtypes.NewModuleAddress(distrtypes.ModuleName)),
	}
	validators, err := a.Staking.GetAllValidators(ctx)
	if err != nil {
		return s, err
	}
	for _, v := range validators {
		s.Validators, s.Stake = s.Validators+1, s.Stake+essaim.Amount(v.Tokens.Uint64())
	}
	a.Account.IterateAccounts(ctx, func(acc sdk.AccountI) bool {
		if _, vests := acc.(vesting.VestingAccount); vests {
			s.Locked += held(acc.GetAddress())
		}
		return false
	})
	s.Accounts = s.Supply - s.Stake - s.Mining - s.Staking - s.Community - s.Locked
	votes, err := a.Gov.Params.Get(ctx)
	if err != nil {
		return s, err
	}
	counting, err := a.Tally.Params(ctx)
	s.Voting, s.CapNeeds = *votes.VotingPeriod, int((tally.MaxCap+counting.CapBps-1)/max(counting.CapBps, 1))
	return s, err
}
