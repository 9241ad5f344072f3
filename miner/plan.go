package miner

import (
	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/transport"
)

// planned refuses a task that says of its prompt what the model does not read out of it: the result would be wrong
// before the ledger, whatever the miner computes.
func (a *attempt) planned() *failure {
	if a.task.Plan.IsZero() {
		return nil
	}
	p, ok := a.runner.engine.(engine.Planner)
	if !ok {
		return fail(transport.FailRefused, essaim.CodeBadInput, "sign tasks of this model without a plan", "the engine reads no plans")
	}
	begins, err := p.Plan(a.request)
	if err != nil {
		return fail(transport.FailRefused, essaim.CodeBadInput, "ask for something else", "the engine cannot run this request")
	}
	if planOf(a.input, begins) != a.task.Plan {
		return fail(transport.FailRefused, essaim.CodeBadInput, "upgrade the older of the two programs", "the prompt is not the one that the task's plan is of")
	}
	return nil
}

func planOf(in essaim.Input, begins essaim.Digest) essaim.Digest {
	return essaim.Digest(quant.PlanHash(quant.Hash(in.PlanSalt()), quant.Hash(begins)))
}
