package session

import (
	"context"
	"crypto/ed25519"
	"iter"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/receipts"
	"github.com/essaim/essaim/receipts/sumtree"
)

// claim is a settlement that the demo's coordinator has made up, with what it was made of.
// No program of ours makes one: the story builds it from the coordinator's parts.
type claim struct {
	session essaim.SessionID
	leaves  []receipts.Leaf
	tree    *sumtree.Tree
	blobs   map[essaim.Digest][]byte // the set that the settlement names
}

// publish makes the set of receipts that anybody can audit.
func (c claim) publish(chainID string) (essaim.Digest, error) {
	part, err := cbor.Marshal(receipts.Part{Kind: "essaim.receipts.part", ChainID: chainID, Session: c.session, Leaves: c.leaves})
	if err != nil {
		return essaim.Digest{}, err
	}
	e := receipts.Entry{Blob: essaim.DigestOf(part), Root: c.tree.Root(), First: essaim.DigestOf(c.leaves[0].Receipt)}
	for _, l := range c.leaves {
		receipt := essaim.DigestOf(l.Receipt)
		e.Tags = append(e.Tags, receipt[:4]...)
	}
	index, err := cbor.Marshal(receipts.Index{Kind: "essaim.receipts", ChainID: chainID, Session: c.session, Parts: []receipts.Entry{e}})
	c.blobs[e.Blob], c.blobs[essaim.DigestOf(index)] = part, index
	return essaim.DigestOf(index), err
}

// fetch is receipts.Fetch.
func (c claim) fetch(_ context.Context, d, _ essaim.Digest) ([]byte, error) {
	b, ok := c.blobs[d]
	if !ok {
		return nil, essaim.Errorf(essaim.CodeNotFound, "", "no blob %s", d.Short())
	}
	return b, nil
}

func leavesOf(pictures []*client.Picture) (out []receipts.Leaf, err error) {
	for _, p := range pictures {
		f, err := essaim.DecodeReceiptFile(p.ReceiptFile)
		if err != nil {
			return nil, err
		}
		out = append(out, receipts.Leaf{Task: f.Task, Receipt: f.Receipt, Amount: p.Receipt.Price})
	}
	return out, nil
}

func hashed(leaves []receipts.Leaf) iter.Seq[sumtree.Leaf] {
	return func(yield func(sumtree.Leaf) bool) {
		for _, l := range leaves {
			if !yield(sumtree.Leaf{Task: essaim.DigestOf(l.Task), Receipt: essaim.DigestOf(l.Receipt), Amount: l.Amount}) {
				return
			}
		}
	}
}

// opening shows the i-th leaf.
func (c claim) opening(i int) essaim.Opening {
	l, p := c.leaves[i], c.tree.Prove(i)
	return essaim.Opening{Task: l.Task, Receipt: l.Receipt, Amount: l.Amount, Index: p.Index, Siblings: p.Siblings}
}

// settle has the ledger settle a session from leaves of one miner and one model, whatever
// they say: signed by the coordinator's key, and with no voucher.
func (d *demo) settle(ctx context.Context, s *client.Session, miner essaim.NodeKey, leaves []receipts.Leaf) (claim, error) {
	c := claim{session: s.Record().ID, leaves: leaves, blobs: map[essaim.Digest][]byte{}}
	var err error
	if c.tree, err = sumtree.Build(hashed(leaves)); err != nil {
		return c, err
	}
	root := c.tree.Root()
	set, err := c.publish(d.net.Info().ChainID)
	if err != nil {
		return c, err
	}
	settlement := essaim.Settlement{
		ChainID: d.net.Info().ChainID, Session: c.session, Root: root, Receipts: set,
		Lines: []essaim.Line{{Miner: miner, Model: d.model.Digest, Amount: root.Sum(), Tasks: root.Count()}},
	}
	signature := ed25519.Sign(d.liar.Sign, settlement.SignBytes(d.liar.ID()))
	_, err = d.chain.Settle(ctx, d.operator, settlement, signature, nil)
	return c, err
}

// work opens a session and has some pictures drawn in it.
func (d *demo) work(ctx context.Context, deposit essaim.Amount, n int) (*client.Session, []receipts.Leaf, essaim.Receipt, error) {
	s, err := d.open(ctx, deposit)
	if err != nil {
		return nil, nil, essaim.Receipt{}, err
	}
	pictures, err := d.draw(ctx, s, n)
	if err != nil {
		return nil, nil, essaim.Receipt{}, err
	}
	leaves, err := leavesOf(pictures)
	return s, leaves, pictures[0].Receipt, err
}

func (d *demo) lies(ctx context.Context) error {
	s, leaves, r, err := d.work(ctx, essaim.AIM, 5)
	if err != nil {
		return err
	}
	if d.doubled, err = d.settle(ctx, s, r.Miner, slices.Insert(leaves, 2, leaves[2])); err != nil {
		return err
	}
	d.Say("session %s had 5 tasks; the coordinator settles 6: one receipt is there twice", d.doubled.session)

	s, leaves, r, err = d.work(ctx, essaim.AIM, 2)
	if err != nil {
		return err
	}
	false1, err := d.invent(s, r, leaves)
	if err != nil {
		return err
	}
	if d.invented, err = d.settle(ctx, s, r.Miner, append(leaves, false1)); err != nil {
		return err
	}
	d.Say("session %s had 2 tasks; the coordinator adds a third, which nobody ordered, for all that is left of the deposit: %s", d.invented.session, false1.Amount)
	for _, c := range []claim{d.doubled, d.invented} {
		on, err := d.chain.Settlement(ctx, c.session)
		if err != nil {
			return err
		}
		if err := d.OK(on.Pending == on.Root.Sum() && on.Acknowledged == 0, "the ledger takes settlement %s, for sums and signature hold; but no voucher covers it, so all %s waits until height %d",
			c.session, on.Pending, on.PendingUntil); err != nil {
			return err
		}
	}
	return nil
}

// invent makes up a task and a receipt. The coordinator has neither the session's key nor
// the miner's, so it signs with its own.
func (d *demo) invent(s *client.Session, like essaim.Receipt, honest []receipts.Leaf) (receipts.Leaf, error) {
	rest := s.Record().Deposit
	for _, l := range honest {
		rest -= l.Amount
	}
	t := essaim.NewTask(d.net.Info().ChainID, s.Record().ID, like.Seq+uint64(len(honest)))
	t.Kind, t.Model, t.MaxPrice = essaim.KindImage, d.model.Digest, rest
	like.Seq, like.Task, like.Price = t.Seq, t.Digest(), rest
	task, err := essaim.SignTask(t, d.liar.Sign)
	if err != nil {
		return receipts.Leaf{}, err
	}
	receipt, err := essaim.SignReceipt(like, d.liar.Sign)
	return receipts.Leaf{Task: task, Receipt: receipt, Amount: rest}, err
}

// audit is the payer's: what essaim session audit --challenge does.
func (d *demo) audit(ctx context.Context) error {
	c := d.doubled
	claim, err := claimOf(ctx, d.chain, c.session)
	if err != nil {
		return err
	}
	report, err := receipts.Audit(ctx, c.fetch, claim)
	if err != nil {
		return err
	}
	var proof []int
	for _, f := range report.Findings {
		d.Say("%s: %s", f.Fault, f.Text)
		proof = f.Leaves()
	}
	if err := d.OK(report.Proven && len(proof) == 2, "the set of receipts has the ledger's root, so two of its %d leaves prove the lie", report.Leaves); err != nil {
		return err
	}
	opener, err := receipts.Open(ctx, c.fetch, claim.Receipts)
	if err != nil {
		return err
	}
	pair, err := open(ctx, opener, proof)
	if err != nil {
		return err
	}
	_, _, err = d.chain.Challenge(ctx, d.user, c.session, []essaim.Opening{c.opening(0)})
	if err := d.OK(err != nil, "a challenge of a leaf that holds is refused"); err != nil {
		return err
	}
	stake, err := d.stake(ctx)
	if err != nil {
		return err
	}
	convicted, tx, err := d.chain.Challenge(ctx, d.user, c.session, pair)
	if err != nil {
		return err
	}
	d.Say("transaction %.8s…, height %d: the ledger finds “%s”", tx.Hash, tx.Height, convicted.Fault)
	if err := d.OK(convicted.Voided+convicted.Restitution == c.leaves[2].Amount, "the payer has the price back: %s", convicted.Voided+convicted.Restitution); err != nil {
		return err
	}
	return d.slashed(ctx, stake)
}

func (d *demo) stake(ctx context.Context) (essaim.Amount, error) {
	a, err := d.chain.Standing(ctx, d.liar.ID())
	return a.Pool, err
}

// slashed checks that the coordinator has lost stake since it had so much.
func (d *demo) slashed(ctx context.Context, had essaim.Amount) error {
	has, err := d.stake(ctx)
	if err != nil {
		return err
	}
	return d.OK(has < had, "the coordinator's stake: %s AIM before, %s AIM now", term.Coins(had), term.Coins(has))
}

// asked waits for the beacon's draws, and has the coordinator show the leaf that one is
// about. To show nothing would cost it less stake, and the whole settlement.
func (d *demo) asked(ctx context.Context) error {
	c := d.invented
	var draws []essaim.Draw
	if err := term.Until(ctx, func() (bool, error) {
		list, err := d.chain.Draws(ctx, d.liar.ID())
		draws = slices.DeleteFunc(list, func(x essaim.Draw) bool { return x.Session != c.session })
		return len(draws) > 0, err
	}); err != nil {
		return err
	}
	at := 0
	for _, x := range draws {
		i := c.tree.Find(x.Point)
		d.Say("which leaf of session %s covers point %s of %s? it is leaf %d, to be shown before height %d", c.session, term.Grouped(uint64(x.Point)), term.Grouped(uint64(c.tree.Root().Sum())), i, x.Due)
		if i == len(c.leaves)-1 {
			at = x.Index
		}
	}
	stake, err := d.stake(ctx)
	if err != nil {
		return err
	}
	last := len(c.leaves) - 1
	fault, tx, err := d.chain.Open(ctx, d.operator, c.session, at, c.opening(last))
	if err != nil {
		return err
	}
	d.Say("transaction %.8s…, height %d: the coordinator shows it", tx.Hash, tx.Height)
	if err := d.OK(fault != "", "the ledger finds “%s”: nobody has ordered it", fault); err != nil {
		return err
	}
	on, err := d.chain.Settlement(ctx, c.session)
	if err != nil {
		return err
	}
	honest := c.tree.Root().Sum() - c.leaves[last].Amount
	if err := d.OK(on.Pending <= honest, "what it was to bring is back with the payer: %s", c.leaves[last].Amount); err != nil {
		return err
	}
	return d.slashed(ctx, stake)
}
