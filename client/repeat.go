package client

import (
	"context"
	"time"

	"github.com/essaim/essaim"
)

// Repeat asks one miner to run a task again that was asked for elsewhere, to compare.
type Repeat struct {
	Task   essaim.Task    // whose model, input and parameters are asked for again
	Input  []byte         // sealed, to the miner at least
	Miner  essaim.NodeKey // nobody else gets it
	Price  essaim.Amount  // at most
	Verify string         // as in essaim.Task
}

// Repeat runs a task again in this session, by one miner, through a coordinator in the same
// process. The result is sealed to whoever asked for the task first, so that only what the
// miner signs of it can be checked here: its receipt, like a picture's. What comes back is
// the receipt, what was delivered, and the task as it was signed.
//
// Errors: those of Draw; CodeUnavailable if this miner cannot do it now.
func (s *Session) Repeat(ctx context.Context, r Repeat) (essaim.Receipt, essaim.Delivery, []byte, error) {
	d := &drawing{s: s, maxPrice: r.Price, offered: map[essaim.NodeKey]bool{r.Miner: true}}
	d.task = essaim.NewTask(s.cfg.ChainID, s.record.ID, 0)
	d.task.Kind, d.task.Model, d.task.Input, d.task.Seed = r.Task.Kind, r.Task.Model, r.Task.Input, r.Task.Seed
	d.task.Width, d.task.Height, d.task.Steps, d.task.MaxUnits = r.Task.Width, r.Task.Height, r.Task.Steps, r.Task.MaxUnits
	d.task.Verify, d.task.Deadline = r.Verify, time.Now().Add(DefaultTime).UnixMilli()
	if err := s.beginDraw(); err != nil {
		return essaim.Receipt{}, essaim.Delivery{}, nil, err
	}
	defer s.endDraw(d)
	if err := d.sign(); err != nil {
		return essaim.Receipt{}, essaim.Delivery{}, nil, err
	}
	delivery, err := s.cfg.Coordinator.Submit(ctx, essaim.Submission{Task: d.signed, Input: r.Input, Voucher: s.enclosed(), Only: r.Miner}, nil)
	if err != nil {
		return essaim.Receipt{}, essaim.Delivery{}, nil, err
	}
	receipt, _, err := d.checkReceipt(delivery)
	if err == nil {
		d.picture = &Picture{Receipt: receipt}
	}
	return receipt, delivery, d.signed, err
}
