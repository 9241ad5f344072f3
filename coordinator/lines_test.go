package coordinator

import (
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/receiptlog"
)

// TestLinesOfASession: a session never has work by more miners and models than one
// settlement can pay; those that it has may go on until then.
func TestLinesOfASession(t *testing.T) {
	b := newBook()
	e := b.add(1, &escrow{session: essaim.Session{ID: 1}, deposit: 1 << 40, owed: map[receiptlog.Payee]essaim.Amount{}})
	worker := func(i int) receiptlog.Payee {
		return receiptlog.Payee{Miner: essaim.NodeKey{0: byte(i), 1: byte(i >> 8)}, Model: essaim.DigestOf([]byte("m"))}
	}
	for i := range essaim.MaxLines - 1 {
		if err := b.line(e, worker(i)); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
	}
	for range 2 { // two tasks get in while there is room for one more line
		if err := b.reserve(e, 10, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.line(e, worker(0)); err != nil {
		t.Errorf("a known payee: %v", err)
	}
	if err := b.line(e, worker(essaim.MaxLines)); err != nil {
		t.Errorf("the last payee: %v", err)
	}
	if err := b.line(e, worker(essaim.MaxLines+1)); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("one payee too many: %v", err)
	}
	if err := b.reserve(e, 10, 100); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("a task for a full session: %v", err)
	}
	if err := b.line(e, worker(1)); err != nil || len(e.owed) != essaim.MaxLines {
		t.Errorf("a known payee of a full session: %v, %d lines", err, len(e.owed))
	}
}
