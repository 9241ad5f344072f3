package node

import (
	"context"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/client"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/wallet"
)

// Bot is what a bot needs of a network, but for its platform and its book: the ledger, and a
// coordinator, whose pictures come with their proofs checked.
func Bot(ctx context.Context, chain *chainclient.Client, coordinator client.Coordinator) (bot.Config, error) {
	id, err := chain.ChainID(ctx)
	cfg := bot.Config{
		Ledger: custodian{chain},
		Client: client.Config{Coordinator: coordinator, ChainID: id, Plan: engines.Plan, Proofs: builtin.Proofs{}},
	}
	cfg.Auditor, _ = coordinator.(client.Auditor)
	return cfg, err
}

// custodian is the ledger as a bot wants it.
type custodian struct{ *chainclient.Client }

func (c custodian) Prepare(ctx context.Context, by *wallet.Account, to essaim.Address, amount essaim.Amount) (bot.Prepared, error) {
	p, err := c.PrepareSend(ctx, by, to, amount)
	return bot.Prepared(p), err
}

func (c custodian) Deliver(ctx context.Context, p bot.Prepared, again bool) error {
	_, err := c.Client.Deliver(ctx, chainclient.Prepared(p), again)
	return err
}

func (c custodian) Payer(a *wallet.Account) client.Ledger { return payer{c.Client, a} }
