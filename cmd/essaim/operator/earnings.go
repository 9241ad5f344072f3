package operator

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/miner/income"
	"github.com/essaim/essaim/node"
)

// earned is an income.Earnings with the folder that it is of.
type earned struct {
	Dir string `json:"dir"`
	income.Earnings
}

func newEarnings(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "earnings [DIR ...]",
		Short: "What a miner has earned: settled, waiting, acknowledged, by model and day",
		Long: `Adds up the receipts in a miner's folder, and asks the ledger what became of each session.
Without DIR: all miners of the network in --home. Amounts are before royalty and fees,
and before the pool shares them with those who stake on the miner (essaim rewards).`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, dirs []string) error {
			if len(dirs) == 0 {
				home, err := s.Home()
				if err != nil {
					return err
				}
				if dirs, err = filepath.Glob(filepath.Join(home, "miner-*")); err != nil {
					return err
				}
			}
			chain, err := s.Dial(cmd.Context())
			if err != nil {
				return err
			}
			list := []earned{}
			for _, dir := range dirs {
				e, err := node.Earnings(cmd.Context(), chain, dir)
				if err != nil {
					return err
				}
				list = append(list, earned{dir, e})
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"miners": list})
			}
			for _, e := range list {
				s.tellEarnings(cmd.Context(), chain, e)
			}
			return nil
		},
	}
}

func (s *Shell) tellEarnings(ctx context.Context, chain *chainclient.Client, e earned) {
	p := func(what string, amount essaim.Amount, note string) {
		if amount > 0 || what == "settled" {
			fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("  %-15s %18s AIM  %s", what, term.Coins(amount), note), term.Width))
		}
	}
	fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("miner %s in %s: receipts %d, before royalty and fees", e.Miner.Short(), e.Dir, e.Total.Receipts), term.Width))
	p("settled", e.Total.Settled, "paid into the miner's pool")
	p("waiting", e.Total.Waiting, "settled, can still be challenged:")
	for _, d := range e.Due {
		fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("    session %s: %s AIM, %s", d.Session, term.Coins(d.Amount), term.When(ctx, chain, d.Until)), term.Width))
	}
	p("acknowledged", e.Total.Acknowledged, "promised, not settled yet")
	p("unacknowledged", e.Total.Unacknowledged, "no promise yet")
	p("lapsed", e.Total.Lapsed, "no settlement in time; see miner promises")
	p("missing", e.Total.Missing, "settled without it; see miner promises")
	p("refused", e.Total.Refused, "not counted by the coordinator")
	for _, by := range []struct {
		name string
		list []income.Part
	}{{"MODEL", e.Models}, {"DAY (UTC)", e.Days}} {
		rows := [][]string{{by.name, "RECEIPTS", "SETTLED AIM", "WAITING", "ACKNOWLEDGED", "OTHER"}}
		for _, x := range by.list {
			other := x.Unacknowledged + x.Lapsed + x.Missing + x.Refused
			rows = append(rows, []string{x.Name, fmt.Sprint(x.Receipts), term.Coins(x.Settled), term.Coins(x.Waiting), term.Coins(x.Acknowledged), term.Coins(other)})
		}
		if len(by.list) > 0 {
			term.Table(s.Stdout, "<>>>>>", rows...)
		}
	}
}
