package mining

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// Commands are those of `essaim miner`, without the one that finds engines.
func Commands(s *Shell) []*cobra.Command {
	return []*cobra.Command{newPromises(s), newClaim(s), newBlock(s), newUnblock(s), newRun(s), newPause(s), newResume(s), newCuckoo(s)}
}

func newPromises(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "promises DIR", Short: "List what coordinators have promised, and what became of it", Args: cobra.ExactArgs(1), RunE: s.showPromises,
	}
}

func newUnblock(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "unblock DIR COORDINATOR", Short: "Serve a coordinator again", Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := coordinatorKey(args[1])
			if err != nil {
				return err
			}
			err = withBook(args[0], func(b *miner.Book) error { return b.Unblock(k) })
			return s.done(err, map[string]any{"dir": args[0], "coordinator": k, "blocked": false})
		},
	}
}

func newBlock(s *Shell) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "block DIR COORDINATOR", Short: "Serve a coordinator no more, from now on", Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := coordinatorKey(args[1])
			if err != nil {
				return err
			}
			err = withBook(args[0], func(b *miner.Book) error { return b.Block(k, reason) })
			return s.done(err, map[string]any{"dir": args[0], "coordinator": k, "blocked": true})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "its owner says so", "what the coordinator is told")
	return cmd
}

func newClaim(s *Shell) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: "claim DIR", Short: "Show the ledger the promises that were not kept", Args: cobra.ExactArgs(1),
		Long: `Compares each promise with what the ledger has paid. For one that was not kept, the
coordinator loses stake, out of which the miner's owner gets what is missing.`,
		RunE: func(cmd *cobra.Command, args []string) error { return s.claim(cmd.Context(), args[0], from) },
	}
	cmd.Flags().StringVar(&from, "from", "", "account key that submits the claims (default: the one in node.toml)")
	return cmd
}

func coordinatorKey(text string) (essaim.NodeKey, error) {
	k, err := essaim.ParseNodeKey(text)
	if err != nil {
		return k, essaim.Errorf(essaim.CodeBadInput, "`essaim query actors` shows them", "%w", err)
	}
	return k, nil
}

func (s *Shell) showPromises(cmd *cobra.Command, args []string) error {
	return withBook(args[0], func(b *miner.Book) error {
		list, err := b.Promises(cmd.Context())
		if err != nil {
			return err
		}
		if s.JSON() {
			return term.JSON(s.Stdout, map[string]any{"promises": append([]miner.Promise{}, list...)})
		}
		for _, p := range list {
			fmt.Fprintf(s.Stdout, "session %-8s coordinator %s  model %s  %s promised by height %d  %s\n",
				p.Session, p.Coordinator.Short(), p.Model.Short(), p.Total, p.Deadline, cmp.Or(p.Outcome, "open"))
		}
		return nil
	})
}

func (s *Shell) claim(ctx context.Context, dir, from string) error {
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
	account, err := s.Account(cmp.Or(from, cfg.Miner.Submitter))
	if err != nil {
		return err
	}
	chain, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	ledger := node.Promises(chain, account, keys)
	claims := []claimed{}
	err = withBook(dir, func(b *miner.Book) error {
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
			var c *claimed
			if o, c, err = s.claimOne(ctx, ledger, b, p, o); err != nil {
				return err
			}
			if c != nil {
				claims = append(claims, *c)
			}
			if err := b.Note(p, o); err != nil {
				return err
			}
		}
		return nil
	})
	return s.done(err, map[string]any{"promises_not_kept": claims})
}

// claimed is what the ledger was shown of a promise.
type claimed struct {
	Session     essaim.SessionID `json:"session"`
	Coordinator essaim.NodeKey   `json:"coordinator"`
	Promised    essaim.Amount    `json:"promised"`
	Voucher     essaim.Amount    `json:"voucher"` // of a session that has lapsed
	Lapsed      bool             `json:"lapsed"`
	Tx          string           `json:"tx"`
}

// claimOne makes the claim that a promise gives rise to; it returns what is to be noted, and
// what was claimed; nil: nothing.
func (s *Shell) claimOne(ctx context.Context, ledger miner.Ledger, b *miner.Book, p miner.Promise, o miner.Outcome) (miner.Outcome, *claimed, error) {
	c := &claimed{Session: p.Session, Coordinator: p.Coordinator, Promised: p.Total}
	switch {
	case o == miner.OutcomeUnpaid:
		tx, err := ledger.ClaimUnpaid(ctx, p.Ack)
		if err != nil {
			return o, nil, err
		}
		c.Tx = tx.Hash
		s.say("session %s: the ledger has upheld the claim; transaction %s\n", p.Session, tx.Hash)
		return miner.OutcomeClaimed, c, nil
	case o == miner.OutcomeLapsed && p.Outcome != miner.OutcomeLapsed:
		amount, voucher, err := b.Voucher(ctx, p.Coordinator, p.Session)
		if err != nil {
			return o, nil, err
		}
		tx, err := ledger.ClaimLapsed(ctx, p.Ack, voucher)
		if err != nil {
			return o, nil, err
		}
		c.Tx, c.Voucher, c.Lapsed = tx.Hash, amount, true
		s.say("session %s has lapsed: the ledger was shown a promise over %s and a voucher over %s; transaction %s\n", p.Session, p.Total, amount, tx.Hash)
		return o, c, nil
	}
	return o, nil, nil
}

func (s *Shell) say(format string, args ...any) {
	if !s.JSON() {
		fmt.Fprintf(s.Stdout, format, args...)
	}
}
