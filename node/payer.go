package node

import (
	"context"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/wallet"
)

// Payer binds an account to the ledger, as package client wants it.
func Payer(chain *chainclient.Client, account *wallet.Account) client.Ledger {
	return payer{chain, account}
}

type payer struct {
	*chainclient.Client
	account *wallet.Account
}

func (p payer) OpenSession(ctx context.Context, coordinator essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, expiry int64) (essaim.SessionID, essaim.Tx, error) {
	return p.Client.OpenSession(ctx, p.account, essaim.Session{Coordinator: coordinator, Deposit: deposit, SessionKey: key, Expiry: expiry})
}

// settler is the ledger as a coordinator wants it: settlements are submitted by an
// account that pays the fee and has no other right.
type settler struct {
	*chainclient.Client
	account *wallet.Account
}

func (s settler) Settle(ctx context.Context, settlement essaim.Settlement, sig []byte) (essaim.Tx, error) {
	return s.Client.Settle(ctx, s.account, settlement, sig)
}
