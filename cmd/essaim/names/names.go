// Package names is `essaim name`: names on the ledger that stand for accounts, for those who want
// one. Wherever the program takes an address, @name is one, too.
//
// The commands read, send and print; what a name is and which look alike is the ledger's business.
package names

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/signing"
	"github.com/essaim/essaim/cmd/essaim/term"
)

// Shell is what the commands need of the program around them.
type Shell struct {
	Stdout  io.Writer
	JSON    func() bool
	Address func(string) (essaim.Address, error) // in either spelling, or of a key, or @name
	signing.Desk
}

// Command is `essaim name`.
func Command(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "name",
		Short: "Names on the ledger: @alice instead of an address",
		Long: `A name stands for an account for a period, about a year, and costs 1 AIM; with four
characters ten times, with three a hundred times as much. Who is first has it; names that look
like one that is taken (0 and o, rn and m, 1 and l) are refused to everybody.

After the period a name stands for nobody. For about a month only its owner may renew it.`,
		Example: `  essaim name register alice
  essaim send @alice 1.5
  essaim name show alice`,
	}
	cmd.AddCommand(
		s.paying("register NAME", "Take a name that is free", (*chainclient.Client).RegisterName),
		s.paying("renew NAME", "Pay for one more period", (*chainclient.Client).RenewName),
		newTransfer(s), newShow(s), newList(s))
	return cmd
}

// signing makes a command that signs.
func (s *Shell) signing(use, short string, args int, run func(ctx context.Context, by signing.Sender, args []string) error) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := s.Open(cmd.Context(), from)
			if err != nil {
				return err
			}
			return run(cmd.Context(), by, args)
		},
	}
	s.From(cmd, &from, "account key that signs")
	return cmd
}

// paying makes a command that pays a name's fee.
func (s *Shell) paying(use, short string, pay func(*chainclient.Client, context.Context, chainclient.Signer, string, essaim.Amount) (chainclient.Name, essaim.Tx, error)) *cobra.Command {
	var most string
	cmd := s.signing(use, short, 1, func(ctx context.Context, by signing.Sender, args []string) error {
		fee, _, err := by.NameFee(ctx, args[0])
		if err != nil {
			return err
		}
		limit := fee
		if most != "" {
			if limit, err = essaim.ParseAmount(most); err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "write it like 1.5", "--max-fee: %w", err)
			}
		}
		n, tx, err := pay(by.Client, ctx, by.By, args[0], limit)
		if err != nil {
			return err
		}
		if s.JSON() {
			return term.JSON(s.Stdout, map[string]any{"name": n, "fee_uaim": uint64(fee), "tx": tx.Hash, "height": tx.Height})
		}
		_, err = fmt.Fprintf(s.Stdout, "@%s is %s\nfor %s, until %s\n", n.Name, n.Owner, fee, term.When(ctx, by, n.Expires))
		return err
	})
	cmd.Flags().StringVar(&most, "max-fee", "", "AIM that it may cost (default: what it costs now)")
	return cmd
}

func newTransfer(s *Shell) *cobra.Command {
	return s.signing("transfer NAME TO", "Give a name to another account", 2, func(ctx context.Context, by signing.Sender, args []string) error {
		to, err := s.Address(args[1])
		if err != nil {
			return err
		}
		tx, err := by.TransferName(ctx, by.By, args[0], to)
		if err != nil {
			return err
		}
		if s.JSON() {
			return term.JSON(s.Stdout, map[string]any{"name": args[0], "owner": to, "tx": tx.Hash, "height": tx.Height})
		}
		_, err = fmt.Fprintf(s.Stdout, "%s is %s now\n", args[0], to)
		return err
	})
}

func newShow(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show whose a name is, or what it costs", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			chain, err := s.Dial(ctx)
			if err != nil {
				return err
			}
			n, err := chain.Name(ctx, args[0])
			if err != nil && essaim.CodeOf(err) != essaim.CodeNotFound {
				return err
			}
			if err == nil {
				if s.JSON() {
					return term.JSON(s.Stdout, map[string]any{"name": n, "hex": n.Owner.Hex()})
				}
				_, err = fmt.Fprintf(s.Stdout, "@%s is %s\n%s\nuntil %s\n", n.Name, n.Owner, n.Owner.Hex(), term.When(ctx, chain, n.Expires))
				return err
			}
			fee, like, err := chain.NameFee(ctx, args[0])
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"name": nil, "free": like == "", "like": like, "fee_uaim": uint64(fee)})
			}
			if like != "" {
				_, err = fmt.Fprintf(s.Stdout, "nobody can have it: it is taken, or looks like @%s\n", like)
				return err
			}
			_, err = fmt.Fprintf(s.Stdout, "it is free, for %s\n", fee)
			return err
		},
	}
}

func newList(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "list [ADDRESS|KEY]", Short: "List the names of an account", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			who := s.User()
			if len(args) > 0 {
				who = args[0]
			}
			owner, err := s.Address(who)
			if err != nil {
				return err
			}
			chain, err := s.Dial(cmd.Context())
			if err != nil {
				return err
			}
			list, err := chain.Names(cmd.Context(), owner)
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"owner": owner, "names": append([]chainclient.Name{}, list...)})
			}
			for _, n := range list {
				if _, err := fmt.Fprintf(s.Stdout, "@%-32s until height %d\n", n.Name, n.Expires); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
