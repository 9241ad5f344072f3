package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	engines "github.com/essaim/essaim/engine/all"
)

func newList(c *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "list [ADDRESS|NAME]",
		Short: "List the sessions that an account has opened, oldest first",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			who := c.User()
			if len(args) > 0 {
				who = args[0]
			}
			a, err := c.Address(who)
			if err != nil {
				return err
			}
			chain, err := c.Dial(cmd.Context())
			if err != nil {
				return err
			}
			list, err := chain.Sessions(cmd.Context(), a)
			if err != nil {
				return err
			}
			if c.JSON() {
				return term.JSON(c.Stdout, map[string]any{"payer": a, "sessions": append([]essaim.Session{}, list...)})
			}
			lines := []string{fmt.Sprintf("%7s  %-7s  %20s  %-11s  %9s  %9s", "SESSION", "STATE", "DEPOSIT", "COORDINATOR", "OPENED", "EXPIRES")}
			for _, s := range list {
				lines = append(lines, fmt.Sprintf("%7s  %-7s  %20s  %-11s  %9d  %9d", s.ID, s.State, s.Deposit, s.Coordinator.Short(), s.Opened, s.Expiry))
			}
			_, err = fmt.Fprintln(c.Stdout, strings.Join(lines, "\n"))
			return err
		},
	}
}

func newShow(c *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a session's escrow, and what it has paid",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := sessionID(args[0])
			if err != nil {
				return err
			}
			chain, err := c.Dial(cmd.Context())
			if err != nil {
				return err
			}
			s, err := chain.Session(cmd.Context(), id)
			if err != nil {
				return err
			}
			v := map[string]any{"session": s}
			rows := [][2]string{
				{"session", fmt.Sprintf("%s, %s", s.ID, s.State)},
				{"payer", s.Payer.String()},
				{"coordinator", s.Coordinator.String()},
				{"deposit", s.Deposit.String()},
				{"heights", fmt.Sprintf("opened at %d, expires at %d", s.Opened, s.Expiry)},
			}
			if s.State == essaim.SessionSettled {
				settled, err := chain.Settlement(cmd.Context(), id)
				if err != nil {
					return err
				}
				v["settlement"] = settled
				rows = append(rows, settledRows(cmd.Context(), chain, settled)...)
				draws, err := chain.Draws(cmd.Context(), s.Coordinator)
				if err != nil {
					return err
				}
				draws = slices.DeleteFunc(draws, func(d essaim.Draw) bool { return d.Session != id })
				v["draws"] = append([]essaim.Draw{}, draws...)
				for _, d := range draws {
					rows = append(rows, [2]string{"draw", fmt.Sprintf("the coordinator has to show the leaf at %d by height %d", d.Point, d.Due)})
				}
			}
			if c.JSON() {
				return term.JSON(c.Stdout, v)
			}
			return printRows(c, rows)
		},
	}
}

func settledRows(ctx context.Context, chain *chainclient.Client, s chainclient.Settled) [][2]string {
	rows := [][2]string{
		{"settled", fmt.Sprintf("%s for %d tasks, at height %d", s.Root.Sum(), s.Tasks, s.Height)},
		{"accepted", fmt.Sprintf("%s, by the payer's newest voucher", s.Acknowledged)},
		{"paid", s.Paid.String()},
		{"refunded", s.Refunded.String()},
	}
	if s.Pending > 0 {
		rows = append(rows, [2]string{"waits", s.Pending.String()}, [2]string{"until", term.When(ctx, chain, s.PendingUntil)})
	}
	if !s.Receipts.IsZero() {
		rows = append(rows, [2]string{"receipts", essaim.CIDOf(s.Receipts)})
	}
	return rows
}

func printRows(c *Shell, rows [][2]string) error {
	for _, r := range rows {
		if _, err := fmt.Fprintf(c.Stdout, "%-12s %s\n", r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

// network is what opening and closing need: a coordinator, and the ledger with an account
// that pays.
func (c *Shell) network(ctx context.Context, from string) (client.Config, error) {
	url := c.Gateway()
	if url == "" {
		return client.Config{}, essaim.Errorf(essaim.CodeUnavailable, "start one with `essaim up`, or give --gateway", "no network runs here")
	}
	api, err := client.Dial(url)
	if err != nil {
		return client.Config{}, err
	}
	info, err := api.Info(ctx)
	if err != nil {
		return client.Config{}, err
	}
	by, err := c.Open(ctx, from)
	if err != nil {
		return client.Config{}, err
	}
	return client.Config{Coordinator: api, Ledger: c.Payer(by.Client, by.By), ChainID: info.ChainID, Plan: engines.Plan}, nil
}

func amount(s string) (essaim.Amount, error) {
	a, err := essaim.ParseAmount(s)
	if err != nil {
		return 0, essaim.Errorf(essaim.CodeBadInput, "write AIM like 1.25, or 1250000uaim", "%w", err)
	}
	return a, nil
}

func newOpen(c *Shell) *cobra.Command {
	var from, out, limit string
	cmd := &cobra.Command{
		Use:   "open DEPOSIT --out FILE [--limit AMOUNT]",
		Short: "Put a deposit into escrow, and keep the session's key in a file",
		Long: `The file holds the secret key that spends the deposit with this coordinator and
nothing else; programs restore it with the Go SDK (client.Restore). What is not
spent comes back when the session is closed, or when it expires.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			deposit, err := amount(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				return essaim.Errorf(essaim.CodeBadInput, "name a new file", "the session's key must be kept: give --out FILE")
			}
			cfg, err := c.network(cmd.Context(), from)
			if err != nil {
				return err
			}
			if limit != "" {
				if cfg.Limit, err = amount(limit); err != nil {
					return err
				}
			}
			// Before any money moves: a key that cannot be kept cannot spend it.
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return essaim.Errorf(essaim.CodeConflict, "name a new file in a folder that is there", "keep the session: %w", err)
			}
			s, err := client.Open(cmd.Context(), cfg, deposit)
			if err != nil {
				return errors.Join(err, f.Close(), os.Remove(out))
			}
			if _, err := f.Write(s.Save()); err != nil {
				return errors.Join(err, f.Close())
			}
			if err := f.Close(); err != nil {
				return err
			}
			r := s.Record()
			if c.JSON() {
				return term.JSON(c.Stdout, map[string]any{"session": r.ID, "deposit": uint64(deposit), "expiry": r.Expiry, "file": out, "tx": s.Tx()})
			}
			_, err = fmt.Fprintf(c.Stdout, "session %s open with %s until height %d\nits key is in %s\n", r.ID, deposit, r.Expiry, out)
			return err
		},
	}
	c.From(cmd, &from, "account key that pays")
	cmd.Flags().StringVar(&out, "out", "", "new file for the session and its key")
	cmd.Flags().StringVar(&limit, "limit", "", "the most that programs with the file spend of it; they keep to it, the ledger does not know it")
	return cmd
}

func newTopUp(c *Shell) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "topup ID AMOUNT",
		Short: "Add to the deposit of an open session",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := sessionID(args[0])
			if err != nil {
				return err
			}
			more, err := amount(args[1])
			if err != nil {
				return err
			}
			by, err := c.Open(cmd.Context(), from)
			if err != nil {
				return err
			}
			deposit, tx, err := by.TopUp(cmd.Context(), by.By, id, more)
			if err != nil {
				return err
			}
			if c.JSON() {
				return term.JSON(c.Stdout, map[string]any{"session": id, "added": uint64(more), "deposit": uint64(deposit), "tx": tx})
			}
			_, err = fmt.Fprintf(c.Stdout, "session %s now has a deposit of %s\nheight %d, transaction %s\n", id, deposit, tx.Height, tx.Hash)
			return err
		},
	}
	c.From(cmd, &from, "account key that has opened the session")
	return cmd
}

func newClose(c *Shell) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "close FILE",
		Short: "Have a session settled now; what was not spent comes back",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := os.ReadFile(args[0])
			if err != nil {
				return essaim.Errorf(essaim.CodeNotFound, "name the file that `essaim session open` wrote", "read session: %w", err)
			}
			cfg, err := c.network(cmd.Context(), from)
			if err != nil {
				return err
			}
			s, err := client.Restore(cmd.Context(), cfg, b)
			if err != nil {
				return err
			}
			settled, err := s.Close(cmd.Context())
			if err != nil {
				return err
			}
			if c.JSON() {
				return term.JSON(c.Stdout, settled)
			}
			rows := [][2]string{{"session", fmt.Sprintf("%s, settled at height %d", settled.Session, settled.Tx.Height)}}
			for _, p := range settled.Tx.Payments {
				rows = append(rows, [2]string{p.Reason, fmt.Sprintf("%s to %s", p.Amount, p.To)})
			}
			return printRows(c, rows)
		},
	}
	c.From(cmd, &from, "account key that has opened the session")
	return cmd
}
