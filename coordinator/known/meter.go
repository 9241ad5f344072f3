package known

import (
	"encoding/json"
	"math"

	"github.com/essaim/essaim"
)

// Meter is the meter that a model's manifest names; said is the miner's word, for a ledger that
// does not show manifests.
func Meter(m essaim.Model, said essaim.Meter) essaim.Meter {
	var manifest struct{ Meter essaim.Meter }
	if json.Unmarshal(m.Manifest, &manifest) != nil {
		return said
	}
	return manifest.Meter
}

// Price is what a task of so many units costs; 0 means 1. What no amount can hold costs all there is.
func Price(m essaim.ModelInfo, units uint64) essaim.Amount {
	if price, ok := m.UnitPrice.Mul(max(1, units)); ok {
		return price
	}
	return math.MaxUint64
}
