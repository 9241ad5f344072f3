// Package beacon gives each block a random value that nobody chooses.
//
// Each validator has a key of its own for this, apart from the one that signs blocks. With
// its precommit for block H it sends, as a vote extension, the key's ECVRF proof over (chain
// ID, H, beacon of H-1). A key and an input admit one output only, so a validator can keep
// its contribution back but not pick it. The proposer of H+1 must put the extended commit
// in front of the block, and every node derives
//
//	beacon(H+1) = SHA-256(domain, chain ID, H+1, beacon(H), sorted outputs)
//
// A proof that is missing or wrong contributes nothing; it never stops the chain. So each
// beacon says how many contributed and whether that was enough for nobody to have known it
// beforehand. A network of one validator has beacons, and that validator knows each of
// them for ever: they say so.
//
// What the module does not stop: whoever reveals last can compare the beacon with and
// without its own contribution, and a proposer can leave out votes beyond two thirds. That
// is one bit for each validator that takes part in it. Use a beacon to draw samples, never
// for a prize that is worth more than a few lost blocks. It must not be asked for a height
// that has not come: whoever draws commits first, and draws from a later block.
//
// Reading order: proof.go holds keys and proofs, keeper.go the state and the derivation,
// msgs.go what operators and governance may do, queries.go the reads, genesis.go and
// module.go the wiring. The application's chain/beacon.go ties it to consensus.
package beacon

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"cosmossdk.io/collections"

	"github.com/essaim/essaim"
)

const (
	// Name is the module's name and its store key.
	Name = "beacon"

	// Delay is how many heights after its registration a key first proves. At least two:
	// the input then holds a beacon that nobody knew when the key was chosen, and every
	// node reads the same key whichever of two states it looks at.
	Delay = 2

	// MinKeep and MaxKeep bound how many beacons stay readable.
	MinKeep = 16
	MaxKeep = 1_000_000

	prunesPerBlock = 4
	verifyGas      = 10_000 // about ten transfers' signatures
)

// Domains keep the three uses of a hash or a key apart.
const (
	domainOutput     = "essaim/beacon/v1/output"
	domainValue      = "essaim/beacon/v1/value"
	domainPossession = "essaim/beacon/v1/possession"
)

// The state's layout: never renumber a prefix.
var (
	paramsPrefix  = collections.NewPrefix(0)
	keysPrefix    = collections.NewPrefix(1) // by consensus address
	beaconsPrefix = collections.NewPrefix(2) // by height
)

// Input is what a validator's key proves over at a height. previous is the beacon of the
// height before.
func Input(chainID string, height int64, previous [32]byte) []byte {
	bz := binary.BigEndian.AppendUint64(prefix(domainOutput, chainID), uint64(height))
	return append(bz, previous[:]...)
}

// value is a height's beacon, from outputs that are sorted.
func value(chainID string, height int64, previous [32]byte, outputs [][]byte) [32]byte {
	bz := binary.BigEndian.AppendUint64(prefix(domainValue, chainID), uint64(height))
	bz = append(bz, previous[:]...)
	return sha256.Sum256(append(bz, bytes.Join(outputs, nil)...))
}

// possession is what a key proves over to be registered by an operator.
func possession(chainID string, operator essaim.Address) []byte {
	return append(prefix(domainPossession, chainID), operator[:]...)
}

// prefix begins every input: a domain, a zero, the chain's ID with its length.
func prefix(domain, chainID string) []byte {
	bz := append([]byte(domain), 0)
	bz = binary.BigEndian.AppendUint32(bz, uint32(len(chainID)))
	return append(bz, chainID...)
}
