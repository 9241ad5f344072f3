// Package verify is the contract of ways to check a finished task beyond its signatures.
//
// A [Method] looks at a [Case], which is what a verifier has in hand, and says valid,
// invalid or unclear. It exists because a receipt proves who says what, not that it is
// right. Methods live in verify/NAME, the list of those in the binary in verify/all, the
// conformance suite, which measures how often each is wrong, in verify/verifytest; its
// figures are in docs/verification.md.
//
// A method must not hold anything against anybody: what follows from findings is decided
// by verify/trust and the ledger. It must not log or keep prompts, and nothing here
// knows engines, keys or networks.
package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/png" // the format of pictures

	"github.com/essaim/essaim"
)

// Method is one way of checking. Implementations are safe for concurrent use.
type Method interface {
	// About describes the method; always the same.
	About() About

	// Check looks at a case. It first does what V0 does ([Case.Check]): what is bound
	// wrongly is invalid to every method.
	//
	// Errors: wraps ErrCannot if the method cannot judge such a case, or not with what is
	// at hand; the context's error; any other is the verifier's own fault. None of them
	// says anything about the miner.
	Check(ctx context.Context, c Case) (Finding, error)
}

// ErrCannot is wrapped when a method has nothing to say about a case.
var ErrCannot = errors.New("cannot be checked this way")

// About is what people have to know of a method. The figures beside it in
// docs/verification.md are measured.
type About struct {
	Name   string // lower case, as in verdicts
	Rung   string // of the ladder, such as "V2"
	For    string // which tasks
	Needs  string // what must be at hand
	Proves string // if it says valid
	Not    string // what it does not prove even then
	Cost   string // beside running the task once
	Score  string // what Finding.Score counts
}

// Case is a finished task as a verifier has it, in the clear.
type Case struct {
	Task    essaim.Task
	Receipt essaim.Receipt
	Input   essaim.Input
	Output  essaim.Output

	Answers []Answer // of other miners to the same task, for replica
	Trace   []byte   // the records of the operators that the miner says it computed (docs/protocol/trace.md); nil: not shown
}

// Answer is another miner's answer to the same task, after both have revealed.
type Answer struct {
	Receipt essaim.Receipt
	Output  essaim.Output
}

// Finding is what a check came to.
type Finding struct {
	Method   string
	Result   essaim.VerdictResult
	Near     bool          // not valid, but as near as other hardware comes
	Score    uint64        // see About.Score
	Evidence essaim.Digest // of what the verifier found instead; zero: nothing
	Reason   string        // for people, without the prompt; empty if valid
	Next     string        // the method to ask if this one cannot tell; empty: none
}

// Verdict makes an unsigned verdict of a finding. height is that of the beacon that drew
// the verifier, 0 if it was asked.
func (f Finding) Verdict(r essaim.Receipt, verifier essaim.NodeKey, height int64) essaim.Verdict {
	v := essaim.NewVerdict(r, verifier)
	v.Method, v.Result, v.Near, v.Score, v.Evidence, v.Height = f.Method, f.Result, f.Near, f.Score, f.Evidence, height
	return v
}

// Check is what needs neither engine nor network (V0): the receipt binds the task, the
// input is the one that was asked, the output the one that was promised, and a picture
// decodes to the pixels and the size that the receipt names. Signatures and the deadline
// are checked where task and receipt are opened.
//
// Errors: say what is wrong with the miner's work.
func (c Case) Check() error {
	if err := c.Receipt.Binds(c.Task); err != nil {
		return err
	}
	if c.Input.Digest() != c.Task.Input {
		return fmt.Errorf("the input is not the task's")
	}
	return checkOutput(c.Task, c.Receipt, c.Output)
}

// Check is what Case.Check does, for another miner's answer to the same task.
//
// Errors: say what is wrong with that miner's work.
func (a Answer) Check(t essaim.Task) error {
	if err := a.Receipt.Binds(t); err != nil {
		return err
	}
	return checkOutput(t, a.Receipt, a.Output)
}

func checkOutput(t essaim.Task, r essaim.Receipt, o essaim.Output) error {
	switch {
	case essaim.DigestOf(o.Data) != r.Output || uint64(len(o.Data)) != r.Size:
		return fmt.Errorf("the output is not the receipt's")
	case o.MediaType != r.MediaType:
		return fmt.Errorf("the output is %q, the receipt says %q", o.MediaType, r.MediaType)
	case t.Kind != essaim.KindImage:
		return nil
	}
	m, err := Decode(o)
	if err != nil {
		return err
	}
	if size := m.Bounds().Size(); size != image.Pt(int(r.Width), int(r.Height)) {
		return fmt.Errorf("the picture is %v, the receipt says %dx%d", size, r.Width, r.Height)
	}
	if PixelsDigest(m) != r.Pixels {
		return fmt.Errorf("the pixels are not the receipt's")
	}
	return nil
}

// Decode reads an output's picture, of at most MaxSide pixels a side.
//
// Errors: it is none.
func Decode(o essaim.Output) (image.Image, error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(o.Data))
	if err != nil || format != "png" || o.MediaType != "image/png" {
		return nil, fmt.Errorf("the output is no PNG: %v", err)
	}
	if config.Width > essaim.MaxSide || config.Height > essaim.MaxSide {
		return nil, fmt.Errorf("the picture is %dx%d, too large", config.Width, config.Height)
	}
	m, _, err := image.Decode(bytes.NewReader(o.Data))
	if err != nil {
		return nil, fmt.Errorf("the picture does not decode: %w", err)
	}
	return m, nil
}

// Runner runs a case's task once more, on the verifier's own machine.
type Runner interface {
	// Again gives the result that the task has here.
	//
	// Errors: wraps ErrCannot if the model is not here; ErrNever if no machine can run
	// the task; the context's; any other is the verifier's own fault.
	Again(ctx context.Context, c Case) (Again, error)
}

// ErrNever is wrapped when a task can have no result, so that a miner that gave one has
// made it up.
var ErrNever = errors.New("the task has no result")

// Again is the result of a task that was run once more.
type Again struct {
	Output essaim.Output
	Steps  int
	Trace  essaim.Digest // commitment to the operators; zero: none
	Exact  bool          // the same task gives the same bits on every machine
}

// Follow checks a case by the method called first and, as long as one cannot tell and
// names another, by that one, each at most once. find looks methods up by name.
//
// Errors: those of Method.Check, with what was found until then.
func Follow(ctx context.Context, find func(name string) (Method, bool), first string, c Case) ([]Finding, error) {
	var out []Finding
	asked := map[string]bool{}
	for name := first; name != "" && !asked[name]; {
		m, ok := find(name)
		if !ok {
			return out, fmt.Errorf("%w: there is no method %q", ErrCannot, name)
		}
		asked[name] = true
		f, err := m.Check(ctx, c)
		if err != nil {
			return out, fmt.Errorf("checking by %s: %w", name, err)
		}
		if out, name = append(out, f), f.Next; f.Result != essaim.VerdictUnclear {
			break
		}
	}
	return out, nil
}

// Bound is the finding of a method whose V0 check failed.
func Bound(method string, err error) Finding {
	return Finding{Method: method, Result: essaim.VerdictInvalid, Reason: err.Error()}
}
