package session

import (
	"context"
	"fmt"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/receipts"
)

// open shows leaves by their positions.
func open(ctx context.Context, o *receipts.Opener, positions []int) (out []essaim.Opening, err error) {
	for _, i := range positions {
		x, err := o.Leaf(ctx, i)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// upheld is a challenge that the ledger has upheld.
type upheld struct {
	chainclient.Convicted
	Leaves []int     `json:"leaves"` // positions in the tree, from 0
	Tx     essaim.Tx `json:"tx"`
}

// challenge shows the ledger each finding that leaves can prove. What the ledger knows
// already, or hears no more, is left out.
func (c *Shell) challenge(ctx context.Context, chain *chainclient.Client, by chainclient.Signer, fetch receipts.Fetch, claim receipts.Claim, r receipts.Report) ([]upheld, error) {
	out := []upheld{}
	if !r.Proven {
		return out, nil
	}
	opener, err := receipts.Open(ctx, fetch, claim.Receipts)
	if err != nil {
		return out, err
	}
	for _, f := range r.Findings {
		if len(f.Leaves()) == 0 {
			continue
		}
		openings, err := open(ctx, opener, f.Leaves())
		if err != nil {
			return out, err
		}
		convicted, tx, err := chain.Challenge(ctx, by, claim.Session.ID, openings)
		if err != nil && essaim.CodeOf(err) == essaim.CodeConflict {
			continue
		}
		if err != nil {
			return out, err
		}
		out = append(out, upheld{convicted, f.Leaves(), tx})
	}
	return out, nil
}

func (u upheld) lines() []string {
	return wrapped("    ", fmt.Sprintf("the ledger finds “%s”: %s back to the payer, slash %d; transaction %s", u.Fault, u.Voided+u.Restitution, u.Slash, u.Tx.Hash))
}
