package chain

import (
	"encoding/json"
	"fmt"
	"time"

	cmttypes "github.com/cometbft/cometbft/types"
)

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
