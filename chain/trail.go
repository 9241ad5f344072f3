package chain

import (
	"context"
	"fmt"
	"strconv"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/cosmos/cosmos-sdk/baseapp/txnrunner"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"

	"github.com/essaim/essaim/chain/x/trail"
	"github.com/essaim/essaim/gen/chain/trailv1"
)

// block collects what one block emits, for the trail. Each part is overwritten by the
// next block, so a block that is run twice is recorded once.
//
// It takes transactions' results from where the application hands them to CometBFT. A
// post handler would be nearer to the SDK's ways, but runs before the block's gas is
// charged, which can still undo the transaction.
type block struct {
	sdk.TxRunner
	before []abci.Event
	txs    []*abci.ExecTxResult
}

func newBlock(decode sdk.TxDecoder) *block {
	return &block{TxRunner: txnrunner.NewDefaultRunner(decode)}
}

// Run runs a block's transactions and keeps their results. What the proposer put in front is
// no transaction: it has an empty result, so that the others keep their numbers.
func (b *block) Run(ctx context.Context, ms storetypes.MultiStore, txs [][]byte, deliver sdk.DeliverTxFunc) ([]*abci.ExecTxResult, error) {
	var front []*abci.ExecTxResult
	if len(txs) > 0 && isInjected(txs[0]) {
		front, txs = []*abci.ExecTxResult{{}}, txs[1:]
	}
	results, err := b.TxRunner.Run(ctx, ms, txs, deliver)
	results = append(front, results...)
	b.txs = results
	return results, err
}

func (a *App) preBlock(ctx sdk.Context, request *abci.RequestFinalizeBlock) (*sdk.ResponsePreBlock, error) {
	r, err := a.modules.PreBlock(ctx)
	if err == nil {
		err = a.advance(ctx, request)
	}
	a.block.before = ctx.EventManager().ABCIEvents()
	return r, err
}

func (a *App) beginBlock(ctx sdk.Context) (sdk.BeginBlock, error) {
	r, err := a.modules.BeginBlock(ctx)
	a.block.before = append(a.block.before, r.Events...)
	return r, err
}

// endBlock writes the trail after everything else: nothing that a block emits comes later.
func (a *App) endBlock(ctx sdk.Context) (sdk.EndBlock, error) {
	end, err := a.modules.EndBlock(ctx)
	if err != nil {
		return end, err
	}
	executed, err := a.executed(ctx, end.Events)
	if err != nil {
		return end, err
	}
	end.Events = append(end.Events, executed...)
	return end, a.trail.Write(ctx, trail.Records(a.block.before, a.block.txs, end.Events))
}

// executed tells, for each proposal that was accepted in a block, what it has changed: the
// SDK's events name the proposal only.
func (a *App) executed(ctx sdk.Context, events []abci.Event) ([]abci.Event, error) {
	emitted := sdk.NewEventManager()
	for _, e := range events {
		id, ok := passed(e)
		if !ok {
			continue
		}
		proposal, err := a.Gov.Proposals.Get(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("proposal %d: %w", id, err)
		}
		messages, err := proposal.GetMsgs()
		if err != nil {
			return nil, fmt.Errorf("proposal %d: %w", id, err)
		}
		event := &trailv1.EventExecuted{Proposal: id}
		for _, m := range messages {
			bz, err := a.Codec.MarshalInterfaceJSON(m)
			if err != nil {
				return nil, fmt.Errorf("proposal %d: %w", id, err)
			}
			text, ok := trail.Canonical(string(bz))
			if !ok {
				text = string(bz)
			}
			event.Messages = append(event.Messages, text)
		}
		if err := emitted.EmitTypedEvent(event); err != nil {
			return nil, err
		}
	}
	return emitted.ABCIEvents(), nil
}

// passed reads an event of x/gov that says that a proposal was accepted and executed.
func passed(e abci.Event) (id uint64, ok bool) {
	if e.Type != govtypes.EventTypeActiveProposal {
		return 0, false
	}
	for _, a := range e.Attributes {
		switch a.Key {
		case govtypes.AttributeKeyProposalResult:
			ok = a.Value == govtypes.AttributeValueProposalPassed
		case govtypes.AttributeKeyProposalID:
			id, _ = strconv.ParseUint(a.Value, 10, 64) // x/gov writes a number
		}
	}
	return id, ok
}
