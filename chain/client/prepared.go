package client

import (
	"context"
	"fmt"
	"strings"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/essaim/essaim"
)

// Prepared is a signed payment that its owner keeps before it is sent, so that after a crash it can
// be sent again: it is included at most once.
type Prepared struct {
	Raw   []byte
	Hash  string // upper-case hex
	Until int64  // the last height at which it may be included
}

// PrepareSend signs a payment and sends nothing. It takes the account's next number as of the last
// block: of two that are prepared at a time, or beside another transaction of the account, one
// can never be included.
func (c *Client) PrepareSend(ctx context.Context, by Signer, to essaim.Address, amount essaim.Amount) (Prepared, error) {
	acc, err := c.Account(ctx, by.Address())
	if err != nil {
		return Prepared{}, err
	}
	height, err := c.Height(ctx)
	if err != nil {
		return Prepared{}, err
	}
	coins := sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uint64(amount))))
	msg := &banktypes.MsgSend{FromAddress: by.Address().String(), ToAddress: to.String(), Amount: coins}
	p := Prepared{Until: height + lifetime}
	if p.Raw, err = c.sign(ctx, &sender{number: acc.Number, sequence: acc.Sequence}, by, msg, p.Until); err != nil {
		return p, err
	}
	p.Hash = strings.ToUpper(essaim.DigestOf(p.Raw).String())
	c.sender(by.Address()).forget() // the number is used
	return p, nil
}

// Deliver sends a prepared payment and returns once it is in a block. again says that it may have
// been sent before: then a node that will not have it now does not settle the matter.
//
// Errors: CodeUnavailable if nobody knows yet what becomes of it; CodeExpired if it can never be
// included, CodeConflict if its number is used up: nothing has moved, and it may be prepared anew;
// else the ledger's reason, and nothing has moved.
func (c *Client) Deliver(ctx context.Context, p Prepared, again bool) (essaim.Tx, error) {
	if again {
		tx, err := c.Tx(ctx, p.Hash)
		if err == nil || tx.Hash != "" || essaim.CodeOf(err) != essaim.CodeNotFound {
			return tx, err
		}
	}
	r, err := c.rpc.BroadcastTxSync(ctx, p.Raw)
	switch {
	case err != nil && !strings.Contains(err.Error(), "already exists in cache"):
		return essaim.Tx{}, unreachable(ctx, err)
	case err != nil || r.Code == 0 || again:
	case r.Codespace == sdkerrors.RootCodespace && r.Code == sdkerrors.ErrTxInMempoolCache.ABCICode():
	case r.Codespace == sdkerrors.RootCodespace && r.Code == sdkerrors.ErrWrongSequence.ABCICode():
		return essaim.Tx{}, essaim.Errorf(essaim.CodeConflict, "prepare it anew", "payment %s: the account has sent something else", p.Hash)
	default:
		return essaim.Tx{}, refused("payment", r.Codespace, r.Code, r.Log)
	}
	hash := essaim.DigestOf(p.Raw)
	done, err := c.wait(ctx, hash[:], p.Until)
	if err != nil {
		return essaim.Tx{}, fmt.Errorf("payment %s: %w", p.Hash, err)
	}
	tx, err := txOf(done)
	if done.TxResult.Code != 0 {
		return tx, refused("payment", done.TxResult.Codespace, done.TxResult.Code, done.TxResult.Log)
	}
	return tx, err
}
