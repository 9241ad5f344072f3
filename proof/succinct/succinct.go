// Package succinct is the second mode of proofs: it proves what package proof proves, whole runs of an integer engine, to a
// checker who sees no activation of the network (docs/protocol/proof-succinct.md).
//
// It exists because a proof in clear mode shows everything to the client who paid for it; a stranger, a page or a
// ledger needs less. The activations are committed to (commit.Vector), what the cheap operators make of them is shown by look-ups in a
// table (package lookup), and products by the sumcheck of clear mode; all that is left are sums over the
// committed numbers, which one more sumcheck makes one. Read it in this order: system.go (what a run's
// operators say without its activations), change.go (a change of unit in integers), fill.go (the
// activations), forms.go (what is left to show), prove.go, verify.go, encode.go.
//
// What is shown says what the picture says, and nothing of the rest is hidden well: it is not zero-knowledge, and must never
// be called so. The package knows no engine, does no I/O, reads no clock and draws nothing at random.
package succinct

import (
	"fmt"
	"slices"

	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/quant"
)

// Mode is the number that proofs of this mode carry.
const Mode = 2

// Limits of one proof.
const (
	maxLeaves = 1 << 20 // look-ups and the table's rows
	maxBound  = 1 << 25 // of a number whose unit is changed
)

// unprovable complains about an operator.
func unprovable(o quant.Op, format string, args ...any) error {
	return fmt.Errorf("%w: %s of %s: %s", proof.ErrUnprovable, o.Operator.Kind(), o.Layer, fmt.Sprintf(format, args...))
}

// A Run is one as the prover keeps it: its Watch is to be shown each operator. It refers to what it was shown.
type Run struct{ ops []quant.Op }

// Watch is shown an operator.
func (r *Run) Watch(o quant.Op) { r.ops = append(r.ops, o) }

// last is the place of the last hidden operator: the first change of unit after everything that is linear of which all that
// follows can be computed.
func (r *Run) last() (int, bool) {
	hidden, linear := map[int]bool{}, -1
	for i, o := range r.ops {
		hidden[o.Out.ID] = proof.Linear(o) || slices.ContainsFunc(o.In, func(v quant.Value) bool { return hidden[v.ID] })
		if proof.Linear(o) {
			linear = i
		}
	}
	for i := linear + 1; i > 0 && i < len(r.ops); i++ {
		id := r.ops[i].Out.ID
		other := func(v quant.Value) bool { return hidden[v.ID] && v.ID < id }
		reads := func(o quant.Op) bool { return slices.ContainsFunc(o.In, other) }
		if isChange(r.ops[i]) && hidden[id] && !slices.ContainsFunc(r.ops[i+1:], reads) {
			return i, true
		}
	}
	return 0, false
}

func isChange(o quant.Op) bool {
	switch o.Operator.(type) {
	case quant.Activate, quant.Rescale:
		return true
	}
	return false
}
