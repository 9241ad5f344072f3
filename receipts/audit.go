package receipts

import (
	"fmt"

	"github.com/essaim/essaim"
)

// Claim is what the ledger says of a settled session: what a set of receipts must prove.
type Claim struct {
	ChainID  string
	Session  essaim.Session
	Root     essaim.SumRoot
	Receipts essaim.Digest // of the blob; zero: the settlement names none
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
	Leaf  int    `json:"leaf,omitempty"` // from 1; 0: of the whole
	Text  string `json:"text"`
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
	Counted  int           `json:"counted"`  // whose signature holds: only they are in the sum
	Sum      essaim.Amount `json:"sum"`      // of those, in uaim
	Compared bool          `json:"compared"` // the ledger still had the lines; else the root alone was compared
	Totals   []Total       `json:"totals"`
	Findings []Finding     `json:"findings"`
}

// audit is one audit under way.
type audit struct {
	claim Claim
	tree  *tree
	tasks map[essaim.Digest]int // digest of a task to its first leaf
	seqs  map[uint64]int        // number of a task to its first leaf
	out   Report
}

// Audit does a settlement's sum again from the blob of its receipts. It does not stop at
// the first fault. What it cannot see: receipts that the coordinator has left out (their
// miners hold its promises), and whether the work was done well.
//
// Errors: none for a lying blob, which is what the findings are for; CodeInternal if the
// tree cannot be built.
func Audit(b []byte, c Claim) (Report, error) {
	a := audit{claim: c, tree: newTree(), tasks: map[essaim.Digest]int{}, seqs: map[uint64]int{}}
	a.out.Totals, a.out.Findings = []Total{}, []Finding{}
	for i, l := range a.leaves(b) {
		a.out.Leaves++
		if err := a.leaf(i+1, l); err != nil {
			return a.out, err
		}
	}
	return a.out, a.compare()
}

// leaves reads the blob, and checks that it is the one that the ledger names. A settlement
// that paid nothing names none, and b is empty.
func (a *audit) leaves(b []byte) []essaim.ReceiptFile {
	if len(b) == 0 && a.claim.Receipts.IsZero() {
		return nil
	}
	if d := essaim.DigestOf(b); d != a.claim.Receipts {
		named := "none"
		if !a.claim.Receipts.IsZero() {
			named = essaim.CIDOf(a.claim.Receipts)
		}
		a.found(FaultBlob, 0, "the bytes are %s, the ledger names %s", essaim.CIDOf(d), named)
	}
	set, err := Read(b)
	switch {
	case err != nil:
		a.found(FaultDamaged, 0, "%v", err)
	case set.ChainID != a.claim.ChainID || set.Session != a.claim.Session.ID:
		a.found(FaultForeign, 0, "the set is of session %s of chain %q", set.Session, set.ChainID)
	}
	return set.Leaves
}

func (a *audit) found(f Fault, leaf int, format string, args ...any) {
	a.out.Findings = append(a.out.Findings, Finding{f, leaf, fmt.Sprintf(format, args...)})
}

// leaf checks one leaf. A receipt that its miner has signed counts in the tree, whatever
// else is wrong with it: so the coordinator must have counted it.
func (a *audit) leaf(n int, l essaim.ReceiptFile) error {
	t, payer, taskErr := essaim.OpenTask(l.Task)
	r, err := essaim.OpenReceipt(l.Receipt)
	if err != nil {
		a.found(FaultUnsigned, n, "%v", err)
		return nil
	}
	switch err := a.tree.add(r, l.Receipt); {
	case essaim.CodeOf(err) == essaim.CodeBadInput && err != nil:
		a.found(FaultDamaged, n, "%v", err)
		return nil
	case err != nil:
		return err
	}
	a.out.Counted++
	switch {
	case r.ChainID != a.claim.ChainID:
		a.found(FaultForeign, n, "the receipt is of chain %q", r.ChainID)
	case r.Session != a.claim.Session.ID:
		a.found(FaultForeign, n, "the receipt is of session %s", r.Session)
	case r.Coordinator != a.claim.Session.Coordinator:
		a.found(FaultForeign, n, "the receipt is for coordinator %s", r.Coordinator.Short())
	case taskErr != nil:
		a.found(FaultUnsigned, n, "%v", taskErr)
	case payer != a.claim.Session.SessionKey:
		a.found(FaultUnsigned, n, "the task is signed by %s, the session's key is %s", payer.Short(), a.claim.Session.SessionKey.Short())
	}
	a.once(n, r)
	if taskErr == nil {
		a.binds(n, t, r)
	}
	return nil
}

// once finds a task that is there twice: by its digest, or by its number with another
// content, for the payer gives each task a number of its own.
func (a *audit) once(n int, r essaim.Receipt) {
	if first, ok := a.tasks[r.Task]; ok {
		a.found(FaultDoubled, n, "task %s is receipt %d too", r.Task.Short(), first)
		return
	}
	a.tasks[r.Task] = n
	if first, ok := a.seqs[r.Seq]; ok {
		a.found(FaultDoubled, n, "task number %d is receipt %d too", r.Seq, first)
		return
	}
	a.seqs[r.Seq] = n
}

func (a *audit) binds(n int, t essaim.Task, r essaim.Receipt) {
	if r.Task == t.Digest() && r.Price > t.MaxPrice {
		a.found(FaultOverpriced, n, "%d uaim, the payer agreed to at most %d", r.Price, t.MaxPrice)
		return
	}
	if err := r.Binds(t); err != nil {
		a.found(FaultUnbound, n, "%v", err)
	}
}

// compare holds what the receipts come to against what the ledger has settled.
func (a *audit) compare() error {
	root, err := a.tree.root()
	if err != nil {
		return err
	}
	a.out.Sum = root.Sum()
	if root != a.claim.Root {
		a.found(FaultRoot, 0, "%d receipts come to %d uaim, the settlement says %d and %d",
			root.Count(), root.Sum(), a.claim.Root.Count(), a.claim.Root.Sum())
	}
	proven := a.tree.sorted()
	a.out.Compared = a.claim.Lines != nil || a.claim.Root.Count() == 0
	settled := a.claim.Lines
	for len(proven) > 0 || len(settled) > 0 {
		var t Total
		switch {
		case len(settled) == 0 || len(proven) > 0 && proven[0].Compare(settled[0]) < 0:
			t, proven = Total{proven[0].Miner, proven[0].Model, proven[0].Tasks, proven[0].Amount, 0, 0}, proven[1:]
		case len(proven) == 0 || proven[0].Compare(settled[0]) > 0:
			t, settled = Total{settled[0].Miner, settled[0].Model, 0, 0, settled[0].Tasks, settled[0].Amount}, settled[1:]
		default:
			t = Total{proven[0].Miner, proven[0].Model, proven[0].Tasks, proven[0].Amount, settled[0].Tasks, settled[0].Amount}
			proven, settled = proven[1:], settled[1:]
		}
		if a.out.Compared && (t.Amount != t.Settled || t.Tasks != t.SettledTasks) {
			a.found(FaultLine, 0, "miner %s with model %s: %d receipts of %d uaim, settled %d of %d",
				t.Miner.Short(), t.Model.Short(), t.Tasks, t.Amount, t.SettledTasks, t.Settled)
		}
		a.out.Totals = append(a.out.Totals, t)
	}
	return nil
}
