package clienttest

import (
	"context"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/seal"
)

// TokenPrice is what a miner asks for a unit of a model that is metered.
const TokenPrice essaim.Amount = 3

// Texts are the models of enginetest.Talker as the network offers them.
func (n *Network) Texts() []essaim.ModelInfo {
	var out []essaim.ModelInfo
	for _, m := range enginetest.TalkerModels() {
		out = append(out, essaim.ModelInfo{
			Digest: m.Digest, Name: m.Name, Kind: m.Kind, Engine: "talker", Exact: m.Exact, Meter: m.Meter,
			MinSteps: m.MinSteps, MaxSteps: m.MaxSteps, Steps: m.Steps, UnitPrice: TokenPrice, Miners: len(n.miners),
		})
	}
	return out
}

func (n *Network) price(model essaim.Digest, units uint64) (essaim.Amount, bool) {
	if model == n.Model.Digest {
		return Price, true
	}
	for _, m := range n.Texts() {
		if m.Digest == model {
			return TokenPrice * essaim.Amount(max(1, units)), true
		}
	}
	return 0, false
}

// write is the miner's part of a text: it streams sealed parts, each after WordTime.
func (n *Network) write(ctx context.Context, m *miner, t essaim.Task, in essaim.Input, progress func(essaim.Progress)) (essaim.Receipt, essaim.Output, error) {
	parts, err := seal.NewParts(t.PartsInfo(1), in.ReplyKey)
	if err != nil {
		return essaim.Receipt{}, essaim.Output{}, err
	}
	p := essaim.Progress{Task: t.Digest(), State: essaim.TaskAssigned, Attempt: 1, Miner: essaim.NodeKeyOf(m.node)}
	talker := enginetest.Talker{Delay: n.WordTime}
	got, err := talker.Run(ctx, engine.Request{Model: t.Model, Prompt: in.Prompt, Seed: t.Seed, Steps: int(t.Steps)}, func(e engine.Progress) {
		part, err := parts.Seal(e.Text)
		if err != nil || progress == nil {
			return
		}
		if p.Step, p.Part = e.Step, part; n.OnPart != nil && n.OnPart(&p) {
			return
		}
		progress(p)
	})
	if err != nil {
		return essaim.Receipt{}, essaim.Output{}, err
	}
	r := essaim.NewReceipt(t)
	r.Attempt, r.Miner, r.Coordinator, r.Engine = 1, essaim.NodeKeyOf(m.node), essaim.NodeKeyOf(n.key), "talker"
	r.Steps, r.Units, r.Price = uint32(got.Steps), got.Units, TokenPrice*essaim.Amount(got.Units)
	r.Output, r.MediaType, r.Size = essaim.DigestOf(got.Data), got.MediaType, uint64(len(got.Data))
	return r, essaim.Output{MediaType: got.MediaType, Data: got.Data}, nil
}
