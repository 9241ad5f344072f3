package chain

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/engine/text"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/quant"
)

// proofs checks proofs of the models in the binary as x/dispute wants them. They belong to the rules of consensus:
// another model, or another check, is another version of the ledger.
type proofs struct{}

var checkers = sync.OnceValues(func() (map[essaim.Digest]*proof.Checker, error) {
	out := map[essaim.Digest]*proof.Checker{}
	add := func(name string, manifest, weights []byte, open func(public []byte) (proof.Walker, error)) error {
		public, err := quant.Public(weights)
		if err != nil {
			return err
		}
		e, err := open(public)
		if err != nil {
			return err
		}
		out[essaim.DigestOf(manifest)], err = proof.NewChecker(manifest, name, public, e)
		return err
	}
	err := errors.Join(
		add(pixel.Name, pixel.Manifest(), pixel.Weights(), func(b []byte) (proof.Walker, error) { return pixel.NewPublic(b) }),
		add(text.Name, text.Manifest(), text.Weights(), func(b []byte) (proof.Walker, error) { return text.NewPublic(b) }),
	)
	return out, err
})

// Holds is dispute.Proofs. A request that the model cannot run has no run to prove: whoever signs one is wrong.
func (proofs) Holds(r essaim.Receipt, prompt string, b []byte) (holds bool, why, err error) {
	all, err := checkers()
	if err != nil {
		return false, nil, err
	}
	c := all[r.Model]
	if c == nil {
		return false, nil, fmt.Errorf("proofs of model %s are not known here", r.Model.Short())
	}
	why = c.Check(context.Background(), b, proof.Of(r, prompt))
	switch {
	case why == nil:
		return true, nil, nil
	case errors.Is(why, proof.ErrRefused) || errors.Is(why, engine.ErrBadRequest):
		return false, why, nil
	}
	return false, nil, why
}
