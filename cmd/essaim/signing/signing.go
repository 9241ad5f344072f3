// Package signing is the opening lines of every command that signs: a flag that names the
// account, the account's key, and the ledger that is sent to. Commands that each wrote these
// lines would differ in them: one would forget the flag's default, another would dial before it
// knows whether there is a key at all.
//
// The package must not decide what is signed, and sends nothing.
package signing

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim/wallet"
)

// Desk is where commands find accounts and the ledger.
type Desk struct {
	Account func(name string) (*wallet.Account, error)
	Dial    func(context.Context) (*chainclient.Client, error)
	User    func() string // the key that signs unless another is named: of --account
}

// Sender is an account with the ledger that it sends to.
type Sender struct {
	*chainclient.Client
	By *wallet.Account
}

// From adds the flag --from, which names an account, to cmd. What that account does, such as
// "account key that pays", is the flag's help.
func (d Desk) From(cmd *cobra.Command, name *string, does string) {
	cmd.Flags().StringVar(name, "from", "", does+" (default: that of --account)")
}

// Open loads the account called name, or the user's if it is empty, then reaches the ledger.
//
// Errors: those of the wallet, such as CodeNotFound and CodeRefused; CodeUnavailable if no
// ledger answers.
func (d Desk) Open(ctx context.Context, name string) (Sender, error) {
	by, err := d.Account(cmp.Or(name, d.User()))
	if err != nil {
		return Sender{}, err
	}
	chain, err := d.Dial(ctx)
	return Sender{chain, by}, err
}
