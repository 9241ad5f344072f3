package client

import (
	"context"
	"strings"

	abci "github.com/cometbft/cometbft/abci/types"
	rpcclient "github.com/cometbft/cometbft/rpc/client"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
)

// Trial is a client of the same node that changes nothing: what its methods would send,
// the node runs on its newest state and forgets. They answer and fail as they would, but
// the Tx has no hash and no height, only the gas it used. Signers are asked for their
// address and public key, never for a signature.
func (c *Client) Trial() *Client {
	return &Client{rpc: c.rpc, enc: c.enc, senders: map[essaim.Address]*sender{}, trial: true}
}

// simulate runs a message on the node without a block.
func (c *Client) simulate(ctx context.Context, by Signer, msg sdk.Msg, name string) (*ctypes.ResultTx, error) {
	acc, err := c.Account(ctx, by.Address())
	if err != nil {
		return nil, err
	}
	height, err := c.Height(ctx)
	if err != nil {
		return nil, err
	}
	s := &sender{number: acc.Number, sequence: acc.Sequence}
	tx, err := c.sign(ctx, s, unsigned{by}, msg, height+lifetime)
	if err != nil {
		return nil, err
	}
	q, err := c.rpc.ABCIQueryWithOptions(ctx, "/app/simulate", tx, rpcclient.DefaultABCIQueryOptions)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	if q.Response.Code != 0 {
		log := strings.TrimPrefix(q.Response.Log, "failed to simulate tx: failed to execute message; message index: 0: ")
		return nil, refused(name, q.Response.Codespace, q.Response.Code, log)
	}
	var out sdk.SimulationResponse
	if err := c.enc.Codec.UnmarshalJSON(q.Response.Value, &out); err != nil {
		return nil, err
	}
	return &ctypes.ResultTx{TxResult: abci.ExecTxResult{
		Data: out.Result.Data, Events: out.Result.Events, GasUsed: int64(out.GasUsed), GasWanted: int64(out.GasWanted),
	}}, nil
}

// unsigned is a signer that does not sign.
type unsigned struct{ Signer }

func (unsigned) Sign([]byte) ([]byte, error) { return make([]byte, 65), nil }
