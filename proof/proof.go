// Package proof proves that every number of whole runs of an integer engine was computed with a model's registered
// weights, and checks such proofs without the weights (V5; docs/protocol/proof.md).
//
// It exists because an integer engine's operators are of two sorts: products of matrices, which cost nearly
// everything and are linear, and all else, which costs little. So the verifier runs the engine again with the
// products' outputs given to it, and is then convinced that they are right by one sumcheck
// over all of them (package sumcheck) and one opening of the committed weights (package commit). Read it in
// this order: statement (here), run.go (what the prover keeps), claims.go (what is left to show),
// prove.go, verify.go, encode.go; model.go is what both know of a model.
//
// It knows no engine: whoever calls it has one that can walk. In clear mode, which is this package, nothing is hidden
// from the verifier; in succinct mode (package succinct) activations are not shown. Neither must ever be called zero-knowledge. The package does no I/O, reads no
// clock and draws nothing at random: a proof of the same runs is the same bytes.
package proof

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

// ErrRefused is wrapped by every refusal of a proof.
var ErrRefused = errors.New("the proof does not hold")

// ErrUnprovable is wrapped by complaints about runs that cannot be proven.
var ErrUnprovable = errors.New("the run cannot be proven")

// A Statement is what a proof is of. Who checks a proof makes it of what he knows.
type Statement struct {
	Chain         string        // chain ID; empty outside of a network
	Task          essaim.Digest // of the signed task; zero outside of a network
	Model         essaim.Digest // of the manifest
	Prompt        string
	Seed          uint64
	Width, Height int           // pixels, defaults filled in; 0 for kinds without
	Steps         int           // as width
	Result        essaim.Digest // SHA-256 of the last operator's output
	Trace         essaim.Digest // commitment to all operators; zero: not claimed
}

// Of is what a receipt claims of a prompt. It is the statement that proofs which come with results are of.
func Of(r essaim.Receipt, prompt string) Statement {
	s := Statement{
		Chain: r.ChainID, Task: r.Task, Model: r.Model, Prompt: prompt, Seed: r.Seed,
		Width: int(r.Width), Height: int(r.Height), Steps: int(r.Steps), Result: r.Pixels, Trace: r.Trace,
	}
	if s.Result.IsZero() {
		s.Result = r.Output
	}
	return s
}

// Request is what the statement says was run.
func (s Statement) Request() engine.Request {
	return engine.Request{Model: s.Model, Prompt: s.Prompt, Seed: s.Seed, Width: s.Width, Height: s.Height, Steps: s.Steps}
}

// bytes are what the transcript absorbs of it.
func (s Statement) bytes() []byte {
	var b []byte
	text := func(s string) { b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...) }
	text(s.Chain)
	b = append(append(b, s.Task[:]...), s.Model[:]...)
	text(s.Prompt)
	for _, n := range []uint64{s.Seed, uint64(s.Width), uint64(s.Height), uint64(s.Steps)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return append(append(b, s.Result[:]...), s.Trace[:]...)
}

// A Walker is an engine that goes through a run's operators, taking from given the outputs that
// it knows; engine/pixel and engine/text have it. To check, it needs no matrices.
type Walker interface {
	Walk(ctx context.Context, r engine.Request, given func(quant.Op) (quant.Value, bool), watch func(quant.Op)) error
}

// Limits of one proof.
const (
	MaxStatements = 1024
	maxOutputs    = 256     // given ones of a run
	maxElements   = 1 << 24 // of all given ones
	maxVectors    = 1 << 16 // of all given ones
)
