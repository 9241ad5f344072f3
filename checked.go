package essaim

// AuditState is where the question stands whether a receipt is checked beyond its
// signatures.
type AuditState string

// The states of an audit. They are part of what gateways answer: add to the list, never
// rename.
const (
	AuditWaiting AuditState = "waiting"     // for the beacon of Height
	AuditPassed  AuditState = "passed over" // that beacon has not drawn the receipt
	AuditDrawn   AuditState = "drawn"       // it has: Ask is to run the task again, and needs the input
	AuditRunning AuditState = "running"     // the task is being run again
	AuditDone    AuditState = "done"        // Verdicts say what came of it
	AuditNone    AuditState = "not audited" // drawn, but it could not be done: Reason says why
)

// Checked is what is known of a task's receipt beyond its signatures: what was checked, by
// whom, and at which height that was drawn.
type Checked struct {
	Task    Digest     `json:"task"`
	Receipt Digest     `json:"receipt"`
	State   AuditState `json:"state"`
	Height  int64      `json:"height"`           // of the beacon that draws
	Share   Bps        `json:"share"`            // of this miner's receipts that was audited at that time
	Reason  string     `json:"reason,omitempty"` // for people, without the prompt
	Ask     *Candidate `json:"ask,omitempty"`    // to whom the input is to be sealed; nil: to nobody now
	Checks  []Check    `json:"checks,omitempty"`
}

// Check is one comparison of a receipt with what somebody else got for the same input.
// Package verify says whether it holds.
type Check struct {
	Verdict []byte `json:"verdict"` // COSE_Sign1 by who has compared
	Rerun   []byte `json:"rerun"`   // an encoded ReceiptFile: the signed task and receipt of who has run it again
}

// ShareBody hands in a task's input for its audit: sealed to Checked.Ask, with the same
// info as the input of the task.
type ShareBody struct {
	Input []byte `json:"input"`
}

// Result is what two receipts of an exact model must agree on: the pixels, or the output
// where there are none.
func (r Receipt) Result() Digest {
	if r.Pixels.IsZero() {
		return r.Output
	}
	return r.Pixels
}
