// Package model is the ledger's list of models.
//
// A model is named by the SHA-256 of its manifest, a small JSON document that says what
// the weights are and which engine runs them. Who registers a manifest first owns the
// model: sets its suggested price and its royalty, and may hand both to another account.
// A manifest never changes; another manifest is another model. Whose data the model was made
// from, and what part of each price that is worth, is said at the registration, for good:
// they cannot be cut off later.
//
//	RegisterModel ──▶ listed ──UpdateOffer──▶ listed (new price, new royalty)
//	                    └─────Transfer─────▶ listed (new owner)
//
// Reading order: keeper.go holds the state, msgs.go the transactions, queries.go the
// reads, genesis.go import and export, module.go the wiring. The module moves no money:
// x/market pays the royalty and x/registry checks offers through Keeper.Model.
package model

import "cosmossdk.io/collections"

const (
	// Name is the module's name and its store key.
	Name = "model"

	// MaxManifest is the largest manifest, in bytes.
	MaxManifest = 64 << 10

	// MaxRoyalty is the largest royalty, those of the data's owners included, in basis
	// points. Together with the largest coordinator and protocol fees it leaves the miner
	// almost half of each price.
	MaxRoyalty = 3000

	// MaxData is the most owners of data that a model names.
	MaxData = 4

	// maxText bounds each field that is read from a manifest, in bytes.
	maxText = 128
)

// modelsPrefix is part of the state's layout: never renumber a prefix.
var modelsPrefix = collections.NewPrefix(0)
