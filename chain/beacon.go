package chain

import (
	"bytes"
	"errors"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/cosmos/cosmos-sdk/baseapp"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim/chain/x/beacon"
)

// Prover is what a validator's node proves with. Without one it votes without proofs.
type Prover struct {
	Validator sdk.ConsAddress // who it votes as
	Secret    beacon.Secret
}

// extensionsFrom is the height from which votes carry extensions, on chains that begin now.
const extensionsFrom = 1

// injectedPrefix begins what a proposer puts in front of a block: the extended commit for
// the block before. It cannot begin a transaction, since no field has number 0.
var injectedPrefix = []byte("\x00essaim-beacon\x00")

// proveVotes ties x/beacon to consensus.
func (a *App) proveVotes(p *Prover) {
	stock := baseapp.NewDefaultProposalHandler(a.Mempool(), a)
	a.SetExtendVoteHandler(func(ctx sdk.Context, r *abci.RequestExtendVote) (*abci.ResponseExtendVote, error) {
		if p == nil {
			return &abci.ResponseExtendVote{}, nil
		}
		proof, err := a.Beacon.Extend(ctx, p.Validator, p.Secret, r.Height)
		return &abci.ResponseExtendVote{VoteExtension: proof}, err
	})
	a.SetVerifyVoteExtensionHandler(a.verifyVote)
	a.SetPrepareProposal(prepare(stock.PrepareProposalHandler()))
	a.SetProcessProposal(a.process(stock.ProcessProposalHandler()))
}

func (a *App) verifyVote(ctx sdk.Context, r *abci.RequestVerifyVoteExtension) (*abci.ResponseVerifyVoteExtension, error) {
	ok, err := a.Beacon.Acceptable(ctx, r.ValidatorAddress, r.Height, r.VoteExtension)
	if err != nil {
		return nil, err
	}
	status := abci.ResponseVerifyVoteExtension_REJECT
	if ok {
		status = abci.ResponseVerifyVoteExtension_ACCEPT
	}
	return &abci.ResponseVerifyVoteExtension{Status: status}, nil
}

// prepare puts the extended commit in front of the transactions, and takes its room from
// theirs.
func prepare(next sdk.PrepareProposalHandler) sdk.PrepareProposalHandler {
	return func(ctx sdk.Context, r *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
		if !carries(ctx, len(r.LocalLastCommit.Votes)) {
			return next(ctx, r)
		}
		bz, err := r.LocalLastCommit.Marshal()
		if err != nil {
			return nil, err
		}
		injected := append(bytes.Clone(injectedPrefix), bz...)
		rest := *r
		rest.MaxTxBytes -= cmttypes.ComputeProtoSizeForTxs([]cmttypes.Tx{injected})
		if rest.MaxTxBytes < 0 {
			return nil, fmt.Errorf("the extended commit of %d bytes fills more than a block", len(injected))
		}
		out, err := next(ctx, &rest)
		if err != nil {
			return nil, err
		}
		out.Txs = append([][]byte{injected}, out.Txs...)
		return out, nil
	}
}

// process refuses a block that does not begin with the extended commit for the one before,
// each vote of the block's own commit with the extension that the validator signed. Errors
// are refusals, too.
func (a *App) process(next sdk.ProcessProposalHandler) sdk.ProcessProposalHandler {
	return func(ctx sdk.Context, r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
		if !carries(ctx, len(r.ProposedLastCommit.Votes)) {
			return next(ctx, r)
		}
		commit, err := injected(r.Txs)
		if err != nil {
			return nil, err
		}
		if err := a.checkExtended(ctx, commit); err != nil {
			return nil, err
		}
		rest := *r
		rest.Txs = r.Txs[1:]
		return next(ctx, &rest)
	}
}

// checkExtended holds an extended commit against the block's own. The SDK's check covers
// round, order, power, signatures and two thirds, but lets a proposer show a vote as absent
// that its block's commit has.
func (a *App) checkExtended(ctx sdk.Context, commit abci.ExtendedCommitInfo) error {
	if err := baseapp.ValidateVoteExtensions(ctx, a.Staking, 0, "", commit); err != nil {
		return err
	}
	votes := ctx.CometInfo().GetLastCommit().Votes()
	for i, v := range commit.Votes {
		if int32(v.BlockIdFlag) != int32(votes.Get(i).GetBlockIDFlag()) {
			return fmt.Errorf("extended commit: vote of %X is not as in the block's commit", v.Validator.Address)
		}
		if v.BlockIdFlag != cmtproto.BlockIDFlagCommit && len(v.VoteExtension)+len(v.ExtensionSignature) > 0 {
			return fmt.Errorf("extended commit: %X has an extension and no vote", v.Validator.Address)
		}
	}
	return nil
}

// advance derives the block's beacon, before anything in the block can ask for it. Two
// thirds have accepted the block, so its extended commit is not checked again.
func (a *App) advance(ctx sdk.Context, r *abci.RequestFinalizeBlock) error {
	var commit abci.ExtendedCommitInfo
	if carries(ctx, len(r.DecidedLastCommit.Votes)) {
		var err error
		if commit, err = injected(r.Txs); err != nil {
			return err
		}
	}
	return a.Beacon.Advance(ctx, commit.Votes)
}

// carries tells whether the block that ctx is in must begin with an extended commit: votes
// of the height before had extensions, and the block is not the chain's first.
func carries(ctx sdk.Context, votes int) bool {
	p := ctx.ConsensusParams().Abci
	return p != nil && p.VoteExtensionsEnableHeight > 0 && ctx.BlockHeight() > p.VoteExtensionsEnableHeight && votes > 0
}

// isInjected tells a block's extended commit from a transaction.
func isInjected(tx []byte) bool { return bytes.HasPrefix(tx, injectedPrefix) }

// injected reads the extended commit that a block begins with, in its one encoding.
func injected(txs [][]byte) (c abci.ExtendedCommitInfo, err error) {
	if len(txs) == 0 || !isInjected(txs[0]) {
		return c, errors.New("the block does not begin with the extended commit")
	}
	bz := txs[0][len(injectedPrefix):]
	if err := c.Unmarshal(bz); err != nil {
		return c, fmt.Errorf("extended commit: %w", err)
	}
	if again, err := c.Marshal(); err != nil || !bytes.Equal(again, bz) {
		return c, errors.New("extended commit: not in its one encoding")
	}
	return c, nil
}
