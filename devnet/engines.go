package devnet

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/all"
)

// meteredPrice is what a token costs, and a megapixel in a sampling step, in uaim.
const meteredPrice essaim.Amount = 2

// engineTime is for all engines together to list their models.
const engineTime = 30 * time.Second

// findEngines asks the engines of a new home for their models, which the genesis registers.
//
// Errors: CodeBadInput for one that is written wrongly or does not answer.
func (n *Network) findEngines() ([]engine.Model, error) {
	var places []all.Place
	for _, s := range n.cfg.Engines {
		p, err := all.ParsePlace(s)
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "`essaim miner engines` lists what runs here", "engines: %w", err)
		}
		places = append(places, p)
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTime)
	defer cancel()
	found := all.Local(ctx, places)
	if len(found) < len(places) {
		return nil, essaim.Errorf(essaim.CodeBadInput, "start it; `essaim miner engines` lists what runs here", "an engine of %v does not answer", n.cfg.Engines)
	}
	var models []engine.Model
	n.info.Engines, n.info.Prices = n.cfg.Engines, map[string]uint64{}
	for _, f := range found {
		if f.Err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "`essaim miner engines` lists what runs here", "engine %s at %s: %w", f.Driver, f.Address, f.Err)
		}
		for _, m := range f.Models {
			d := m.Digest.String()
			if n.info.Prices[d] != 0 || m.Manifest == nil {
				continue
			}
			price := modelPrice
			if m.Meter != essaim.MeterTask {
				price = meteredPrice
			}
			n.info.Prices[d] = uint64(price)
			models = append(models, m)
		}
	}
	return models, nil
}

// foreign is what every miner offers besides the models in the binary.
func (n *Network) foreign() []essaim.Offer {
	var out []essaim.Offer
	for _, d := range slices.Sorted(maps.Keys(n.info.Prices)) {
		digest, err := essaim.ParseDigest(d)
		if err != nil {
			continue // not ours: a person has edited network.json
		}
		out = append(out, essaim.Offer{Model: digest, UnitPrice: essaim.Amount(n.info.Prices[d])})
	}
	return out
}
