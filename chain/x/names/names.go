// Package names is the ledger's list of names that stand for accounts.
//
// Who pays first has a name for a period, and may renew it or give it away. A name that looks
// like another's is refused, whoever wants it: people read names, and send money to what they
// have read. What was not renewed stands for nobody at once, and is free for all after a grace.
//
//	free ──Register──▶ owned ──Renew──▶ owned (later end) ──Transfer──▶ owned (by another)
//	  ▲                  │ the period ends
//	  └── grace ends ── grace ──Renew, by the owner──▶ owned
//
// Reading order: spelling.go says what a name is and which look alike, keeper.go holds the
// state, msgs.go the transactions, queries.go the reads, genesis.go import and export, module.go
// the wiring. The module holds no money: fees go to the community pool. Height is the only time.
package names

import "cosmossdk.io/collections"

const (
	// Name is the module's name and its store key.
	Name = "names"

	// MaxPeriods is how far ahead of the current height a name may be paid for, in periods.
	MaxPeriods = 10

	// listed is how many names of an account a query lists.
	listed = 100
)

// Prefixes are part of the state's layout: never renumber one.
var (
	paramsPrefix = collections.NewPrefix(0)
	namesPrefix  = collections.NewPrefix(1)
	looksPrefix  = collections.NewPrefix(2)
	ownersPrefix = collections.NewPrefix(3)
)
