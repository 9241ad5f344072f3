package node

import (
	"context"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verifier/challenger"
	"github.com/essaim/essaim/wallet"
)

// Court binds the account that puts up bonds to the ledger, as whoever disputes receipts wants it.
func Court(chain *chainclient.Client, account *wallet.Account) challenger.Ledger {
	return court{chain, account}
}

type court struct {
	*chainclient.Client
	account *wallet.Account
}

func (c court) Ask(ctx context.Context, id uint64, move []byte) error {
	_, err := c.MoveDispute(ctx, c.account, id, move, nil)
	return err
}

func (c court) Open(ctx context.Context, f essaim.ReceiptFile) (id uint64, err error) {
	id, _, err = c.OpenDispute(ctx, c.account, f)
	return id, err
}

func (c court) Opened(ctx context.Context, receipt essaim.Digest) (uint64, error) {
	list, err := c.Disputes(ctx, func(d essaim.Dispute) bool {
		return d.Deadline != 0 && d.Receipt == receipt && d.Challenger == c.account.Address()
	})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].ID, nil
}
