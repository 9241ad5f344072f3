package client

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	bank "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/essaim/essaim"
)

// Movement is a transaction that has changed an account's balance.
type Movement struct {
	BlockTx
	Height int64     `json:"height"`
	Time   time.Time `json:"time"`
	Change int64     `json:"change"` // uaim
}

// maxMovements are asked for at a time, of money in and of money out.
const maxMovements = 50

// Movements lists the transactions that have lately changed an account's balance, the newest first. What blocks do by
// themselves, such as paying what has waited for a challenge, is in none. The node must keep an index of transactions, as
// nodes do unless told otherwise.
func (c *Client) Movements(ctx context.Context, a essaim.Address) ([]Movement, error) {
	found, page, most := map[string]Movement{}, 1, maxMovements
	for event, who := range map[string]string{bank.EventTypeCoinReceived: bank.AttributeKeyReceiver, bank.EventTypeCoinSpent: bank.AttributeKeySpender} {
		r, err := c.rpc.TxSearch(ctx, fmt.Sprintf("%s.%s='%s'", event, who, a), false, &page, &most, "desc")
		if err != nil {
			return nil, unreachable(ctx, err)
		}
		for _, t := range r.Txs {
			names, ok := c.messageNames(t.Tx)
			if !ok {
				continue
			}
			m := Movement{BlockTx: BlockTx{Hash: t.Hash.String(), Messages: names, Refused: t.TxResult.Code != 0, Gas: uint64(max(t.TxResult.GasUsed, 0))}, Height: t.Height}
			m.Change = change(t.TxResult.Events, a)
			found[m.Hash] = m
		}
	}
	out := slices.SortedFunc(maps.Values(found), func(x, y Movement) int { return cmp.Or(cmp.Compare(y.Height, x.Height), cmp.Compare(x.Hash, y.Hash)) })
	out = out[:min(len(out), maxMovements)]
	for i := range out {
		m := &out[i]
		b, err := c.rpc.Block(ctx, &m.Height)
		if err != nil || b.Block == nil {
			return nil, missing(ctx, m.Height, err)
		}
		m.Time = b.Block.Time
	}
	return out, nil
}

// change is what events say of an account's balance, in uaim.
func change(events []abci.Event, a essaim.Address) (sum int64) {
	for _, e := range events {
		attributes := map[string]string{}
		for _, x := range e.Attributes {
			attributes[x.Key] = x.Value
		}
		coins, err := sdk.ParseCoinsNormalized(attributes[sdk.AttributeKeyAmount])
		switch amount := coins.AmountOf(essaim.Denom); {
		case err != nil:
		case e.Type == bank.EventTypeCoinReceived && attributes[bank.AttributeKeyReceiver] == a.String():
			sum += amount.Int64()
		case e.Type == bank.EventTypeCoinSpent && attributes[bank.AttributeKeySpender] == a.String():
			sum -= amount.Int64()
		}
	}
	return sum
}
