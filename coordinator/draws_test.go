package coordinator_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/mem"
	"github.com/essaim/essaim/receipts"
	"github.com/essaim/essaim/receipts/sumtree"
)

func (l *ledger) Draws(_ context.Context, coordinator essaim.NodeKey) (out []essaim.Draw, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.draws {
		if l.sessions[d.Session].Coordinator == coordinator {
			out = append(out, d)
		}
	}
	return out, nil
}

func (l *ledger) Open(_ context.Context, d essaim.Draw, o essaim.Opening) (essaim.Tx, error) {
	if l.meet != nil {
		select {
		case l.meet <- struct{}{}:
		case <-l.meet:
		case <-time.After(5 * time.Second):
			return essaim.Tx{}, essaim.Errorf(essaim.CodeUnavailable, "", "no other opening has come")
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	leaf := sumtree.Leaf{Task: essaim.DigestOf(o.Task), Receipt: essaim.DigestOf(o.Receipt), Amount: o.Amount}
	before, err := sumtree.Verify(l.settled[d.Session].Root, leaf, sumtree.Proof{Index: o.Index, Siblings: o.Siblings})
	if err != nil || d.Point < before || d.Point >= before+o.Amount {
		return essaim.Tx{}, essaim.Errorf(essaim.CodeBadInput, "", "another leaf: %v", err)
	}
	if l.deaf > 0 {
		l.deaf--
		return essaim.Tx{}, essaim.Errorf(essaim.CodeUnavailable, "", "not now")
	}
	l.draws = slices.DeleteFunc(l.draws, func(x essaim.Draw) bool { return x == d })
	return essaim.Tx{Hash: "OPEN"}, nil
}

func (l *ledger) undrawn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.draws) == 0
}

// TestDrawsAreAnswered after the settlement, again when the ledger did not listen, by a
// program that was started anew, and from the log alone.
func TestDrawsAreAnswered(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	p := n.payer(9 * unitPrice)
	p.work(5)
	s := p.settle(5)
	fetch := func(ctx context.Context, d, _ essaim.Digest) ([]byte, error) { return n.blobs.Get(ctx, d) }
	opener, err := receipts.Open(t.Context(), fetch, s.Receipts)
	if err != nil || opener.Root() != s.Root {
		t.Fatalf("root %s, settled %s: %v", opener.Root(), s.Root, err)
	}
	ask := func(deaf int) {
		n.ledger.mu.Lock()
		defer n.ledger.mu.Unlock()
		n.ledger.deaf = deaf
		for i, point := range []essaim.Amount{0, unitPrice, 5*unitPrice - 1} {
			n.ledger.draws = append(n.ledger.draws, essaim.Draw{Session: p.session, Index: i, Point: point, Due: 100})
		}
	}
	ask(2)
	eventually(t, "the draws are answered", n.ledger.undrawn)
	n.stop()
	ask(0)
	n.start()
	eventually(t, "the draws are answered after a restart", n.ledger.undrawn)
	n.stop()
	n.blobs = mem.New()
	n.cfg.Blobs = n.blobs
	ask(0)
	n.start()
	eventually(t, "the draws are answered though the set was lost", n.ledger.undrawn)
}

// TestDrawsOfManySessions are answered side by side: one after the other, a block each, they
// would fall behind the settlements.
func TestDrawsOfManySessions(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	var draws []essaim.Draw
	for i := range 4 {
		p := n.payer(9 * unitPrice)
		p.work(1)
		p.settle(1)
		draws = append(draws, essaim.Draw{Session: p.session, Due: int64(100 - i)})
	}
	n.ledger.mu.Lock()
	n.ledger.meet, n.ledger.draws = make(chan struct{}), draws
	n.ledger.mu.Unlock()
	eventually(t, "the draws are answered", n.ledger.undrawn)
}
