// Package phash compares the perceptual hash of a picture with that of a rerun: eight
// bytes, which travel and are kept where pictures are not.
//
// It is the weakest comparison that looks at the content. Anybody can draw a picture with a
// given hash by cheaper means, so it must not be the only check of anything that is
// paid for; the measured table shows what it lets through.
package phash

import (
	"context"
	"errors"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify"
)

// Name of the method.
const Name = "phash"

// Method compares with what its runner gives.
type Method struct{ Runner verify.Runner }

// About describes the method.
func (Method) About() verify.About {
	return verify.About{
		Name: Name, Rung: "part of V1 and V2", For: "pictures", Needs: "the hash of a picture by someone who has run the task",
		Proves: "the picture looks like the model's", Not: "how it was drawn: a cheaper model's picture may look the same",
		Cost: "1 run by whoever makes the hash, then 8 bytes", Score: "hash bits that differ, of 64",
	}
}

// Check compares hashes.
func (m Method) Check(ctx context.Context, c verify.Case) (verify.Finding, error) {
	if err := c.Check(); err != nil {
		return verify.Bound(Name, err), nil
	}
	if c.Task.Kind != essaim.KindImage {
		return verify.Finding{}, fmt.Errorf("%w: kind %s has no picture", verify.ErrCannot, c.Task.Kind)
	}
	again, err := m.Runner.Again(ctx, c)
	if errors.Is(err, verify.ErrNever) {
		return verify.Bound(Name, err), nil
	}
	if err != nil {
		return verify.Finding{}, err
	}
	want, err := verify.Decode(again.Output)
	if err != nil {
		return verify.Finding{}, fmt.Errorf("the rerun's picture: %w", err)
	}
	got, err := verify.Decode(c.Output)
	if err != nil {
		return verify.Bound(Name, err), nil
	}
	return Judge(verify.HashOf(got), verify.HashOf(want)), nil
}

// Judge is the finding about two hashes.
func Judge(got, want verify.Hash) verify.Finding {
	bits := got.Distance(want)
	f := verify.Finding{Method: Name, Result: essaim.VerdictValid, Score: uint64(bits)}
	if bits <= verify.HashAccept {
		return f
	}
	f.Reason = fmt.Sprintf("%d of 64 hash bits differ", bits)
	if f.Result = essaim.VerdictInvalid; bits < verify.HashReject {
		f.Result, f.Near, f.Next = essaim.VerdictUnclear, true, "rerun"
	}
	return f
}
