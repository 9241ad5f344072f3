// Package market holds payers' money while work is done, and pays it out once.
//
// A payer opens a session with a coordinator: the deposit goes into the module account's
// escrow, and a session key is named that may sign tasks. Many tasks later, the
// coordinator's node key signs one settlement: the Merkle-sum root of the receipts and a
// line per miner and model. Whoever submits it, the chain checks that the lines add up to
// the root and fit the deposit, pays everybody and refunds the rest. Two transactions a
// session, however many tasks.
//
//	OpenSession ──▶ open ──Settle, before expiry──▶ settled (paid out, rest refunded)
//	                  └────end of the block at expiry──▶ expired (all refunded)
//
// The price of a line is split: protocol fee to the community pool, royalty to the
// model's owner, fee to the coordinator's owner, each rounded down, and the remainder to
// the miner's owner. The coordinator's fee is that of the day the session was opened,
// the other two are those of the day it is settled.
//
// Invariant: deposited = paid + refunded + escrowed, and the module account holds
// exactly what is escrowed, to the last uaim.
//
// Reading order: keeper.go holds the state, msgs.go the transactions, settle.go the
// settlement, block.go the end of a block, queries.go the reads, genesis.go import and
// export, module.go the wiring.
package market

import "cosmossdk.io/collections"

const (
	// Name is the module's name, its module account and its store key.
	Name = "market"

	// MaxProtocolFee is the largest protocol fee, in basis points.
	MaxProtocolFee = 200

	// maxStoredFee bounds the coordinator's fee of a session in a genesis, in basis
	// points. x/registry sets the real limit, far below; with this one the three shares
	// can never exceed a price.
	maxStoredFee = 5000

	// expiriesPerBlock bounds the work at the end of a block; what is left over waits
	// for the next one.
	expiriesPerBlock = 100
)

// Why a payout is made: Payout.reason in events.
const (
	ReasonMiner       = "miner"
	ReasonRoyalty     = "royalty"
	ReasonCoordinator = "coordinator"
	ReasonTreasury    = "treasury"
	ReasonRefund      = "refund"
)

// The state's layout: never renumber a prefix.
var (
	paramsPrefix      = collections.NewPrefix(0)
	nextPrefix        = collections.NewPrefix(1)
	sessionsPrefix    = collections.NewPrefix(2)
	payersPrefix      = collections.NewPrefix(3)
	expiriesPrefix    = collections.NewPrefix(4)
	settlementsPrefix = collections.NewPrefix(5)
	totalsPrefix      = collections.NewPrefix(6)
)
