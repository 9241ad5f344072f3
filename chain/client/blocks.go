package client

import (
	"context"
	"strings"
	"time"

	"github.com/cometbft/cometbft/libs/bytes"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
)

// Block is a block and what was done in it.
type Block struct {
	Height   int64     `json:"height"`
	Time     time.Time `json:"time"`
	Hash     string    `json:"hash"`     // hex
	Proposer string    `json:"proposer"` // hex
	Txs      []BlockTx `json:"txs"`
}

// BlockTx is one transaction of a block.
type BlockTx struct {
	Hash     string   `json:"hash"`
	Messages []string `json:"messages"` // names without their modules, such as OpenSession
	Refused  bool     `json:"refused"`  // it changed nothing but its sender's sequence
	Gas      uint64   `json:"gas"`
}

// Block returns the block of a height; 0 is the newest.
//
// Errors: CodeNotFound for one that is not there yet or that the node does not keep.
func (c *Client) Block(ctx context.Context, height int64) (Block, error) {
	at := &height
	if height == 0 {
		at = nil
	}
	b, err := c.rpc.Block(ctx, at)
	if err != nil {
		return Block{}, missing(ctx, height, err)
	}
	if b.Block == nil {
		return Block{}, noBlock(height)
	}
	results, err := c.rpc.BlockResults(ctx, &b.Block.Height)
	if err != nil {
		return Block{}, missing(ctx, height, err)
	}
	out := Block{
		Height: b.Block.Height, Time: b.Block.Time, Hash: b.BlockID.Hash.String(), Proposer: b.Block.ProposerAddress.String(), Txs: []BlockTx{},
	}
	for i, raw := range b.Block.Txs {
		names, ok := c.messageNames(raw)
		if !ok || i >= len(results.TxsResults) {
			continue // votes' extensions travel as a transaction that is none
		}
		r := results.TxsResults[i]
		out.Txs = append(out.Txs, BlockTx{Hash: bytes.HexBytes(raw.Hash()).String(), Messages: names, Refused: r.Code != 0, Gas: uint64(max(r.GasUsed, 0))})
	}
	return out, nil
}

func missing(ctx context.Context, height int64, err error) error {
	for _, said := range []string{"must be less than or equal", "must be greater than", "is not available", "could not find"} {
		if strings.Contains(err.Error(), said) {
			return noBlock(height)
		}
	}
	return unreachable(ctx, err)
}

func noBlock(height int64) error {
	return essaim.Errorf(essaim.CodeNotFound, "it is not there yet, or this node does not keep it any more", "no block of height %d", height)
}

// messageNames are a transaction's messages, by name.
func (c *Client) messageNames(raw []byte) ([]string, bool) {
	tx, err := c.enc.Signed.TxDecoder()(raw)
	if err != nil {
		return nil, false
	}
	names := []string{}
	for _, m := range tx.GetMsgs() {
		url := sdk.MsgTypeURL(m)
		names = append(names, strings.TrimPrefix(url[strings.LastIndexByte(url, '.')+1:], "Msg"))
	}
	return names, true
}
