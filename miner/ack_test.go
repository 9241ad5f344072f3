package miner_test

import (
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/transport"
)

// TestWrongAcknowledgementDoesNotCount: what is about another session or model, or less
// than the receipt, does not.
func TestWrongAcknowledgementDoesNotCount(t *testing.T) {
	for name, spoil := range map[string]func(*essaim.Ack){
		"session": func(a *essaim.Ack) { a.Session++ },
		"model":   func(a *essaim.Ack) { a.Model[0]++ },
		"miner":   func(a *essaim.Ack) { a.Miner[0]++ },
		"chain":   func(a *essaim.Ack) { a.ChainID += "x" },
		"total":   func(a *essaim.Ack) { a.Price--; a.Total-- },
		"no end":  func(a *essaim.Ack) { a.Deadline = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, &fake{}, nil)
			o, _ := d.offer(1, nil)
			s := d.send(d.conn(), o)
			last, _ := d.end(s)
			if err := s.Send(d.ack(last.Result.Receipt, spoil)); err != nil {
				t.Fatal(err)
			}
			// It is claimed, and then acknowledged as it should be.
			d.eventually("the receipt is acknowledged", func() bool { return d.m.Stats().Acked == 1 })
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.claims) != 1 {
				t.Errorf("%d claims, want 1", len(d.claims))
			}
		})
	}
}

// TestOneSignatureAcknowledgesManyReceipts: as many as its total covers, and none more.
func TestOneSignatureAcknowledgesManyReceipts(t *testing.T) {
	d := newDesk(t, &fake{}, nil)
	c := d.conn()
	var streams []*transport.Stream
	var answer *transport.Acked
	for seq := range uint64(3) {
		o, _ := d.offer(seq+1, nil)
		s := d.send(c, o)
		last, _ := d.end(s)
		streams = append(streams, s)
		if seq < 2 {
			answer = d.ack(last.Result.Receipt, nil) // the second's total is that of two
		}
	}
	for i, s := range streams {
		if err := s.Send(answer); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			d.eventually("the first two are acknowledged", func() bool { return d.m.Stats().Acked == 2 })
		}
	}
	// The third is claimed, for the total of two does not cover three.
	d.eventually("all receipts are acknowledged", func() bool { return d.m.Stats().Acked == 3 })
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.claims) != 1 {
		t.Errorf("%d claims, want 1", len(d.claims))
	}
}
