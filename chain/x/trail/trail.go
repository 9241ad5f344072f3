// Package trail lets anybody prove, from a block's header alone, what the ledger did.
//
// Events are not part of what validators agree on: CometBFT's header covers a
// transaction's code and data, not its events. So at the end of each block this module
// takes the block's events of the types that Recorded names, writes each in one
// canonical form, and keeps the Merkle root and the number of them under the block's
// height. The application's hash covers that, and so does the header of the next block.
// The events themselves stay in the nodes' block results; whoever exports them proves
// them against the root. docs/protocol/trail.md has every byte.
//
// Blocks without such events keep nothing. Each entry names the height of the one before,
// so that none can be left out of an export unseen.
//
// The module never sees an event when it is emitted: the application hands it a whole
// block's results, from which failed transactions are already missing. It must not change
// how a record is written without a new Version and an upgrade of the chain.
//
// Reading order: record.go chooses and writes records, canonical.go their JSON, keeper.go
// holds the state, queries.go the reads, module.go the wiring.
package trail

import (
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
)

const (
	// Name is the module's name and its store key.
	Name = "trail"

	// Version is the version of the records' form. It changes with any byte of it.
	Version = 1

	// Prefix is what the types of our own modules' events begin with.
	Prefix = "essaim."

	// maxRoots is how many entries one query returns.
	maxRoots = 1000
)

// others are the recorded events of the SDK's modules, in the order of the documentation:
// governance, then the validators' stake.
var others = []string{
	govtypes.EventTypeSubmitProposal, govtypes.EventTypeProposalDeposit, govtypes.EventTypeProposalVote,
	govtypes.EventTypeActiveProposal, govtypes.EventTypeInactiveProposal, govtypes.EventTypeCancelProposal,
	stakingtypes.EventTypeCreateValidator, stakingtypes.EventTypeEditValidator, stakingtypes.EventTypeDelegate,
	stakingtypes.EventTypeUnbond, stakingtypes.EventTypeRedelegate, stakingtypes.EventTypeCancelUnbondingDelegation,
	stakingtypes.EventTypeCompleteUnbonding, stakingtypes.EventTypeCompleteRedelegation,
	slashingtypes.EventTypeSlash,
}

// The state's layout: never renumber a prefix.
const (
	lastPrefix  = 0 // nothing more; the height of the newest entry
	entryPrefix = 1 // a height, 8 bytes big-endian; its entry
)
