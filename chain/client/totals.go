package client

import (
	"context"

	"cosmossdk.io/math"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// Totals is what all sessions together moved. Deposited = Paid + Refunded + Escrowed.
type Totals struct {
	Deposited essaim.Amount `json:"deposited"`
	Paid      essaim.Amount `json:"paid"`
	Refunded  essaim.Amount `json:"refunded"`
	Escrowed  essaim.Amount `json:"escrowed"`
}

// Totals asks for the market's books since genesis.
//
// Errors: CodeInternal if a total is above 2⁶⁴ uaim; Query shows such ones.
func (c *Client) Totals(ctx context.Context) (Totals, error) {
	var r marketv1.QueryTotalsResponse
	if err := c.call(ctx, "/essaim.market.v1.Query/Totals", &marketv1.QueryTotalsRequest{}, &r); err != nil {
		return Totals{}, err
	}
	var t Totals
	for _, f := range []struct {
		to   *essaim.Amount
		from math.Int
	}{{&t.Deposited, r.Totals.Deposited}, {&t.Paid, r.Totals.Paid}, {&t.Refunded, r.Totals.Refunded}, {&t.Escrowed, r.Totals.Escrowed}} {
		if !f.from.IsUint64() {
			return Totals{}, essaim.Errorf(essaim.CodeInternal, "ask with Query", "a total of the market is out of range: %s", f.from)
		}
		*f.to = essaim.Amount(f.from.Uint64())
	}
	return t, nil
}
