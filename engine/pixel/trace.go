package pixel

import (
	"context"
	"fmt"
	"iter"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// Trace draws a picture and goes through all operators that did, as they are finished:
// what each read and what it put out. Among them are text, network and picture up to the
// pixels, not the PNG file. The last one's output is the pixels whose digest is
// Result.PixelsDigest.
//
// An operator's layer is the name of its tensors in the weights file, without .w, .bias and
// .mul; those without tensors are named for what they put out: words, y, cb and cr (the planes), rgb,
// canvas, and the layer to whose sums they add. Its step is the number of the thing that it lays
// onto the picture, 0 for the network, which draws all things at once. Besides those of package
// quant there are the kinds smooth, times16, double, take (one thing of several), enlarge, pixels
// and pose, which the package comment defines.
//
// The sequence is the same on every machine and for any number of workers. If it ends in
// an error, that comes last, with an empty operator; the errors are those of Run.
func (e *Engine) Trace(ctx context.Context, r engine.Request) iter.Seq2[quant.Op, error] {
	return func(yield func(quant.Op, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stopped := false
		_, err := e.RunTraced(ctx, r, func(o quant.Op) {
			if !stopped && !yield(o, nil) {
				stopped = true
				cancel()
			}
		})
		if err != nil && !stopped {
			yield(quant.Op{}, err)
		}
	}
}

// RunTraced is Run, and Trace by calls of watch: for who wants both at the price of one.
func (e *Engine) RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error) {
	return e.run(ctx, r, nil, watch)
}

// RunWatched is RunTraced that tells of its progress, like Run.
func (e *Engine) RunWatched(ctx context.Context, r engine.Request, progress func(engine.Progress), watch func(quant.Op)) (engine.Result, error) {
	return e.run(ctx, r, progress, watch)
}

// Walk goes through the operators of a request's picture and shows each to watch, without computing those whose
// output given knows: whoever checks what another has computed takes the costly ones from him. given
// may know outputs of the right shape only; nothing is drawn into a file.
//
// Errors: those of Run.
func (e *Engine) Walk(ctx context.Context, r engine.Request, given func(quant.Op) (quant.Value, bool), watch func(quant.Op)) error {
	p, err := e.read(r)
	if err != nil {
		return err
	}
	p.given = given
	if _, err := e.draw(ctx, []plan{p}, watch, nil); err != nil {
		return fmt.Errorf("walking through a picture: %w", err)
	}
	return nil
}
