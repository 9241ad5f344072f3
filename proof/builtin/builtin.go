// Package builtin proves runs of the models in the binary, and checks such proofs: what miners attach to results, and
// what clients look at before they accept one.
//
// It exists because prover and checker of a model are costly to make and are wanted by several roles of a process: each is
// made once, when it is first asked for. A prover commits to the whole weights file, which takes seconds; the hashes that
// take so long are kept in a folder (Folder) and are worth nothing to a liar, since the root that they lead to must be
// the one that the model's manifest states.
//
// The package must not say what a proof proves (package proof does), and knows no role.
package builtin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/engine/text"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/quant"
)

// A model is one of the binary's.
type model struct {
	name     string
	manifest []byte
	weights  func() []byte
	public   func([]byte) (proof.Walker, error) // the engine with the public part only
	prover   func() (*proof.Prover, error)      // once
	checker  func() (*proof.Checker, error)     // once
}

// models are those of the binary by digest.
var models = sync.OnceValue(func() map[essaim.Digest]*model {
	list := []*model{
		{name: pixel.Name, manifest: pixel.Manifest(), weights: pixel.Weights, public: walker(func(b []byte) (*pixel.Engine, error) { return pixel.NewPublic(b) })},
		{name: text.Name, manifest: text.Manifest(), weights: text.Weights, public: walker(text.NewPublic)},
	}
	out := map[essaim.Digest]*model{}
	for _, m := range list {
		m.prover, m.checker = sync.OnceValues(m.newProver), sync.OnceValues(m.newChecker)
		out[essaim.DigestOf(m.manifest)] = m
	}
	return out
})

// walker makes a Walker of what makes an engine.
func walker[E proof.Walker](open func([]byte) (E, error)) func([]byte) (proof.Walker, error) {
	return func(b []byte) (proof.Walker, error) {
		e, err := open(b)
		if err != nil {
			return nil, err // not e: a nil pointer in an interface is not nil
		}
		return e, nil
	}
}

func (m *model) newChecker() (*proof.Checker, error) {
	public, err := quant.Public(m.weights())
	if err != nil {
		return nil, err
	}
	e, err := m.public(public)
	if err != nil {
		return nil, err
	}
	return proof.NewChecker(m.manifest, m.name, public, e)
}

// newProver commits to the weights, or takes up what an earlier process has come to.
func (m *model) newProver() (*proof.Prover, error) {
	stated, err := engine.ParseManifest(m.manifest, m.name)
	if err != nil {
		return nil, fmt.Errorf("%s model: %w", m.name, err)
	}
	digest, workers := essaim.DigestOf(m.manifest), runtime.GOMAXPROCS(0)
	file := leavesFile(digest)
	if leaves := file.read(); leaves != nil {
		if p, err := proof.ResumeProver(digest, m.weights(), leaves, workers); err == nil && p.Root() == stated.Proof {
			return p, nil
		}
	}
	p, err := proof.NewProver(digest, m.weights(), workers)
	if err != nil {
		return nil, err
	}
	if p.Root() != stated.Proof {
		return nil, fmt.Errorf("the %s model's proof root is %s, its manifest states %s", m.name, p.Root(), stated.Proof)
	}
	file.write(p.Leaves())
	return p, nil
}

// Proofs are the provers and checkers of the models in the binary, as miners and clients want them.
type Proofs struct{}

// Checks reports whether proofs of a model can be checked here. The first time it takes a tenth of a second: what
// Check needs is made.
func (p Proofs) Checks(model essaim.Digest) bool {
	_, err := p.Checker(model)
	return err == nil
}

// Key is the public part of a model's weights, from which a checker is made.
//
// Errors: CodeNotFound for a model that is not in the binary.
func (Proofs) Key(model essaim.Digest) ([]byte, error) {
	m := models()[model]
	if m == nil {
		return nil, errNone(model)
	}
	return quant.Public(m.weights())
}

// Prover is that of a model. The first time on a machine it takes some seconds, in a process some tenths of one.
//
// Errors: CodeNotFound for a model that is not in the binary.
func (Proofs) Prover(model essaim.Digest) (*proof.Prover, error) {
	m := models()[model]
	if m == nil {
		return nil, errNone(model)
	}
	return m.prover()
}

// Checker is that of a model.
//
// Errors: CodeNotFound for a model that is not in the binary.
func (Proofs) Checker(model essaim.Digest) (*proof.Checker, error) {
	m := models()[model]
	if m == nil {
		return nil, errNone(model)
	}
	return m.checker()
}

func errNone(model essaim.Digest) error {
	return essaim.Errorf(essaim.CodeNotFound, "ask for no proof", "proofs of model %s are not known here", model.Short())
}

// Run runs a request for a task and proves the run.
//
// Errors: those of engine.Engine.Run; CodeNotFound for a model or an engine whose runs cannot be proven.
func (p Proofs) Run(ctx context.Context, e engine.Engine, t essaim.Task, r engine.Request, progress func(engine.Progress)) (engine.Result, []byte, error) {
	watched, ok := e.(proof.Engine)
	if !ok {
		return engine.Result{}, nil, errNone(t.Model)
	}
	prover, err := p.Prover(t.Model)
	if err != nil {
		return engine.Result{}, nil, err
	}
	if r.Previews {
		watched = previewing{watched}
	}
	return prover.Run(ctx, watched, proof.Statement{
		Chain: t.ChainID, Task: t.Digest(), Model: t.Model, Prompt: r.Prompt, Seed: r.Seed, Width: r.Width, Height: r.Height, Steps: r.Steps,
	}, progress)
}

// previewing is an engine that shows previews: a statement does not ask for any, for they
// change nothing that is proven.
type previewing struct{ proof.Engine }

func (p previewing) RunWatched(ctx context.Context, r engine.Request, progress func(engine.Progress), watch func(quant.Op)) (engine.Result, error) {
	r.Previews = true
	return p.Engine.RunWatched(ctx, r, progress, watch)
}

// Check checks a proof of what a receipt says of a prompt.
//
// Errors: CodeRefused if it does not hold; CodeNotFound for a model whose proofs cannot be checked here.
func (p Proofs) Check(ctx context.Context, r essaim.Receipt, prompt string, b []byte) error {
	c, err := p.Checker(r.Model)
	if err != nil {
		return err
	}
	err = c.Check(ctx, b, proof.Of(r, prompt))
	if errors.Is(err, proof.ErrRefused) || errors.Is(err, engine.ErrBadRequest) {
		return essaim.Errorf(essaim.CodeRefused, "the result is not what the model makes of this", "%w", err)
	}
	return err
}
