package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cosmossdk.io/math"
	cmttypes "github.com/cometbft/cometbft/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
)

// CheckInvariants recounts everything of the last committed state: what our modules hold
// against their books, and all balances against the supply.
func (a *App) CheckInvariants() error {
	ctx := a.NewContext(true).WithBlockHeight(a.LastBlockHeight())
	sum := math.ZeroInt()
	a.Bank.IterateAllBalances(ctx, func(_ sdk.AccAddress, c sdk.Coin) bool {
		if c.Denom == essaim.Denom {
			sum = sum.Add(c.Amount)
		}
		return false
	})
	var books error
	if supply := a.Bank.GetSupply(ctx, essaim.Denom).Amount; !supply.Equal(sum) {
		books = fmt.Errorf("accounts hold %s, the supply is %s", sum, supply)
	}
	return errors.Join(books, a.Registry.CheckInvariant(ctx), a.Market.CheckInvariant(ctx), a.Tally.CheckInvariant(ctx))
}

// Export writes the last committed state as the genesis of a chain that goes on from it:
// under another name, if the caller likes, and at the next height, so that expiries and
// unbonding heights keep their meaning. at is the new chain's first block time.
func (a *App) Export(chainID string, at time.Time) (*cmttypes.GenesisDoc, error) {
	height := a.LastBlockHeight()
	if height == 0 {
		return nil, fmt.Errorf("export: the chain has no block yet")
	}
	ctx := a.NewContext(true)
	state, err := a.modules.ExportGenesis(ctx, a.Codec)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	bz, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	params := cmttypes.ConsensusParamsFromProto(a.GetConsensusParams(ctx))
	doc := &cmttypes.GenesisDoc{
		ChainID: chainID, GenesisTime: at.UTC(), InitialHeight: height + 1,
		ConsensusParams: &params, AppState: bz,
	}
	return doc, doc.ValidateAndComplete()
}
