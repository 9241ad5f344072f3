package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/verify"
)

// trust is what was found out about a receipt by others, as far as it holds by itself.
type trust struct {
	State  essaim.AuditState `json:"state"`
	Height int64             `json:"height"`
	Reason string            `json:"reason,omitempty"`
	Checks []trustedCheck    `json:"checks"`
}

type trustedCheck struct {
	Method string               `json:"method"`
	Result essaim.VerdictResult `json:"result"`
	Near   bool                 `json:"near,omitempty"`
	Height int64                `json:"height"` // 0: the client had asked for it
	Miner  essaim.NodeKey       `json:"miner"`  // who has run it again
	By     essaim.NodeKey       `json:"by"`     // who has compared
}

// askChecks asks a gateway what was checked of a receipt, and believes only what is signed
// and holds together.
//
// Errors: CodeRefused if what the gateway shows does not.
func askChecks(ctx context.Context, gateway string, r essaim.Receipt) (trust, error) {
	h, err := client.Dial(gateway)
	if err != nil {
		return trust{}, err
	}
	defer h.CloseIdleConnections()
	c, err := h.Checked(ctx, r.Task)
	if essaim.CodeOf(err) == essaim.CodeNotFound && err != nil {
		return trust{State: essaim.AuditNone, Reason: "this coordinator has not looked at it"}, nil
	}
	if err != nil {
		return trust{}, err
	}
	out := trust{State: c.State, Height: c.Height, Reason: c.Reason}
	for _, check := range c.Checks {
		v, again, err := verify.Examine(r, check)
		if err != nil {
			return out, err
		}
		if v.Verifier != r.Coordinator {
			return out, essaim.Errorf(essaim.CodeRefused, "use the gateway of the receipt's coordinator", "check: the verdict is by %s, who has nothing to do with this receipt", v.Verifier.Short())
		}
		out.Checks = append(out.Checks, trustedCheck{v.Method, v.Result, v.Near, v.Height, again.Miner, v.Verifier})
	}
	return out, nil
}

// print says what was checked, by whom and when, and what was not.
func (t trust) print(w io.Writer) {
	for _, c := range t.Checks {
		when := fmt.Sprintf("drawn at height %d", c.Height)
		if c.Height == 0 {
			when = "asked for by the payer"
		}
		fmt.Fprintf(w, "%-7s %s by miner %s, %s\n", c.Result, c.Method, c.Miner.Short(), when)
	}
	switch {
	case t.State == essaim.AuditPassed:
		fmt.Fprintf(w, "    no audit: the beacon of height %d has passed this receipt over\n", t.Height)
	case t.State != essaim.AuditDone || t.Reason != "":
		fmt.Fprintf(w, "    audit %s: %s\n", t.State, cmp.Or(t.Reason, "not finished"))
	}
}
