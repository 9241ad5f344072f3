// Package checked tells what others have found out about a receipt: it asks the coordinator's gateway, and believes only
// what is signed, holds together, and was drawn as the ledger says. It must not decide what a receipt is worth.
package checked

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/duty"
	"github.com/essaim/essaim/verify/trust"
)

// Ledger is what draws are computed from again.
type Ledger interface {
	BeaconAt(ctx context.Context, height int64) (essaim.Digest, error)
	MinersAt(ctx context.Context, height int64) ([]essaim.Actor, error)
	Actor(ctx context.Context, node essaim.NodeKey) (essaim.Actor, error)
}

// Trust is what is known of a receipt, as far as it holds by itself.
type Trust struct {
	State  essaim.AuditState `json:"state"`
	Height int64             `json:"height"`
	Drawn  bool              `json:"drawn"` // the draw was computed again from the ledger, and is the coordinator's
	Reason string            `json:"reason,omitempty"`
	Checks []Check           `json:"checks"`
}

// Check is one verdict.
type Check struct {
	Method string               `json:"method"`
	Result essaim.VerdictResult `json:"result"`
	Near   bool                 `json:"near,omitempty"`
	Height int64                `json:"height"`          // 0: the client had asked for it
	Place  int                  `json:"place,omitempty"` // in the draw, from 1; 0: the draw was not computed
	Miner  essaim.NodeKey       `json:"miner"`           // who has run it again
	By     essaim.NodeKey       `json:"by"`              // who has compared
}

// Ask asks a gateway what was checked of a receipt. ledger is nil if there is none to compute the draw from.
//
// Errors: CodeRefused if what the gateway shows does not hold.
func Ask(ctx context.Context, gateway string, r essaim.Receipt, ledger Ledger) (Trust, error) {
	h, err := client.Dial(gateway)
	if err != nil {
		return Trust{}, err
	}
	defer h.CloseIdleConnections()
	c, err := h.Checked(ctx, r.Task)
	if essaim.CodeOf(err) == essaim.CodeNotFound && err != nil {
		return Trust{State: essaim.AuditNone, Reason: "this coordinator has not looked at it"}, nil
	}
	if err != nil {
		return Trust{}, err
	}
	return Examine(ctx, r, c, ledger)
}

// Examine is Ask of what a gateway has answered.
func Examine(ctx context.Context, r essaim.Receipt, c essaim.Checked, ledger Ledger) (Trust, error) {
	out := Trust{State: c.State, Height: c.Height, Reason: c.Reason}
	for _, check := range c.Checks {
		v, again, err := verify.Examine(r, check)
		if err != nil {
			return out, err
		}
		if v.Verifier != r.Coordinator {
			return out, refused("the verdict is by %s, who has nothing to do with this receipt", v.Verifier.Short())
		}
		out.Checks = append(out.Checks, Check{Method: v.Method, Result: v.Result, Near: v.Near, Height: v.Height, Miner: again.Miner, By: v.Verifier})
	}
	if ledger == nil || c.Height == 0 {
		return out, nil
	}
	return out, out.draw(ctx, r, c, ledger)
}

// draw computes the draw again.
func (t *Trust) draw(ctx context.Context, r essaim.Receipt, c essaim.Checked, ledger Ledger) error {
	beacon, err := ledger.BeaconAt(ctx, c.Height)
	if err != nil {
		return nil // it has not come, or the ledger does not remember it
	}
	miners, err1 := ledger.MinersAt(ctx, c.Height)
	coordinator, err2 := ledger.Actor(ctx, r.Coordinator)
	if err1 != nil || err2 != nil {
		return nil
	}
	order, err := duty.Order(beacon, r, c.Height, miners, coordinator.Owner)
	if err != nil {
		return err
	}
	t.Drawn = true
	if t.State == essaim.AuditPassed && (c.Share < trust.ShareExact || duty.Audited(beacon, r.Digest(), c.Share)) {
		return refused("the beacon of height %d has not passed this receipt over at a share of %s", c.Height, c.Share)
	}
	for i := range t.Checks {
		x := &t.Checks[i]
		if x.Height == 0 {
			continue
		}
		x.Place = slices.Index(order, x.Miner) + 1
		if x.Height != c.Height || x.Place == 0 {
			return refused("miner %s was not drawn by the beacon of height %d", x.Miner.Short(), x.Height)
		}
	}
	return nil
}

func refused(format string, args ...any) error {
	return essaim.Errorf(essaim.CodeRefused, "use the gateway of the receipt's coordinator; if it is that, it lies", "check: "+format, args...)
}

// Print says what was checked, by whom and when, and what was not.
func (t Trust) Print(w io.Writer) {
	for _, c := range t.Checks {
		when := fmt.Sprintf("drawn at height %d", c.Height)
		if c.Height == 0 {
			when = "asked for by the payer"
		}
		if c.Place != 0 {
			when += fmt.Sprintf(", place %d", c.Place)
		}
		fmt.Fprintf(w, "%-7s %s by miner %s, %s\n", c.Result, c.Method, c.Miner.Short(), when)
	}
	switch {
	case t.State == essaim.AuditPassed:
		fmt.Fprintf(w, "    no audit: the beacon of height %d has passed this receipt over\n", t.Height)
	case t.State != essaim.AuditDone || t.Reason != "":
		fmt.Fprintf(w, "    audit %s: %s\n", t.State, cmp.Or(t.Reason, "not finished"))
	}
	switch {
	case t.Drawn:
		fmt.Fprintf(w, "    the draw was computed again from the ledger\n")
	case t.Height != 0:
		fmt.Fprintf(w, "    the draw was not computed again: no ledger was asked\n")
	}
}
