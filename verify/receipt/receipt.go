// Package receipt is the cheapest check, V0: that what a receipt says fits the task, the
// input and the output in hand.
//
// It runs no model. It exists as a method of its own so that the table of what each method
// catches shows how little this one does; all others begin with it. It must not open
// signatures: whoever makes a case has done that.
package receipt

import (
	"context"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify"
)

// Name of the method.
const Name = "receipt"

// Method is ready as it is.
type Method struct{}

// About describes the method.
func (Method) About() verify.About {
	return verify.About{
		Name: Name, Rung: "V0", For: "all tasks", Needs: "task, receipt, input, output",
		Proves: "this miner answers this task with these bytes", Not: "that the model has made them",
		Cost: "one hash of the output", Score: "0",
	}
}

// Check is verify.Case.Check as a finding.
func (Method) Check(_ context.Context, c verify.Case) (verify.Finding, error) {
	if err := c.Check(); err != nil {
		return verify.Bound(Name, err), nil
	}
	return verify.Finding{Method: Name, Result: essaim.VerdictValid}, nil
}
