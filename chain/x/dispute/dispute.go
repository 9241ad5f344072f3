// Package dispute lets anybody who has run a request again convict the miner that signed a wrong result for it, by
// a game at whose end the ledger computes a single number (package quant/dispute, docs/protocol/dispute.md).
//
// It exists so that a wrong result of an integer engine costs its miner stake and its payer nothing, without the ledger
// running a model, holding a prompt, or believing a verifier.
//
//	Dispute (receipt, bond) ──▶ playing ──Move──▶ … ──▶ miner wrong: slashed, the payer is made whole, the bond goes back
//	                              │                 ├──▶ challenger wrong: half the bond to the miner's owner, the rest burned
//	                              └──deadline passes┘└──▶ undecided: the bond goes back
//
// A receipt is shown as the miner signed it, with the task that it answers, after its session is settled and while that
// can be contested, until the miner is found wrong about it; several may dispute it at a time. The
// model's manifest must state the root of its weights. The challenger's moves are its account's; the miner's are
// signed by its node key, whoever hands them in. A side that does not move in time loses.
//
// A receipt that names a proof can be disproven: its payer shows the proof and what was asked for, the ledger checks it
// without the weights, and the dispute ends in the transaction that opens it. Who shows a proof that holds loses the bond.
//
// Restitution is the receipt's price, at most what x/market says is not given back yet of what the session gave the miner
// for the model's work, so that nobody gets back what nobody paid; and at most the owner's part of the stake that is
// taken (x/registry).
//
// Invariant: the module account holds the bonds of the disputes that are being played, to the last uaim.
//
// Reading order: keeper.go holds the state, msgs.go the transactions, disprove.go the one about proofs, judge.go the game and how it ends, block.go the
// deadlines, genesis.go import and export, module.go the wiring. The module must not decide anything by itself
// that the game decides.
package dispute

import (
	"cosmossdk.io/collections"

	"github.com/essaim/essaim"
)

const (
	// Name is the module's name, its module account and its store key.
	Name = "dispute"

	// MaxReceipt is the most that a signed receipt and its signed task have together, in bytes.
	MaxReceipt = 4096

	// gasPerMove is for judging: as much as a few signatures.
	gasPerMove = 20_000

	// gasPerProof is for checking a proof, up to a tenth of a second, on top of what its bytes cost.
	gasPerProof = 5_000_000

	// maxInput bounds what a task names, in bytes: a prompt, its salt and a reply key.
	maxInput = essaim.MaxPrompt + 4096

	// endsPerBlock bounds the work at the end of a block; what is left over waits for the next one.
	endsPerBlock = 100
)

// The state's layout: never renumber a prefix.
var (
	paramsPrefix    = collections.NewPrefix(0)
	nextPrefix      = collections.NewPrefix(1)
	disputesPrefix  = collections.NewPrefix(2)
	receiptsPrefix  = collections.NewPrefix(3)
	deadlinesPrefix = collections.NewPrefix(4)
)
