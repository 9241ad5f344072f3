package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/cmd/essaim/term"
)

func newGenesisCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "genesis",
		Short: "Look at how the coins are given away, or check a genesis file",
	}
	cmd.AddCommand(newGenesisPrint(c), newGenesisValidate(c))
	return cmd
}

func newGenesisPrint(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "print",
		Short: "Print the public network's plan of allocation",
		RunE: func(*cobra.Command, []string) error {
			plan := chain.DefaultPlan()
			amounts, err := plan.Amounts()
			if err != nil {
				return err
			}
			if c.json {
				return term.JSON(c.stdout, map[string]any{"supply": plan.Supply, "parts": plan.Parts, "amounts": amounts})
			}
			return printPlan(c.stdout, plan, amounts)
		},
	}
}

func printPlan(w io.Writer, plan chain.Plan, amounts []essaim.Amount) error {
	const row = "%-20s %6s  %15s  %s\n"
	if _, err := fmt.Fprintf(w, row, "part", "share", "AIM", "where it lies"); err != nil {
		return err
	}
	var shares essaim.Bps
	for i, p := range plan.Parts {
		shares += p.Share
		if _, err := fmt.Fprintf(w, row, p.Name, percent(p.Share), wholeAIM(amounts[i]), lies(p)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, row, "all", percent(shares), wholeAIM(plan.Supply), "nothing is minted later")
	return err
}

func percent(b essaim.Bps) string { return fmt.Sprintf("%d.%02d%%", b/100, b%100) }

func wholeAIM(a essaim.Amount) string { return fmt.Sprint(uint64(a / essaim.AIM)) }

// lies says where a part lies, in 34 characters.
func lies(p chain.Part) string {
	const year = 365 * 24 * time.Hour
	switch {
	case p.Cliff > 0:
		return fmt.Sprintf("account, free in years %d to %d", p.Cliff/year+1, p.Vesting/year)
	case p.Vesting > 0:
		return fmt.Sprintf("account, free over %d years", p.Vesting/year)
	}
	return map[chain.Pot]string{
		chain.PotAccount: "account", chain.PotMining: "pays miners for verified work",
		chain.PotStaking: "pays validators' stakers", chain.PotCommunity: "spent by governance",
	}[p.Pot]
}

func newGenesisValidate(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a genesis file as a node would; exit 1 says what is wrong",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := chain.Check(args[0])
			if err != nil {
				return checkFailed(err)
			}
			if c.json {
				return term.JSON(c.stdout, s)
			}
			for _, row := range [][2]string{
				{"chain", s.ChainID},
				{"supply", s.Supply.String()},
				{"validators", fmt.Sprintf("%d with %s", s.Validators, s.Stake)},
				{"mining emission", s.Mining.String()},
				{"staking emission", s.Staking.String()},
				{"community pool", s.Community.String()},
				{"locked", s.Locked.String() + " in accounts that vest"},
				{"other accounts", s.Accounts.String()},
				{"a vote takes", s.Voting.String()},
			} {
				if _, err := fmt.Fprintf(c.stdout, "%-17s %s\n", row[0], row[1]); err != nil {
					return err
				}
			}
			if s.CapNeeds > s.Validators {
				_, err = fmt.Fprintf(c.stdout, "note: the cap on one account's votes lets nothing pass until %d accounts vote\n", s.CapNeeds)
			}
			return err
		},
	}
}
