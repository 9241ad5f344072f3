package client

import (
	"context"
	"time"

	"github.com/essaim/essaim"
)

// voucherPause is the least time between two vouchers that travel with tasks: each says
// all that the one before said, and costs a signature here and a check there.
const voucherPause = 100 * time.Millisecond

// voucher acknowledges what this session has accepted, and nothing else: a receipt that did
// not stand every check is not in it. Nil: nothing was accepted yet.
func (s *Session) voucher() []byte {
	s.mu.Lock()
	v := essaim.Voucher{ChainID: s.cfg.ChainID, Session: s.record.ID, Coordinator: s.record.Coordinator, Amount: s.spent, Count: s.accepted}
	s.mu.Unlock()
	if v.Amount == 0 {
		return nil
	}
	signed, err := essaim.SignVoucher(v, s.key)
	if err != nil {
		panic(err) // our own key and our own type always sign
	}
	return signed
}

// enclosed is the voucher that goes along with a task; nil: none this time.
func (s *Session) enclosed() []byte {
	s.mu.Lock()
	again := time.Since(s.vouched) < voucherPause
	if !again && s.spent > 0 {
		s.vouched = time.Now()
	}
	s.mu.Unlock()
	if again {
		return nil
	}
	return s.voucher()
}

// Acknowledge tells the coordinator what was accepted so far, so that it and the miners
// can show that. Tasks and Close do so by themselves; it is for a session that is left open.
//
// Errors: the coordinator's. Nothing is lost: the next voucher says it all.
func (s *Session) Acknowledge(ctx context.Context) error {
	if v := s.voucher(); v != nil {
		return s.cfg.Coordinator.Acknowledge(ctx, v)
	}
	return nil
}
