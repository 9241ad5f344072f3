package known

import (
	"encoding/json"

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
