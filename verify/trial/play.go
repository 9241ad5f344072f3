package trial

import (
	"context"
	"time"

	"github.com/essaim/essaim"
)

// Court is the ledger to whoever disputes a receipt. Implementations are safe for concurrent use.
type Court interface {
	// Dispute returns a dispute as it stands.
	Dispute(ctx context.Context, id uint64) (essaim.Dispute, error)

	// Ask makes the challenger's move.
	Ask(ctx context.Context, id uint64, move []byte) error
}

// pause is between two looks at a game.
const pause = 200 * time.Millisecond

// Play plays a dispute against its miner until it is over, and returns how it ended. moved is told of each move of
// this side, with its number from 1 and its size in bytes.
//
// Errors: the court's, and those of Ask. The game goes on; Play can be called again.
func (x *Run) Play(ctx context.Context, c Court, id uint64, moved func(number uint64, size int)) (d essaim.Dispute, err error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	made := -1
	for {
		if d, err = c.Dispute(ctx, id); err != nil || d.Deadline == 0 {
			return d, err
		}
		mine, err := MinersTurn(d.Game)
		if err != nil {
			return d, err
		}
		if !mine && int(d.Turn) != made {
			move, err := x.Ask(d.Game)
			if err != nil {
				return d, err
			}
			if err := c.Ask(ctx, id, move); err != nil {
				return d, err
			}
			made = int(d.Turn)
			moved(d.Turn+1, len(move))
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return d, ctx.Err()
		}
	}
}
