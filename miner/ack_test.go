package miner_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/miner"
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

// TestCoordinatorThatCannotSayYet: a claim that has no answer yet is made again, and costs neither the connection nor
// the work under way on it.
func TestCoordinatorThatCannotSayYet(t *testing.T) {
	var runs atomic.Int64
	gate := make(chan struct{})
	e := &fake{hold: func(context.Context) {
		if runs.Add(1) > 1 {
			<-gate
		}
	}}
	d := newDesk(t, e, func(c *miner.Config) { c.Capacity = 2 })
	d.mu.Lock()
	d.unsure = 3
	d.mu.Unlock()
	c := d.conn()
	o, _ := d.offer(1, nil)
	s := d.send(c, o)
	last, _ := d.end(s)
	o, _ = d.offer(2, nil)
	under := d.send(c, o)
	if err := s.Send(d.ack(last.Result.Receipt, func(a *essaim.Ack) { a.Deadline = 0 })); err != nil { // it does not count
		t.Fatal(err)
	}
	d.eventually("the receipt is acknowledged", func() bool { return d.m.Stats().Acked == 1 })
	close(gate)
	if last, _ := d.end(under); last.Result == nil {
		t.Errorf("the attempt under way: %+v", last)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.claims) != 4 || len(d.conns) != 0 {
		t.Errorf("%d claims, %d more connections, want 4 and none", len(d.claims), len(d.conns))
	}
}
