// Package trial runs a request again so that either side of a dispute about it can be played (package quant/dispute,
// docs/protocol/dispute.md): the miner plays from it for its receipt, who has found another result against it.
//
// It exists so that miner and challenger share what turns an engine, a prompt and a receipt into moves, and challengers
// how they play. It must not know the ledger but as a Court, keep anything, or decide what is disputed.
package trial

import (
	"context"
	"errors"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/dispute"
	"github.com/essaim/essaim/quant/program"
)

// Engine is one whose runs can be disputed.
type Engine interface {
	engine.Engine

	// RunTraced is Run, and shows each operator to watch.
	RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error)

	// Weights is the model's weights file.
	Weights() []byte
}

// ErrEngine says that an engine's runs cannot be disputed.
var ErrEngine = errors.New("runs of this engine cannot be disputed")

// A Run is a request run again.
type Run struct {
	Result engine.Result

	record *dispute.Record
	model  *dispute.Model
	rules  dispute.Rules
	salt   quant.Hash
}

// Again runs what a receipt is of. salt is of the task's plan (essaim.Input.PlanSalt); the challenger needs none.
//
// Errors: wraps ErrEngine; those of engine.Engine.Run.
func Again(ctx context.Context, e engine.Engine, r essaim.Receipt, prompt string, salt essaim.Digest) (*Run, error) {
	traced, ok := e.(Engine)
	if !ok || !program.Known(e.Name()) {
		return nil, fmt.Errorf("%w: %s", ErrEngine, e.Name())
	}
	x := &Run{record: new(dispute.Record), salt: quant.Hash(salt)}
	run := program.Run{Engine: e.Name(), Seed: r.Seed, Width: int(r.Width)}
	x.rules = dispute.Rules{Program: func(words quant.Header) (dispute.Program, error) { return program.Of(run, words) }, Kinds: program.Kinds()}
	var err error
	request := engine.Request{Model: r.Model, Prompt: prompt, Seed: r.Seed, Width: int(r.Width), Height: int(r.Height), Steps: int(r.Steps)}
	if x.Result, err = traced.RunTraced(ctx, request, x.record.Add); err != nil {
		return nil, err
	}
	x.model, err = dispute.NewModel(traced.Weights())
	return x, err
}

// Differs reports whether the run's result is another one than a receipt says.
func (x *Run) Differs(r essaim.Receipt) bool {
	if r.Pixels.IsZero() {
		return r.Output != essaim.DigestOf(x.Result.Data)
	}
	return r.Pixels != x.Result.PixelsDigest
}

// MinersTurn reports whether a game as the ledger keeps it waits for the miner.
func MinersTurn(game []byte) (bool, error) {
	g, err := dispute.DecodeGame(game)
	if err != nil {
		return false, err
	}
	return g.Turn() == dispute.TheMiner, nil
}

// Answer is the miner's next move in a game as the ledger keeps it.
//
// Errors: wraps dispute.ErrNothing if the miner has none.
func (x *Run) Answer(game []byte) ([]byte, error) {
	return x.move(game, dispute.Miner{Record: x.record, Model: x.model, Salt: x.salt}.Answer)
}

// Ask is the challenger's next move.
//
// Errors: wraps dispute.ErrNothing if it has none, as where the miner was right.
func (x *Run) Ask(game []byte) ([]byte, error) {
	return x.move(game, dispute.Challenger{Record: x.record, Model: x.model}.Ask)
}

func (x *Run) move(game []byte, next func(*dispute.Game, dispute.Rules) (dispute.Move, error)) ([]byte, error) {
	g, err := dispute.DecodeGame(game)
	if err != nil {
		return nil, err
	}
	m, err := next(g, x.rules)
	if err != nil {
		return nil, err
	}
	return m.Encode()
}
