package coordinator_test

import (
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/verify"
)

// TestReplicas: two miners of different owners are paid for one request, each commits to its
// receipt before either is shown, and one owner cannot have both.
func TestReplicas(t *testing.T) {
	works := make(chan verify.Work, 8)
	n := newNetwork(t, func(c *coordinator.Config) { c.Delivered = func(w verify.Work) { works <- w } })
	for i := range 2 {
		n.mine(&fake{}, func(c *miner.Config) { // before it is connected, so before the coordinator looks
			n.ledger.mu.Lock()
			defer n.ledger.mu.Unlock()
			a := n.ledger.actors[essaim.NodeKeyOf(c.Key)]
			a.Owner = essaim.Address{byte(i + 1)}
			n.ledger.actors[a.NodeKey] = a
		})
	}
	p := n.payer(1_000_000)
	first, err := p.prepare("twice", func(t *essaim.Task) { t.Verify = "replica:2" })
	if err != nil {
		t.Fatal(err)
	}
	task, _, err := essaim.OpenTask(first.Task)
	if err != nil {
		t.Fatal(err)
	}
	submissions := []essaim.Submission{first, first}
	again := task
	again.Seq += 1000
	if submissions[1].Task, err = essaim.SignTask(again, p.key); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	for _, s := range submissions {
		go func() {
			_, err := n.co.Submit(t.Context(), s, nil)
			done <- err
		}()
	}
	for range submissions {
		if err := within(t, done, "a replica"); err != nil {
			t.Fatal(err)
		}
	}
	a, b := within(t, works, "a receipt"), within(t, works, "a receipt")
	if a.Receipt.Miner == b.Receipt.Miner || a.Receipt.Input != b.Receipt.Input || !verify.Same(a.Receipt, b.Receipt) {
		t.Errorf("%s and %s have drawn", a.Receipt.Miner.Short(), b.Receipt.Miner.Short())
	}
	if !seal.IDOf(n.hpkeOf(a.Receipt.Miner)).IsRecipient(a.Input) {
		t.Error("the audit does not get the input as it was sealed")
	}
	third := task
	third.Seq, third.Verify = third.Seq+2000, "rerun"
	if first.Task, err = essaim.SignTask(third, p.key); err != nil {
		t.Fatal(err)
	}
	if _, err := n.co.Submit(t.Context(), first, nil); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("a wish that nobody fulfils: %v", err)
	}
}

func (n *network) hpkeOf(miner essaim.NodeKey) []byte {
	n.ledger.mu.Lock()
	defer n.ledger.mu.Unlock()
	return n.ledger.actors[miner].HPKEKey
}
