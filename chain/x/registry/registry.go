// Package registry is the ledger's list of miners and coordinators.
//
// An actor is one machine, named by the Ed25519 key it uses on the peer network. Its
// owner, a cold account, registers it with a bond that the module account escrows. The
// machine proves by a signature that it holds the key, so nobody can register another's;
// a key stands for one actor at a time. Earnings go to the owner: the key can work, never
// withdraw.
//
//	Register* ──▶ active ──Update, AddBond──▶ active
//	                └──Retire──▶ retired ──after unbonding_blocks──▶ gone, bond returned
//
// A retired actor takes no new work but can still be paid for what it did. It stays
// listed until its bond goes back, because the bond answers for that work.
//
// Reading order: keeper.go holds the state, msgs.go the transactions, check.go what they
// refuse, block.go the end of a block, queries.go the reads, genesis.go import and
// export, module.go the wiring.
//
// Invariant: the module account holds exactly the sum of all bonds.
package registry

import "cosmossdk.io/collections"

const (
	// Name is the module's name, its module account and its store key.
	Name = "registry"

	// MaxFee is the largest coordinator fee, in basis points.
	MaxFee = 2000

	// MaxOffers is how many models one actor may offer.
	MaxOffers = 64

	// MaxHPKEKey is the largest HPKE public key, in bytes; that of MLKEM768X25519 has
	// 1216.
	MaxHPKEKey = 2048

	// MaxURL is the longest gateway URL, in bytes.
	MaxURL = 256

	// releasesPerBlock bounds the work at the end of a block; what is left over waits
	// for the next one.
	releasesPerBlock = 100
)

// The state's layout: never renumber a prefix.
var (
	paramsPrefix   = collections.NewPrefix(0)
	actorsPrefix   = collections.NewPrefix(1)
	rolesPrefix    = collections.NewPrefix(2)
	releasesPrefix = collections.NewPrefix(3)
)
