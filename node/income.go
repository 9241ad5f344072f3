package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/miner/income"
	"github.com/essaim/essaim/wallet"
)

// Earnings adds up the receipts in a miner's folder, whether it runs or not.
//
// Errors: CodeNotFound if it has none.
func Earnings(ctx context.Context, chain *chainclient.Client, dir string) (e income.Earnings, err error) {
	path := filepath.Join(dir, ReceiptsFile)
	if _, err := os.Stat(path); err != nil {
		return e, essaim.Errorf(essaim.CodeNotFound, "give the folder of a miner that has run", "no receipts in %s", dir)
	}
	keys, err := wallet.LoadNodeKeys(dir)
	if err != nil {
		return e, err
	}
	book, err := miner.OpenBook(path)
	if err != nil {
		return e, err
	}
	e, err = income.Of(ctx, payments{chain}, keys.ID(), book.Earned)
	return e, errors.Join(err, book.Close())
}

// payments is the ledger as income asks it.
type payments struct{ *chainclient.Client }

func (p payments) Settlement(ctx context.Context, id essaim.SessionID) (income.Settlement, error) {
	s, err := p.Client.Settlement(ctx, id)
	return income.Settlement{Lines: s.Lines, Sum: s.Root.Sum(), Acknowledged: s.Acknowledged, Pending: s.Pending, PendingUntil: s.PendingUntil}, err
}
