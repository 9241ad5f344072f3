// Package registry is the ledger's list of miners and coordinators, and of the stake that
// backs them.
//
// An actor is one machine, named by the Ed25519 key it uses on the peer network. Its
// owner, a cold account, registers it with a bond. The machine proves by a signature that
// it holds the key, so nobody can register another's; a key stands for one actor at a
// time. Earnings go to the owner and to those who stake on it: the key can work, never
// withdraw. The owner may give the machine another key; the old one answers for a while.
//
//	Register* ──▶ active ──Update, AddBond, RotateKey, Away──▶ active
//	                ├──Slash, Missed──▶ jailed ──Unjail──▶ active
//	                └──Retire──▶ retired ──after unbonding_blocks──▶ gone, everybody paid out
//
// A retired actor takes no new work but can still be paid for what it did. It stays
// listed until its bond goes back, because the bond answers for that work.
//
// Every actor has one pool (package pool says how it rounds). The bond is the owner's own
// delegation in it; anybody may add theirs. One coin backs one actor. Who leaves stays in
// the pool until the unbonding period is over, earns nothing and does not vote, but is
// reached by a slash like everybody else. A redelegation is an exit with a destination.
//
// A slash takes from the whole pool by the slash table, with evidence. The coins wait in
// the module account until the appeal window is over; then the wronged get restitution
// and the rest is burned. Until then the pool is frozen: nothing joins and nothing is
// paid out, so that a reversal gives every share back exactly what it lost. There is no
// bond per job yet: a proven wrong result costs the part of the stake that the table says.
//
// Income is what an actor earned of a settlement, and its part of the epoch's emission:
// first the owner's commission, then the pool's index. See income.go and emission.go.
//
// Reading order: keeper.go holds the state, msgs.go the owner's transactions, stake.go
// those of stakers, slash.go and duty.go what goes wrong, income.go and emission.go what
// is earned, check.go what is refused, block.go the end of a block, queries.go the reads,
// genesis.go and invariant.go import, export and proof, module.go the wiring.
//
// Invariant: the module account holds exactly the stakes, the unclaimed rewards and
// commissions, the slashed coins that are held and the income that is deferred.
package registry

import "cosmossdk.io/collections"

const (
	// Name is the module's name, its module account and its store key.
	Name = "registry"

	// EmissionName is the account that emission is paid from. Genesis funds it; when it is
	// empty, nothing is emitted.
	EmissionName = "registry_emission"

	// MaxFee is the largest coordinator fee, in basis points.
	MaxFee = 2000

	// MaxOffers is how many models one actor may offer.
	MaxOffers = 64

	// MaxHPKEKey is the largest HPKE public key, in bytes; that of MLKEM768X25519 has
	// 1216.
	MaxHPKEKey = 2048

	// MaxURL is the longest gateway URL, in bytes.
	MaxURL = 256

	// MaxDelegations is how many actors one account may back, so that its stake can be
	// summed up when it votes.
	MaxDelegations = 100

	// MaxExits is how many exits of one delegation may be under way.
	MaxExits = 16

	// MaxEvidence is how many CIDs, and how many heights, one slash, appeal or reversal
	// may name, and MaxText the longest CID or method, in bytes.
	MaxEvidence = 16
	MaxText     = 256

	// MaxRules is how many rows the slash table may have.
	MaxRules = 32
)

// These bound the work at the end of a block; what is left over waits for the next one.
const (
	slashesPerBlock   = 20
	releasesPerBlock  = 100
	payoutsPerBlock   = 100 // delegations of actors that are gone
	windowsPerBlock   = 100
	emissionsPerBlock = 100
	keysPerBlock      = 100
)

// The state's layout: never renumber a prefix.
var (
	paramsPrefix     = collections.NewPrefix(0)
	nextActorPrefix  = collections.NewPrefix(1)
	actorsPrefix     = collections.NewPrefix(2)
	keysPrefix       = collections.NewPrefix(3)
	ranksPrefix      = collections.NewPrefix(4)
	totalPrefix      = collections.NewPrefix(5)
	closingPrefix    = collections.NewPrefix(6)
	keyEndsPrefix    = collections.NewPrefix(7)
	nextExitPrefix   = collections.NewPrefix(8)
	exitsPrefix      = collections.NewPrefix(9)
	exitsDuePrefix   = collections.NewPrefix(10)
	exitsOfPrefix    = collections.NewPrefix(11)
	holdersPrefix    = collections.NewPrefix(12)
	stakesPrefix     = collections.NewPrefix(13)
	nextSlashPrefix  = collections.NewPrefix(14)
	slashesPrefix    = collections.NewPrefix(15)
	slashesOfPrefix  = collections.NewPrefix(16)
	slashesDuePrefix = collections.NewPrefix(17)
	heldPrefix       = collections.NewPrefix(18)
	windowsPrefix    = collections.NewPrefix(19)
	creditsPrefix    = collections.NewPrefix(20)
	epochsPrefix     = collections.NewPrefix(21)
	emissionPrefix   = collections.NewPrefix(22)
)
