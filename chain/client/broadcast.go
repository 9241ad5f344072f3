package client

import (
	"context"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
)

// Broadcast hands in a transaction that was signed elsewhere and returns once it is in a
// block, with the encoded answer to its one message. It must have a timeout height: else
// nobody could say that it will never come.
//
// Errors: CodeBadInput for what is no such transaction, else the ledger's reason.
func (c *Client) Broadcast(ctx context.Context, raw []byte) (essaim.Tx, []byte, error) {
	bad := func(format string, args ...any) (essaim.Tx, []byte, error) {
		return essaim.Tx{}, nil, essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("sign one message, and let it end at most %d blocks from now", lifetime), format, args...)
	}
	decoded, err := c.enc.Signed.TxDecoder()(raw)
	if err != nil {
		return bad("the transaction cannot be read: %v", err)
	}
	height, err := c.Height(ctx)
	if err != nil {
		return essaim.Tx{}, nil, err
	}
	timed, ok := decoded.(sdk.TxWithTimeoutHeight)
	if !ok || len(decoded.GetMsgs()) != 1 {
		return bad("the transaction has %d messages", len(decoded.GetMsgs()))
	}
	until := timed.GetTimeoutHeight()
	if until == 0 || until > uint64(height+lifetime) {
		return bad("the transaction may wait until height %d, now is %d", until, height)
	}
	const name = "transaction"
	r, err := c.rpc.BroadcastTxSync(ctx, raw)
	if err != nil {
		return essaim.Tx{}, nil, unreachable(ctx, err)
	}
	if r.Code != 0 {
		return essaim.Tx{}, nil, refused(name, r.Codespace, r.Code, r.Log)
	}
	done, err := c.wait(ctx, r.Hash, int64(until))
	if err != nil {
		return essaim.Tx{}, nil, fmt.Errorf("transaction %X: %w", r.Hash, err)
	}
	tx, err := txOf(done)
	if err != nil || done.TxResult.Code != 0 {
		return tx, nil, refused(name, done.TxResult.Codespace, done.TxResult.Code, done.TxResult.Log)
	}
	var all sdk.TxMsgData
	if err := all.Unmarshal(done.TxResult.Data); err != nil || len(all.MsgResponses) != 1 {
		return tx, nil, essaim.Errorf(essaim.CodeInternal, "", "transaction %s: its answer cannot be read: %v", tx.Hash, err)
	}
	return tx, all.MsgResponses[0].Value, nil
}
