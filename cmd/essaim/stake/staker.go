package stake

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
)

func newStake(s *Shell) *cobra.Command {
	var f sending
	var compound bool
	cmd := &cobra.Command{
		Use:   "stake ACTOR AMOUNT",
		Short: "Stake AIM on a miner or coordinator and share what it earns",
		Long: `Stakes AIM on a miner or coordinator. The stake shares what the actor earns, answers
for its work, and votes. It comes back with ` + "`essaim unstake`" + `, after the unbonding period.

An actor is named by its node key, the beginning of it (four characters or more), its
gateway's URL, or the name of its owner's key.`,
		Example: `  essaim stake miner-1 250 --dry-run
  essaim stake 3f9a 1250000uaim --compound`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := amountOf(args[1])
			if err != nil {
				return err
			}
			return s.stake(cmd.Context(), &f, args[0], amount, compound)
		},
	}
	cmd.Flags().BoolVar(&compound, "compound", false, "a claim of rewards joins the stake instead of being paid")
	return f.add(s, cmd)
}

func (s *Shell) stake(ctx context.Context, f *sending, name string, amount essaim.Amount, compound bool) error {
	chain, by, err := s.begin(ctx, f)
	if err != nil {
		return err
	}
	a, err := s.actor(ctx, chain, name)
	if err != nil {
		return err
	}
	mine, err := own(ctx, chain, by.Address(), a.NodeKey)
	if err != nil {
		return err
	}
	have, err := chain.Balance(ctx, by.Address())
	if err != nil {
		return err
	}
	if have < amount {
		return essaim.Errorf(essaim.CodeInsufficient, "stake less, or send coins to it first", "%s has %s, which is less than %s", f.from, have, amount)
	}
	p, err := chain.StakeParams(ctx)
	if err != nil {
		return err
	}
	return s.send(ctx, f, plan{chain, by, func(ctx context.Context, on *chainclient.Client) (tx essaim.Tx, o outcome, err error) {
		if tx, err = on.Delegate(ctx, by, a.NodeKey, amount, compound); err != nil {
			return tx, o, err
		}
		shares, err := a.SharesFor(amount)
		o.say("stake %s AIM of %s on %s", term.Coins(amount), f.from, label(a))
		o.say("  makes      %s shares, %s of its pool", term.Grouped(shares), percent(essaim.Amount(shares), essaim.Amount(shares+a.Shares)))
		o.say("  yours      %s AIM on it", term.Coins(mine.Value+amount))
		o.say("  its stake  %s AIM; its owner takes %s of income first", term.Coins(a.Stake+amount), a.Commission)
		o.say("  left       %s AIM in %s", term.Coins(have-amount), f.from)
		o.say("  back       %s blocks after you unstake", term.Grouped(uint64(p.UnbondingBlocks)))
		o.set("actor", a.NodeKey)
		o.set("amount", amount)
		o.set("shares", shares)
		o.set("value", mine.Value+amount)
		o.set("actor_stake", a.Stake+amount)
		return tx, o, err
	}})
}

func newUnstake(s *Shell) *cobra.Command {
	var f sending
	return f.add(s, &cobra.Command{
		Use:   "unstake ACTOR AMOUNT|all",
		Short: "Begin to take stake back, which takes the unbonding period",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.leave(cmd.Context(), &f, args[0], "", args[1])
		},
	})
}

func newRedelegate(s *Shell) *cobra.Command {
	var f sending
	return f.add(s, &cobra.Command{
		Use:   "redelegate FROM TO [AMOUNT]",
		Short: "Begin to move stake to another actor, which takes as long",
		Args:  cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.leave(cmd.Context(), &f, args[0], args[1], append(args, "all")[2])
		},
	})
}

// leave is unstake, or redelegate if it has a destination.
func (s *Shell) leave(ctx context.Context, f *sending, name, destination, text string) error {
	amount, err := part(text)
	if err != nil {
		return err
	}
	chain, by, err := s.begin(ctx, f)
	if err != nil {
		return err
	}
	a, err := s.actor(ctx, chain, name)
	if err != nil {
		return err
	}
	var to chainclient.Standing
	if destination != "" {
		if to, err = s.actor(ctx, chain, destination); err != nil {
			return err
		}
	}
	mine, err := own(ctx, chain, by.Address(), a.NodeKey)
	switch {
	case err != nil:
		return err
	case mine.Value == 0:
		return essaim.Errorf(essaim.CodeInsufficient, "`essaim rewards` lists what it has staked", "%s has nothing staked on %s", f.from, label(a))
	case amount > mine.Value:
		return essaim.Errorf(essaim.CodeInsufficient, "take less, or `all`", "%s has %s on %s, which is less than %s", f.from, mine.Value, label(a), amount)
	case amount == 0:
		amount = mine.Value
	}
	return s.send(ctx, f, plan{chain, by, func(ctx context.Context, on *chainclient.Client) (tx essaim.Tx, o outcome, err error) {
		var due int64
		if destination == "" {
			o.say("take %s AIM of %s back from %s", term.Coins(amount), f.from, label(a))
			due, tx, err = on.Undelegate(ctx, by, a.NodeKey, amount)
		} else {
			o.say("move %s AIM of %s from %s to %s", term.Coins(amount), f.from, label(a), label(to))
			o.set("to", to.NodeKey)
			due, tx, err = on.Redelegate(ctx, by, a.NodeKey, to.NodeKey, amount)
		}
		if err != nil {
			return tx, o, err
		}
		o.say("  arrives    at %s", term.When(ctx, chain, due))
		o.say("  until then it earns nothing, does not vote, and a slash reaches it")
		o.say("  stays      %s AIM of yours on it; its stake becomes %s AIM", term.Coins(mine.Value-amount), term.Coins(a.Stake-min(amount, a.Stake)))
		if a.Held > 0 {
			o.say("  its pool is frozen until height %d: it arrives after that", a.FrozenUntil)
		}
		o.set("actor", a.NodeKey)
		o.set("amount", amount)
		o.set("due_at", due)
		o.set("value", mine.Value-amount)
		return tx, o, nil
	}})
}

func newRewards(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rewards [ACCOUNT]",
		Short: "Show what an account has staked, earned and is taking back",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.rewards(cmd.Context(), append(args, s.User())[0])
		},
	}
	var f sending
	claim := f.add(s, &cobra.Command{
		Use:   "claim [ACTOR]",
		Short: "Claim rewards, on one actor or on all",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.claim(cmd.Context(), &f, strings.Join(args, ""))
		},
	})
	var g sending
	compound := g.add(s, &cobra.Command{
		Use:   "compound ACTOR on|off",
		Short: "Say whether a claim joins the stake or is paid",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.setCompound(cmd.Context(), &g, args[0], args[1])
		},
	})
	cmd.AddCommand(claim, compound)
	return cmd
}

func (s *Shell) rewards(ctx context.Context, name string) error {
	who, err := s.Address(name)
	if err != nil {
		return err
	}
	chain, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	stakes, err := chain.Delegations(ctx, who)
	if err != nil {
		return err
	}
	exits, err := chain.Exits(ctx, who)
	if err != nil {
		return err
	}
	var value, reward essaim.Amount
	rows := [][]string{{"actor", "stake AIM", "reward AIM", "claims"}}
	for _, d := range stakes {
		value, reward = value+d.Value, reward+d.Reward
		claims := "paid"
		if d.Compound {
			claims = "join the stake"
		}
		rows = append(rows, []string{d.Actor.Short(), term.Coins(d.Value), term.Coins(d.Reward), claims})
	}
	if s.JSON() {
		return printJSON(s.Stdout, map[string]any{
			"address": who, "delegations": append([]chainclient.Delegation{}, stakes...), "exits": append([]chainclient.Exit{}, exits...), "value": value, "reward": reward,
		})
	}
	if len(stakes)+len(exits) == 0 {
		_, err := fmt.Fprintf(s.Stdout, "%s has nothing staked\n", name)
		return err
	}
	term.Table(s.Stdout, "<>><", append(rows, []string{"all", term.Coins(value), term.Coins(reward), ""})...)
	if len(exits) == 0 {
		return nil
	}
	fmt.Fprintln(s.Stdout)
	rows = [][]string{{"leaving", "AIM", "arrives", ""}}
	for _, e := range exits {
		to := ""
		if !e.To.IsZero() {
			to = "on " + e.To.Short()
		}
		rows = append(rows, []string{e.Actor.Short(), term.Coins(e.Value), term.When(ctx, chain, e.DueAt), to})
	}
	term.Table(s.Stdout, "<><<", rows...)
	return nil
}

func (s *Shell) claim(ctx context.Context, f *sending, name string) error {
	chain, by, err := s.begin(ctx, f)
	if err != nil {
		return err
	}
	var a chainclient.Standing
	on := "all actors"
	if name != "" {
		if a, err = s.actor(ctx, chain, name); err != nil {
			return err
		}
		on = label(a)
	}
	return s.send(ctx, f, plan{chain, by, func(ctx context.Context, to *chainclient.Client) (tx essaim.Tx, o outcome, err error) {
		got, tx, err := to.Claim(ctx, by, a.NodeKey)
		if err == nil && got.Paid+got.Compounded == 0 {
			err = essaim.Errorf(essaim.CodeConflict, "wait until the actor has earned", "%s has no rewards on %s yet", f.from, on)
		}
		o.say("claim the rewards of %s on %s", f.from, on)
		o.say("  paid       %s AIM", term.Coins(got.Paid))
		o.say("  joins      %s AIM the stake", term.Coins(got.Compounded))
		o.set("paid", got.Paid)
		o.set("compounded", got.Compounded)
		return tx, o, err
	}})
}

func (s *Shell) setCompound(ctx context.Context, f *sending, name, text string) error {
	if text != "on" && text != "off" {
		return essaim.Errorf(essaim.CodeBadInput, "write on or off", "%q is neither", text)
	}
	chain, by, err := s.begin(ctx, f)
	if err != nil {
		return err
	}
	a, err := s.actor(ctx, chain, name)
	if err != nil {
		return err
	}
	return s.send(ctx, f, plan{chain, by, func(ctx context.Context, on *chainclient.Client) (tx essaim.Tx, o outcome, err error) {
		o.say("from now on claims of %s on %s are %s", f.from, label(a), map[string]string{"on": "added to the stake", "off": "paid"}[text])
		o.set("actor", a.NodeKey)
		o.set("compound", text == "on")
		tx, err = on.SetCompound(ctx, by, a.NodeKey, text == "on")
		return tx, o, err
	}})
}
