package client_test

import (
	"testing"

	"github.com/essaim/essaim"
)

func TestBlock(t *testing.T) {
	b := newBench(t)
	ctx, c := t.Context(), dial(t, b)
	tx, err := c.Send(ctx, account(t, 0), account(t, 1).Address(), 5)
	if err != nil {
		t.Fatal(err)
	}
	block, err := c.Block(ctx, tx.Height)
	if err != nil || block.Height != tx.Height || block.Time.IsZero() || len(block.Hash) != 64 || len(block.Txs) != 1 {
		t.Fatalf("%+v: %v", block, err)
	}
	if x := block.Txs[0]; x.Hash != tx.Hash || len(x.Messages) != 1 || x.Messages[0] != "Send" || x.Refused || x.Gas == 0 {
		t.Errorf("%+v", x)
	}
	if newest, err := c.Block(ctx, 0); err != nil || newest.Height < tx.Height {
		t.Errorf("the newest is %+v: %v", newest, err)
	}
	for _, height := range []int64{-1, 1_000_000} {
		if _, err := c.Block(ctx, height); essaim.CodeOf(err) != essaim.CodeNotFound || essaim.HintOf(err) == "" {
			t.Errorf("block %d: %v", height, err)
		}
	}
}
