package node

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/essaim/essaim/chain/x/registry"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verifier"
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
	list, err := c.OpenDisputes(ctx, func(d essaim.Dispute) bool {
		return d.Receipt == receipt && d.Challenger == c.account.Address()
	})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].ID, nil
}

// maxCases bounds the accusations that wait to be proposed.
const maxCases = 64

// prosecutor turns what the ledger cannot judge into proposals to slash, on which both houses vote. It is for people to
// believe its evidence or not.
type prosecutor struct {
	chain   *chainclient.Client
	account *wallet.Account // lays down the deposits
	submit  bool            // else it only says what could be proposed
	cases   chan verifier.Accusation
	log     *slog.Logger
}

// accuse does not block.
func (p *prosecutor) accuse(a verifier.Accusation) {
	select {
	case p.cases <- a:
	default:
		p.log.Warn("an accusation is dropped: too many wait", "miner", a.Miner.Short())
	}
}

// run proposes until ctx ends.
func (p *prosecutor) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-p.cases:
			p.propose(ctx, a)
		}
	}
}

// causes are the rows of the ledger's table.
var causes = map[string]string{verifier.CauseStatistical: registry.CauseStatistical, verifier.CauseMissedDuty: registry.CauseMissedDuty}

func (p *prosecutor) propose(ctx context.Context, a verifier.Accusation) {
	log := p.log.With("miner", a.Miner.String(), "cause", causes[a.Cause], "evidence", a.Evidence, "method", a.Method)
	if !p.submit {
		log.Warn("governance could slash a miner: essaim propose slash")
		return
	}
	deposit, err := p.chain.LeastDeposit(ctx, false)
	var id uint64
	if err == nil {
		draft := chainclient.Draft{
			Title:   fmt.Sprintf("Slash miner %s: %s", a.Miner.Short(), causes[a.Cause]),
			Summary: fmt.Sprintf("Proposed by the program of a coordinator that has receipts audited. Model %s. %s.", a.Model.Short(), a.Method), Deposit: deposit,
		}
		id, _, err = p.chain.ProposeSlash(ctx, p.account, draft, chainclient.Slash{
			Actor: a.Miner, Cause: causes[a.Cause], Evidence: a.Evidence, Heights: a.Heights, Method: a.Method,
		})
	}
	if err != nil {
		log.Warn("a slash cannot be proposed", "err", err)
		return
	}
	log.Warn("a slash is proposed", "proposal", id)
}
