package receipts

import (
	"context"
	"fmt"
	"slices"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/receipts/sumtree"
)

// Claim is what the ledger says of a settled session: what a set of receipts must prove.
type Claim struct {
	ChainID  string
	Session  essaim.Session
	Root     essaim.SumRoot
	Receipts essaim.Digest // of the index; zero: the settlement names none
	Lines    []essaim.Line // sorted by Line.Compare; nil: the ledger does not keep them any more
}

// Fault says what is wrong with a settlement. Faults are a closed list.
type Fault string

// The faults.
const (
	FaultBlob       Fault = "blob"       // the bytes are not those that the ledger names
	FaultDamaged    Fault = "damaged"    // they are no set of receipts of this session
	FaultUnsigned   Fault = "unsigned"   // a task the payer has not signed, a receipt its miner has not
	FaultForeign    Fault = "foreign"    // work of another session, coordinator or chain
	FaultDoubled    Fault = "doubled"    // a task that is paid twice
	FaultOverpriced Fault = "overpriced" // more than the payer has agreed to
	FaultUnbound    Fault = "unbound"    // a receipt that does not answer its task
	FaultRoot       Fault = "root"       // the tree of these receipts has another root
	FaultLine       Fault = "line"       // a payee got something else than its receipts come to
)

// Finding is one fault.
type Finding struct {
	Fault Fault  `json:"fault"`
	Leaf  int    `json:"leaf,omitempty"`  // from 1; 0: of the whole
	Other int    `json:"other,omitempty"` // the earlier leaf of a doubled one
	Text  string `json:"text"`
}

// Leaves are the positions, from 0, of the leaves that prove the finding to the ledger, as
// Opener.Leaf wants them. None: it is of the whole.
func (f Finding) Leaves() (out []int) {
	for _, n := range []int{f.Other, f.Leaf} {
		if n > 0 {
			out = append(out, n-1)
		}
	}
	return out
}

// Total is what a payee's receipts come to, and what the ledger has settled.
type Total struct {
	Miner        essaim.NodeKey `json:"miner"`
	Model        essaim.Digest  `json:"model"`
	Tasks        uint64         `json:"tasks"`
	Amount       essaim.Amount  `json:"amount"`
	SettledTasks uint64         `json:"settled_tasks"`
	Settled      essaim.Amount  `json:"settled"`
}

// Report is what an audit has found. A settlement without findings paid exactly for what
// the payer had ordered from the payees and they had signed for.
type Report struct {
	Leaves   int           `json:"leaves"`
	Counted  int           `json:"counted"`  // whose receipt's signature holds
	Sum      essaim.Amount `json:"sum"`      // of all leaves, in uaim
	Compared bool          `json:"compared"` // the ledger still had the lines; else the root alone was compared
	Proven   bool          `json:"proven"`   // the set has the ledger's root: a false leaf of it can be shown to the ledger
	Totals   []Total       `json:"totals"`
	Faults   int           `json:"faults"`
	Findings []Finding     `json:"findings"` // the first MaxFindings
}

// MaxFindings bounds how many findings a report describes.
const MaxFindings = 1000

// Audit does a settlement's sum again from its set of receipts, reading one part after the
// other. It does not stop at the first fault. What it cannot see: receipts that the coordinator has
// left out (their miners hold its promises), and whether the work was done well.
//
// Errors: those of fetch. A lying set is none; it is what the findings are for.
func Audit(ctx context.Context, fetch Fetch, c Claim) (Report, error) {
	a := audit{claim: c, totals: map[payee]*Total{}, seqs: map[uint64]int{}}
	a.out.Totals, a.out.Findings = []Total{}, []Finding{}
	if c.Receipts.IsZero() { // nothing was paid
		a.compare()
		return a.out, nil
	}
	b, err := fetch(ctx, c.Receipts, essaim.Digest{})
	if err != nil {
		return a.out, err
	}
	x := a.index(b)
	for i, e := range x.Parts {
		b, err := fetch(ctx, e.Blob, e.First)
		if err != nil {
			return a.out, fmt.Errorf("part %d: %w", i+1, err)
		}
		a.part(x, i, b)
	}
	a.compare()
	return a.out, nil
}

// audit is one audit under way.
type audit struct {
	claim   Claim
	parts   []essaim.SumRoot
	totals  map[payee]*Total
	dense   []uint32       // number of a task to its first leaf, from 1: honest numbers are small
	seqs    map[uint64]int // the same for others
	outside int            // the first leaf that lies outside of the line that pays it, from 1
	line    int            // the line that is to pay the next leaf
	covered struct {       // by lines before this one
		tasks  uint64
		amount essaim.Amount
	}
	out Report
}

type payee struct {
	miner essaim.NodeKey
	model essaim.Digest
}

func (a *audit) found(f Finding) {
	if a.out.Faults++; a.out.Faults <= MaxFindings {
		a.out.Findings = append(a.out.Findings, f)
	}
}

func (a *audit) say(f Fault, leaf int, format string, args ...any) {
	a.found(Finding{Fault: f, Leaf: leaf, Text: fmt.Sprintf(format, args...)})
}

// index reads the index, and checks that it is the one that the ledger names.
func (a *audit) index(b []byte) Index {
	if d := essaim.DigestOf(b); d != a.claim.Receipts {
		a.say(FaultBlob, 0, "the bytes are %s, the ledger names %s", essaim.CIDOf(d), essaim.CIDOf(a.claim.Receipts))
	}
	x, err := ReadIndex(b)
	if err != nil {
		a.say(FaultDamaged, 0, "%v", err)
		return x
	}
	if x.ChainID != a.claim.ChainID || x.Session != a.claim.Session.ID {
		a.say(FaultForeign, 0, "the set is of session %s of chain %q", x.Session, x.ChainID)
	}
	a.dense = make([]uint32, min(2*len(x.Parts)*PartLeaves, 2*MaxLeaves))
	return x
}

// part checks a part's leaves. All of them are in the tree, whatever is wrong with them.
func (a *audit) part(x Index, i int, b []byte) {
	e := x.Parts[i]
	p, err := ReadPart(b)
	switch tree, sumErr := p.tree(); {
	case essaim.DigestOf(b) != e.Blob:
		a.say(FaultBlob, 0, "part %d is other bytes than the index names", i+1)
	case err != nil:
		a.say(FaultDamaged, 0, "part %d: %v", i+1, err)
	case sumErr != nil:
		a.say(FaultDamaged, 0, "part %d: %v", i+1, sumErr)
	default:
		if tree.Root() != e.Root || len(p.Leaves) != PartLeaves && len(p.Leaves) != int(a.claim.Root.Count())-i*PartLeaves {
			a.say(FaultDamaged, 0, "part %d is not what the index says", i+1)
		}
		a.parts = append(a.parts, tree.Root())
	}
	if err == nil && (p.ChainID != x.ChainID || p.Session != x.Session) {
		a.say(FaultForeign, 0, "part %d is of session %s of chain %q", i+1, p.Session, p.ChainID)
	}
	opened := a.read(p.Leaves)
	for j, l := range p.Leaves {
		a.leaf(i*PartLeaves+j+1, l, opened[j])
	}
}

// opened is a leaf's content with what is wrong with its signatures.
type opened struct {
	task                essaim.Task
	payer               essaim.NodeKey
	receipt             essaim.Receipt
	taskErr, receiptErr error
}

// read opens leaves; their signatures are checked together.
func (a *audit) read(leaves []Leaf) []opened {
	out := make([]opened, len(leaves))
	var checks []essaim.Signature
	var whose []*error
	for i, l := range leaves {
		o := &out[i]
		var s essaim.Signature
		if o.task, s, o.taskErr = essaim.ReadTask(l.Task); o.taskErr == nil {
			o.payer, checks, whose = s.Signer(), append(checks, s), append(whose, &o.taskErr)
		}
		if o.receipt, s, o.receiptErr = essaim.ReadReceipt(l.Receipt); o.receiptErr == nil {
			checks, whose = append(checks, s), append(whose, &o.receiptErr)
		}
		if len(checks) >= together || i == len(leaves)-1 {
			for j, err := range essaim.CheckSignatures(checks) {
				*whose[j] = err
			}
			checks, whose = checks[:0], whose[:0]
		}
	}
	return out
}

// leaf checks one leaf.
func (a *audit) leaf(n int, l Leaf, o opened) {
	a.out.Leaves++
	before := a.out.Sum
	a.out.Sum += l.Amount // of the whole, an overflow shows in the tree
	if o.receiptErr != nil {
		a.say(FaultUnsigned, n, "%v", o.receiptErr)
		return
	}
	r := o.receipt
	a.out.Counted++
	a.inLine(n, before, l.Amount, r)
	t := a.totals[payee{r.Miner, r.Model}]
	if t == nil {
		t = &Total{Miner: r.Miner, Model: r.Model}
		a.totals[payee{r.Miner, r.Model}] = t
	}
	t.Tasks++
	t.Amount += l.Amount
	switch {
	case r.ChainID != a.claim.ChainID:
		a.say(FaultForeign, n, "the receipt is of chain %q", r.ChainID)
	case r.Session != a.claim.Session.ID:
		a.say(FaultForeign, n, "the receipt is of session %s", r.Session)
	case r.Coordinator != a.claim.Session.Coordinator:
		a.say(FaultForeign, n, "the receipt is for coordinator %s", r.Coordinator.Short())
	case o.taskErr != nil:
		a.say(FaultUnsigned, n, "%v", o.taskErr)
	case o.payer != a.claim.Session.SessionKey:
		a.say(FaultUnsigned, n, "the task is signed by %s, the session's key is %s", o.payer.Short(), a.claim.Session.SessionKey.Short())
	}
	a.once(n, r)
	if o.taskErr == nil {
		a.binds(n, o.task, r)
	}
	if l.Amount != r.Price {
		a.say(FaultOverpriced, n, "it counts for %d uaim, the receipt says %d", l.Amount, r.Price)
	}
}

// inLine holds a leaf's place against the lines: line i pays as many leaves, in their
// order, as it has tasks.
func (a *audit) inLine(n int, before, amount essaim.Amount, r essaim.Receipt) {
	lines := a.claim.Lines
	for a.line < len(lines) && uint64(n-1)-a.covered.tasks >= lines[a.line].Tasks {
		a.covered.tasks += lines[a.line].Tasks
		a.covered.amount += lines[a.line].Amount
		a.line++
	}
	if lines == nil || a.outside > 0 {
		return
	}
	if a.line == len(lines) || lines[a.line].Miner != r.Miner || lines[a.line].Model != r.Model ||
		before < a.covered.amount || before+amount > a.covered.amount+lines[a.line].Amount {
		a.outside = n
	}
}

// once finds a task that is there twice, by its number: the payer gives each task a number
// of its own.
func (a *audit) once(n int, r essaim.Receipt) {
	var first int
	if r.Seq < uint64(len(a.dense)) {
		if first = int(a.dense[r.Seq]); first == 0 {
			a.dense[r.Seq] = uint32(n)
		}
	} else if first = a.seqs[r.Seq]; first == 0 {
		a.seqs[r.Seq] = n
	}
	if first > 0 {
		a.found(Finding{FaultDoubled, n, first, fmt.Sprintf("task number %d is receipt %d too", r.Seq, first)})
	}
}

func (a *audit) binds(n int, t essaim.Task, r essaim.Receipt) {
	if r.Task == t.Digest() && r.Price > t.MaxPrice {
		a.say(FaultOverpriced, n, "%d uaim, the payer agreed to at most %d", r.Price, t.MaxPrice)
		return
	}
	if err := r.Binds(t); err != nil {
		a.say(FaultUnbound, n, "%v", err)
	}
}

// compare holds what the receipts come to against what the ledger has settled.
func (a *audit) compare() {
	tree, err := sumtree.Over(a.parts)
	if err != nil {
		a.say(FaultDamaged, 0, "%v", err)
	} else if a.out.Proven = tree.Root() == a.claim.Root; !a.out.Proven {
		a.say(FaultRoot, 0, "%d receipts come to %d uaim, the settlement says %d and %d",
			a.out.Leaves, a.out.Sum, a.claim.Root.Count(), a.claim.Root.Sum())
	}
	a.out.Compared = a.claim.Lines != nil || a.claim.Root.Count() == 0
	for _, l := range a.claim.Lines {
		t := a.totals[payee{l.Miner, l.Model}]
		if t == nil {
			t = &Total{Miner: l.Miner, Model: l.Model}
			a.totals[payee{l.Miner, l.Model}] = t
		}
		t.Settled, t.SettledTasks = l.Amount, l.Tasks
	}
	for _, t := range a.totals {
		a.out.Totals = append(a.out.Totals, *t)
	}
	slices.SortFunc(a.out.Totals, func(a, b Total) int {
		return essaim.Line{Miner: a.Miner, Model: a.Model}.Compare(essaim.Line{Miner: b.Miner, Model: b.Model})
	})
	if !a.out.Compared {
		return
	}
	if a.outside > 0 {
		a.say(FaultLine, a.outside, "it lies outside of the line that pays it")
	}
	for _, t := range a.out.Totals {
		if t.Amount != t.Settled || t.Tasks != t.SettledTasks {
			a.say(FaultLine, 0, "miner %s with model %s: %d receipts of %d uaim, settled %d of %d",
				t.Miner.Short(), t.Model.Short(), t.Tasks, t.Amount, t.SettledTasks, t.Settled)
		}
	}
}
