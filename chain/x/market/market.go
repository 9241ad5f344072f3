// Package market holds payers' money while work is done, and pays it out once.
//
// A payer opens a session with a coordinator: the deposit goes into the module account's
// escrow, and a session key is named that may sign tasks. Many tasks later, the
// coordinator's node key signs one settlement: the Merkle-sum root of the receipts and a
// line per miner and model. Whoever submits it, the chain checks that the lines add up to
// the root and fit the deposit, pays what the payer has acknowledged and refunds what is
// not claimed. Two transactions a session, however many tasks.
//
//	OpenSession ──▶ open ──Settle, before expiry──▶ settled ──ShowVoucher, or end of the challenge window──▶ all paid
//	                │  ▲                               ├──Challenge, or Open of a false leaf──▶ its amount back to the payer, coordinator slashed
//	                └──┘ TopUp                         └──draw not answered──▶ what waits back to the payer
//	                 └──end of the block at expiry──▶ lapsed ──ClaimLapsed…, end of the window──▶ expired (claims paid, rest refunded)
//
// The price of a line is split: protocol fee to the community pool, of which a part may be
// burned, royalties to the owners of the model and of its data, fee to the coordinator, each
// rounded down, and the remainder to the miner. What miner and coordinator get goes to
// x/registry, which shares it with those who stake on them. The coordinator's fee is that of
// the day the session was opened, the others are those of the day it is settled. What a
// voucher covers is paid at once, the same part of each share; the rest waits. A line whose
// miner has left goes back to the payer, all of it, and the rest of the settlement is paid.
//
// A coordinator's open deposits are bounded by its stake (ErrCover), because stake answers
// for its word: each receipt that it acknowledges to a miner says what the session owes
// the miner so far. When the session is over and paid less, or nothing, ClaimUnpaid shows
// the acknowledgement, and the coordinator is slashed at once. What a settlement claims can
// be challenged leaf by leaf, and the beacon draws leaves that must be shown.
//
// Invariant: deposited = paid + refunded + escrowed, the module account holds exactly what
// is escrowed, open, lapsed or waiting, to the last uaim, and the index of open deposits is
// what the sessions say.
//
// Reading order: keeper.go and record.go hold the state, msgs.go the transactions,
// settle.go the settlement, share.go who gets what of it, voucher.go what is released,
// judge.go and challenge.go what is proven false, draw.go what the beacon asks, lapse.go
// what is left of sessions that nobody settled, claim.go what becomes of broken promises,
// block.go the end of a block, invariant.go the recount, queries.go the reads, genesis.go
// import and export, module.go the wiring.
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

	// removalsPerBlock bounds how many lines and claims of sessions that cannot be
	// contested any more the end of a block removes.
	removalsPerBlock = 1000

	// MaxAck and MaxVoucher are the largest acknowledgement and voucher, in bytes; they
	// have some 350 and 250.
	MaxAck     = 1024
	MaxVoucher = 1024

	// MaxSigned is the largest signed task, and receipt, of an opening, in bytes; they have
	// some 270 and 550. Package receipts settles no larger ones.
	MaxSigned = 1024

	// MaxOpenings is the most leaves that the beacon asks for of one settlement.
	MaxOpenings = 16

	// MaxBurn is the largest part of the protocol fee that is burned, in basis points.
	MaxBurn = 5000

	maxPath      = 64     // nodes: a count has 64 bits
	signatureGas = 10_000 // for each signature of an opening or a voucher

	// Sessions whose turn comes at the end of a block; the rest waits for the next one. A
	// release and a silence touch every line of a session.
	asksPerBlock     = 100
	silencesPerBlock = 10
	releasesPerBlock = 10

	drawsPerAnswer = 1000 // to a query
)

// Why a payout is made: Payout.reason in events.
const (
	ReasonMiner       = "miner"
	ReasonRoyalty     = "royalty"
	ReasonData        = "data"
	ReasonCoordinator = "coordinator"
	ReasonTreasury    = "treasury"
	ReasonBurn        = "burn"
	ReasonRefund      = "refund"
	ReasonVoid        = "void" // back to the payer: proven not to be due, or not shown when the beacon asked
	ReasonGone        = "gone" // back to the payer: the payee has left, or was never there
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
	openPrefix        = collections.NewPrefix(7)
	recordsPrefix     = collections.NewPrefix(8)
	linesPrefix       = collections.NewPrefix(9)
	claimsPrefix      = collections.NewPrefix(10)
	endsPrefix        = collections.NewPrefix(11)
	releasesPrefix    = collections.NewPrefix(12)
	asksPrefix        = collections.NewPrefix(13)
	drawsPrefix       = collections.NewPrefix(14)
	askedPrefix       = collections.NewPrefix(15)
	drawsDuePrefix    = collections.NewPrefix(16)
	convictionsPrefix = collections.NewPrefix(17)
	finalsPrefix      = collections.NewPrefix(18)
	lapsesPrefix      = collections.NewPrefix(19)
)
