package verify

import (
	"fmt"

	"github.com/essaim/essaim"
)

// Work is a finished task as its coordinator has it: nothing in it is in the clear.
type Work struct {
	Task    essaim.Task
	Receipt essaim.Receipt
	File    essaim.ReceiptFile // both as they were signed
	Input   []byte             // sealed to the candidates of the quote
	Consent []byte             // the input sealed to the coordinator, by a client that agrees to an audit without it; nil: it does not
}

// Fault is a result that is wrong, for whoever takes it to the ledger.
type Fault struct {
	File  essaim.ReceiptFile // of the wrong result
	Right essaim.ReceiptFile // of somebody else's for the same input; zero: the verifier's own machine has run it
	Input []byte             // encoded, in the clear; nil: the verifier has not seen it
}

// Same reports whether two receipts are about the same request: whatever decides the
// result of an exact model.
func Same(a, b essaim.Receipt) bool {
	return a.ChainID == b.ChainID && a.Model == b.Model && a.Input == b.Input && a.Seed == b.Seed && a.Steps == b.Steps && a.Width == b.Width && a.Height == b.Height
}

// Agree reports whether they have the same result, by the same way to the last operator.
func Agree(a, b essaim.Receipt) bool { return a.Result() == b.Result() && a.Trace == b.Trace }

// Examine reports whether a check of a receipt holds by itself: the verdict is signed and
// about this receipt, the rerun is another miner's and of the same request, and they say
// of each other what the results say. Who signed, and whether the beacon has drawn
// that miner, is for whoever can ask the ledger.
//
// Errors: CodeRefused or CodeBadInput, naming what does not hold.
func Examine(r essaim.Receipt, c essaim.Check) (v essaim.Verdict, rerun essaim.Receipt, err error) {
	if v, err = essaim.OpenVerdict(c.Verdict); err != nil {
		return v, rerun, err
	}
	if err := v.Judges(r); err != nil {
		return v, rerun, err
	}
	if rerun, _, _, err = essaim.ReadReceiptFile(c.Rerun); err != nil {
		return v, rerun, fmt.Errorf("rerun: %w", err)
	}
	no := func(why string) (essaim.Verdict, essaim.Receipt, error) {
		return v, rerun, essaim.Errorf(essaim.CodeRefused, "the coordinator shows something else than a check of this receipt", "check: %s", why)
	}
	switch {
	case rerun.Miner == r.Miner:
		return no("the miner is compared with itself")
	case !Same(r, rerun):
		return no("the rerun is of another request")
	case v.Evidence != rerun.Digest():
		return no("the verdict is about another rerun")
	case (v.Result == essaim.VerdictValid) != Agree(r, rerun):
		return no("the verdict is not what the two results say")
	}
	return v, rerun, nil
}
