package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify"
)

// Replicas draws one picture several times, by miners of different owners, each of which has
// committed to its result before any was shown. Each is paid for. The pictures are in no
// order; same reports whether all results agree, to the last operator.
//
// If they do not, somebody is wrong, and who is not for the payer to guess: the coordinator
// has others run the task again, which Attend waits for.
//
// Errors: those of Draw, of whichever failed; the pictures that were drawn come with it.
func (s *Session) Replicas(ctx context.Context, r Request, k int, progress func(essaim.Progress)) (pictures []*Picture, same bool, err error) {
	if err := r.complete(); err != nil {
		return nil, false, err
	}
	first, err := s.prepare(r, progress)
	if err != nil {
		return nil, false, err
	}
	first.task.Verify = fmt.Sprintf("replica:%d", k)
	drawn, errs := make([]*Picture, k), make([]error, k)
	var wg sync.WaitGroup
	for i := range k {
		d := *first
		d.offered = make(map[essaim.NodeKey]bool)
		wg.Go(func() { drawn[i], errs[i] = d.draw(ctx, r.Deadline) })
	}
	wg.Wait()
	same = true
	for _, p := range drawn {
		if p == nil {
			same = false
			continue
		}
		pictures = append(pictures, p)
		same = same && verify.Agree(pictures[0].Receipt, p.Receipt)
	}
	return pictures, same, errors.Join(errs...)
}
