package known

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

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

// Fits checks the shape that a quote is asked for.
//
// Errors: CodeBadInput.
func Fits(info essaim.ModelInfo, r essaim.QuoteRequest) error {
	size := fmt.Sprintf("%dx%d", r.Width, r.Height)
	switch {
	case r.Kind != "" && r.Kind != info.Kind:
		return essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("ask for kind %q", info.Kind), "model %s does not make %q", info.Name, r.Kind)
	case r.Width|r.Height != 0 && len(info.Sizes) > 0 && !slices.Contains(info.Sizes, size):
		return essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("sizes: %v", info.Sizes), "model %s cannot draw %s", info.Name, size)
	case r.Steps != 0 && (int(r.Steps) < info.MinSteps || int(r.Steps) > info.MaxSteps):
		return essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("%d to %d steps", info.MinSteps, info.MaxSteps), "model %s does not take %d steps", info.Name, r.Steps)
	}
	return nil
}
