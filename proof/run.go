package proof

import (
	"crypto/sha256"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/quant"
)

// A Run is one as the prover keeps it: its Watch is to be shown each operator, of Engine.RunTraced or of
// Walk. It refers to what it was shown. The zero Run has seen nothing.
type Run struct {
	Untraced bool // nobody asks for its trace, which is as much work as a small picture

	ops     []quant.Op // the linear ones
	headers []byte     // of all
	last    quant.Op
	hash    quant.TraceHash
}

// Watch is shown an operator.
func (r *Run) Watch(o quant.Op) {
	r.headers = o.Header().Append(r.headers)
	if !r.Untraced {
		r.hash.Add(o)
	}
	r.last = o
	if linear(o) {
		r.ops = append(r.ops, o)
	}
}

// Result is the SHA-256 of the last operator's output.
func (r *Run) Result() essaim.Digest {
	if r.last.Operator == nil {
		return essaim.Digest{}
	}
	return sha256.Sum256(r.last.AppendOutput(nil))
}

// Trace commits to all operators.
func (r *Run) Trace() essaim.Digest { return r.hash.Root() }

// claims are what the run claims of a model, unchecked, and the outputs to be given.
//
// Errors: wraps ErrUnprovable.
func (r *Run) claims(m *Model) (all []claim, given [][]int32, err error) {
	for _, o := range r.ops {
		i, ok := m.matrix(o)
		if !ok {
			return nil, nil, fmt.Errorf("%w: %s of %s is not the model's", ErrUnprovable, o.Operator.Kind(), o.Layer)
		}
		all = append(all, claimsOf(o, i, m.layout.Shapes[i], o.Out.Wide)...)
		given = append(given, o.Out.Wide)
	}
	return all, given, nil
}
