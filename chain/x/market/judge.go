package market

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/receipts/sumtree"
)

// What can be wrong with a leaf: Conviction.fault. Package receipts finds the same by the
// same names.
const (
	FaultUnsigned   = "unsigned"   // a task the session's key has not signed, a receipt its miner has not
	FaultForeign    = "foreign"    // work of another session, coordinator or chain
	FaultUnbound    = "unbound"    // a receipt that does not answer its task
	FaultOverpriced = "overpriced" // more than the payer has agreed to
	FaultAmount     = "amount"     // the leaf counts for something else than the receipt's price
	FaultPayee      = "payee"      // the leaf lies in another payee's line
	FaultLine       = "line"       // the lines' totals are not those of the tree
	FaultDoubled    = "doubled"    // a task that is there twice
)

// leaf is an opening that leads to a settlement's root.
type leaf struct {
	essaim.Opening
	before essaim.Amount // sum of the leaves before it
	line   int           // of the lines, which covers its position
	start  essaim.Amount // sum of the lines before that
}

// docket is what leaves of one settlement are judged by.
type docket struct {
	chainID string
	session essaim.Session
	root    essaim.SumRoot
	lines   []marketv1.SettledLine
}

// docket loads a settlement whose leaves can be challenged, or were asked for.
func (k Keeper) docket(ctx context.Context, session marketv1.Session) (d docket, out marketv1.Settlement, err error) {
	if session.State != marketv1.State_STATE_SETTLED {
		return d, out, ErrNotFound.Wrapf("%d is not settled", session.Id)
	}
	if out, err = k.settlements.Get(ctx, session.Id); err != nil {
		return d, out, err
	}
	d.chainID, d.root = sdk.UnwrapSDKContext(ctx).ChainID(), essaim.SumRoot(out.Root)
	if d.session, err = Word(session); err != nil {
		return d, out, err
	}
	d.lines, err = k.linesOf(ctx, session.Id)
	return d, out, err
}

// locate proves that an opening is a leaf of the settlement, and finds its line.
func (d docket) locate(ctx context.Context, o marketv1.Opening) (leaf, error) {
	const node = len(essaim.SumRoot{})
	if len(o.Task) > MaxSigned || len(o.Receipt) > MaxSigned || len(o.Siblings)%node != 0 || len(o.Siblings) > maxPath*node {
		return leaf{}, ErrOpening.Wrapf("%d, %d and %d bytes of task, receipt and path", len(o.Task), len(o.Receipt), len(o.Siblings))
	}
	chargeSignatures(ctx, 2)
	l := leaf{Opening: essaim.Opening{Task: o.Task, Receipt: o.Receipt, Amount: essaim.Amount(o.Amount), Index: o.Index}}
	for b := o.Siblings; len(b) > 0; b = b[node:] {
		l.Siblings = append(l.Siblings, essaim.SumRoot(b[:node]))
	}
	var err error
	l.before, err = sumtree.Verify(d.root,
		sumtree.Leaf{Task: essaim.DigestOf(l.Task), Receipt: essaim.DigestOf(l.Receipt), Amount: l.Amount},
		sumtree.Proof{Index: l.Index, Siblings: l.Siblings})
	if err != nil {
		return l, ErrOpening.Wrap(err.Error())
	}
	var first uint64 // leaf of the line
	for i, line := range d.lines {
		if l.Index < first+line.Line.Tasks {
			l.line = i
			return l, nil
		}
		first += line.Line.Tasks
		l.start += essaim.Amount(line.Line.Amount)
	}
	return l, ErrLate.Wrapf("session %s: its lines are gone", d.session.ID)
}

// judge says what is wrong with a leaf; "" if it is as it should be.
func (d docket) judge(l leaf) (fault string) {
	t, payer, err := essaim.OpenTask(l.Task)
	if err != nil || payer != d.session.SessionKey {
		return FaultUnsigned
	}
	r, err := essaim.OpenReceipt(l.Receipt)
	if err != nil {
		return FaultUnsigned
	}
	line := d.lines[l.line].Line
	switch {
	case t.ChainID != d.chainID || t.Session != d.session.ID, r.ChainID != d.chainID || r.Session != d.session.ID, r.Coordinator != d.session.Coordinator:
		return FaultForeign
	case r.Price > t.MaxPrice && r.Task == t.Digest():
		return FaultOverpriced
	case r.Binds(t) != nil:
		return FaultUnbound
	case l.Amount != r.Price:
		return FaultAmount
	case r.Miner != essaim.NodeKey(line.Miner) || r.Model != essaim.Digest(line.Model):
		return FaultPayee
	case l.before < l.start || l.before-l.start > essaim.Amount(line.Amount) || l.Amount > essaim.Amount(line.Amount)-(l.before-l.start):
		return FaultLine
	}
	return ""
}

// doubled reports whether two leaves at two positions are one task: the same, or another
// with its number. The payer's client numbers each task.
func doubled(a, b leaf) bool {
	if a.Index == b.Index {
		return false
	}
	t, _, err := essaim.OpenTask(a.Task)
	if err != nil {
		return false // which is a fault by itself
	}
	u, _, err := essaim.OpenTask(b.Task)
	return err == nil && t.Seq == u.Seq
}

// chargeSignatures takes the gas of checking signatures: about as much as the SDK takes
// for one of a transaction.
func chargeSignatures(ctx context.Context, n uint64) {
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(n*signatureGas, "signatures of an opening or a voucher")
}
