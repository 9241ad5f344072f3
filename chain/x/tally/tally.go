// Package tally counts the votes of x/gov in two houses, so that money alone cannot
// govern.
//
// The house of stake counts what an account owns itself, bonded to validators or in the
// registry's pools; no account counts more than cap_bps of all that counts. The house of
// work counts the protocol fees that settlements paid on the work of an account's miners;
// it is linear, so splitting an account gains nothing, and it halves every half-life, so
// yesterday's work does not govern for ever. A proposal's result is the mean of both
// houses; docs/governance.md has the formulas and what they do not prevent.
//
// x/gov stays stock: proposals, deposits, votes and thresholds are its own. Power is taken
// when a vote is cast (hooks.go) and kept in running sums, so that a count reads the sums
// and the few accounts above the cap, never all voters. A vote that is cast again replaces
// the former. A coin cannot vote twice, because it cannot change hands faster than a vote
// ends: the unbonding periods are never shorter than the voting period, which package
// chain checks whenever either changes.
//
//	vote ──hook──▶ ballot, poll ──count──▶ outcome ──sweep──▶ outcome only
//
// Reading order: keeper.go holds the state, scale.go what credit is worth, hooks.go takes
// votes in, count.go is the arithmetic, result.go answers x/gov, block.go cleans up,
// msgs.go, queries.go, genesis.go, module.go as in every module.
//
// Invariants: a poll's sums are those of its ballots; the total credit is the sum of all
// accounts' credit.
package tally

import "cosmossdk.io/collections"

const (
	// Name is the module's name and its store key.
	Name = "tally"

	// Whole is what shares and turnouts are parts of.
	Whole = 1_000_000_000_000

	// MinCap and MaxCap bound cap_bps. A smaller cap would make a count read more
	// accounts, the largest caps nobody.
	MinCap, MaxCap = 100, 10_000

	// MaxHalfLife bounds half_life_blocks.
	MaxHalfLife = 1 << 32

	// MaxBlockMS bounds min_block_ms.
	MaxBlockMS = 60_000

	// sweepsPerBlock bounds the ballots that one block forgets.
	sweepsPerBlock = 200

	options = 4                                 // of x/gov
	certain = uint64(1_000_000_000_000_000_000) // a ballot's weights add up to it
)

// The state's layout: never renumber a prefix.
var (
	paramsPrefix   = collections.NewPrefix(0)
	scalePrefix    = collections.NewPrefix(1)
	creditsPrefix  = collections.NewPrefix(2)
	totalPrefix    = collections.NewPrefix(3)
	ballotsPrefix  = collections.NewPrefix(4)
	rankPrefix     = collections.NewPrefix(5)
	pollsPrefix    = collections.NewPrefix(6)
	outcomesPrefix = collections.NewPrefix(7)
	cursorPrefix   = collections.NewPrefix(8)
)
