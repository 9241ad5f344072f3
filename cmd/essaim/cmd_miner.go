package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/mining"
	"github.com/essaim/essaim/cmd/essaim/operator"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

func newMinerCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "miner",
		Short: "Mine, and see what coordinators owe a miner and whom it serves",
		Long: `A miner keeps what coordinators have promised to pay for its work. These commands read
that file in the miner's folder DIR, whether the miner runs or not.`,
	}
	cmd.AddCommand(newMinerPromises(c), newMinerClaim(c), newMinerBlock(), operator.Engines(operators(c)), mining.Run(miners(c)), mining.Pause(), mining.Resume(), mining.Cuckoo(miners(c)), &cobra.Command{
		Use: "unblock DIR COORDINATOR", Short: "Serve a coordinator again", Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return withBook(args[0], func(b *miner.Book) error {
				k, err := coordinatorKey(args[1])
				if err != nil {
					return err
				}
				return b.Unblock(k)
			})
		},
	})
	return cmd
}

// miners is what the command that mines needs.
func miners(c *cli) *mining.Shell {
	return &mining.Shell{
		Stdin: c.stdin, Stdout: c.stdout, JSON: func() bool { return c.json }, Home: func() string { return c.home }, Gateway: c.gatewayURL,
		Account: c.account, Keys: func() string { return filepath.Join(c.home, "keys") }, User: devnet.User, Logger: c.logger, Version: version,
	}
}

func newMinerPromises(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "promises DIR", Short: "List what coordinators have promised, and what became of it", Args: cobra.ExactArgs(1), RunE: c.showPromises,
	}
}

func newMinerBlock() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "block DIR COORDINATOR", Short: "Serve a coordinator no more, from now on", Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return withBook(args[0], func(b *miner.Book) error {
				k, err := coordinatorKey(args[1])
				if err != nil {
					return err
				}
				return b.Block(k, reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "its owner says so", "what the coordinator is told")
	return cmd
}

func newMinerClaim(c *cli) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: "claim DIR", Short: "Show the ledger the promises that were not kept", Args: cobra.ExactArgs(1),
		Long: `Compares each promise with what the ledger has paid. For one that was not kept, the
coordinator loses stake, out of which the miner's owner gets what is missing.`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.claim(cmd.Context(), args[0], from) },
	}
	cmd.Flags().StringVar(&from, "from", "", "account key that submits the claims (default: the one in node.toml)")
	return cmd
}

// withBook opens the receipt file of a miner's folder.
func withBook(dir string, do func(*miner.Book) error) error {
	path := filepath.Join(dir, node.ReceiptsFile)
	if _, err := os.Stat(path); err != nil {
		return essaim.Errorf(essaim.CodeNotFound, "give the folder of a miner that has run", "no receipts in %s", dir)
	}
	b, err := miner.OpenBook(path)
	if err != nil {
		return err
	}
	defer b.Close()
	return do(b)
}

func coordinatorKey(s string) (essaim.NodeKey, error) {
	k, err := essaim.ParseNodeKey(s)
	if err != nil {
		return k, essaim.Errorf(essaim.CodeBadInput, "`essaim query actors` shows them", "%w", err)
	}
	return k, nil
}

func (c *cli) showPromises(cmd *cobra.Command, args []string) error {
	return withBook(args[0], func(b *miner.Book) error {
		list, err := b.Promises(cmd.Context())
		if err != nil {
			return err
		}
		if c.json {
			return term.JSON(c.stdout, map[string]any{"promises": append([]miner.Promise{}, list...)})
		}
		for _, p := range list {
			fmt.Fprintf(c.stdout, "session %-8s coordinator %s  model %s  %s promised by height %d  %s\n",
				p.Session, p.Coordinator.Short(), p.Model.Short(), p.Total, p.Deadline, cmp.Or(p.Outcome, "open"))
		}
		return nil
	})
}

func (c *cli) claim(ctx context.Context, dir, from string) error {
	cfg, err := node.Load(dir)
	if err != nil {
		return err
	}
	if cfg.Miner == nil {
		return essaim.Errorf(essaim.CodeBadInput, "give a miner's folder", "%s is no miner's folder", dir)
	}
	keys, err := wallet.LoadNodeKeys(dir)
	if err != nil {
		return err
	}
	account, err := c.account(cmp.Or(from, cfg.Miner.Submitter))
	if err != nil {
		return err
	}
	chain, err := c.dialLedger(ctx)
	if err != nil {
		return err
	}
	ledger := node.Promises(chain, account, keys)
	return withBook(dir, func(b *miner.Book) error {
		list, err := b.Promises(ctx)
		if err != nil {
			return err
		}
		for _, p := range list {
			if p.Outcome == miner.OutcomePaid || p.Outcome == miner.OutcomeClaimed {
				continue
			}
			o, err := miner.Kept(ctx, ledger, keys.ID(), p)
			if err != nil {
				return err
			}
			if o, err = c.claimOne(ctx, ledger, b, p, o); err != nil {
				return err
			}
			if err := b.Note(p, o); err != nil {
				return err
			}
		}
		return nil
	})
}

// claimOne makes the claim that a promise gives rise to; it returns what is to be noted.
func (c *cli) claimOne(ctx context.Context, ledger miner.Ledger, b *miner.Book, p miner.Promise, o miner.Outcome) (miner.Outcome, error) {
	switch {
	case o == miner.OutcomeUnpaid:
		tx, err := ledger.ClaimUnpaid(ctx, p.Ack)
		if err != nil {
			return o, err
		}
		fmt.Fprintf(c.stdout, "session %s: the ledger has upheld the claim; transaction %s\n", p.Session, tx.Hash)
		return miner.OutcomeClaimed, nil
	case o == miner.OutcomeLapsed && p.Outcome != miner.OutcomeLapsed:
		amount, voucher, err := b.Voucher(ctx, p.Coordinator, p.Session)
		if err != nil {
			return o, err
		}
		tx, err := ledger.ClaimLapsed(ctx, p.Ack, voucher)
		if err != nil {
			return o, err
		}
		fmt.Fprintf(c.stdout, "session %s has lapsed: the ledger was shown a promise over %s and a voucher over %s; transaction %s\n", p.Session, p.Total, amount, tx.Hash)
	}
	return o, nil
}
