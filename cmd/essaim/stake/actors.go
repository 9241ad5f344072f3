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

func newActors(s *Shell) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:       "actors [miners|coordinators]",
		Short:     "List miners and coordinators by stake",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"miners", "coordinators"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.actors(cmd.Context(), strings.Join(args, ""), limit)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "show at most so many of each; 0: all")
	return cmd
}

func (s *Shell) actors(ctx context.Context, only string, limit int) error {
	if limit < 0 {
		return essaim.Errorf(essaim.CodeBadInput, "0 shows all", "--limit %d is negative", limit)
	}
	chain, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	out := map[string]any{}
	for _, role := range []essaim.Role{essaim.RoleCoordinator, essaim.RoleMiner} {
		if only != "" && only != string(role)+"s" {
			continue
		}
		list, err := chain.Standings(ctx, role, limit)
		if err != nil {
			return err
		}
		out[string(role)+"s"] = append([]chainclient.Standing{}, list...)
		if s.JSON() {
			continue
		}
		rows := [][]string{{string(role), "state", "stake AIM", "bond AIM", "commission", "gateway"}}
		for _, a := range list {
			rows = append(rows, []string{a.NodeKey.Short(), state(a), term.Coins(a.Stake), term.Coins(a.Bond), a.Commission.String(), a.URL})
		}
		if role == essaim.RoleMiner {
			rows[0][5] = ""
		}
		term.Table(s.Stdout, "<<>>><", rows...)
		if role == essaim.RoleCoordinator && only == "" {
			fmt.Fprintln(s.Stdout)
		}
	}
	if s.JSON() {
		return printJSON(s.Stdout, out)
	}
	return nil
}

func newSlashes(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "slashes [ACTOR]",
		Short: "List slashes, show one with its evidence, appeal one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.slashes(cmd.Context(), strings.Join(args, ""))
		},
	}
	show := &cobra.Command{
		Use: "show NUMBER", Short: "Show a slash and its evidence", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := number("slash", args[0])
			if err != nil {
				return err
			}
			return s.slash(cmd.Context(), id)
		},
	}
	var f sending
	var evidence []string
	appeal := f.add(s, &cobra.Command{
		Use: "appeal NUMBER --evidence CID", Short: "Appeal a slash of your actor: its coins are held longer, so that governance can decide", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := number("slash", args[0])
			if err != nil {
				return err
			}
			return s.appeal(cmd.Context(), &f, id, evidence)
		},
	})
	appeal.Flags().StringSliceVar(&evidence, "evidence", nil, "CID of what shows the contrary; may be given again")
	cmd.AddCommand(show, appeal)
	return cmd
}

func (s *Shell) slashes(ctx context.Context, name string) error {
	chain, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	var k essaim.NodeKey
	if name != "" {
		a, err := s.actor(ctx, chain, name)
		if err != nil {
			return err
		}
		k = a.NodeKey
	}
	list, err := chain.Slashes(ctx, k)
	if err != nil {
		return err
	}
	if s.JSON() {
		return printJSON(s.Stdout, map[string]any{"slashes": append([]chainclient.Slash{}, list...)})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(s.Stdout, "no slashes")
		return err
	}
	rows := [][]string{{"slash", "actor", "AIM", "height", "state", "cause"}}
	for _, x := range list {
		now := string(x.State)
		if x.Appealed && x.State == chainclient.SlashHeld {
			now = "appealed"
		}
		rows = append(rows, []string{fmt.Sprint(x.ID), x.Actor.Short(), term.Coins(x.Amount), fmt.Sprint(x.At), now, x.Cause})
	}
	term.Table(s.Stdout, "><>><<", rows...)
	return nil
}

func (s *Shell) slash(ctx context.Context, id uint64) error {
	chain, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	x, err := chain.Slash(ctx, id)
	if err != nil {
		return err
	}
	if s.JSON() {
		return printJSON(s.Stdout, x)
	}
	p := func(name, format string, args ...any) {
		fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("  %-10s %s", name, fmt.Sprintf(format, args...)), term.Width))
	}
	fmt.Fprintf(s.Stdout, "slash %d of %s\n", x.ID, x.Actor.Short())
	p("took", "%s AIM, %s of its stake, at height %d", term.Coins(x.Amount), x.Part, x.At)
	p("cause", "%s", x.Cause)
	if x.Method != "" {
		p("method", "%s", x.Method)
	}
	for _, c := range x.Evidence {
		p("evidence", "%s", c)
	}
	for _, c := range x.CounterEvidence {
		p("contrary", "%s", c)
	}
	if x.JailedUntil != 0 {
		p("jail", "until height %d, or later", x.JailedUntil)
	}
	if x.Restitution > 0 {
		p("wronged", "%s, to get up to %s AIM", x.Wronged, term.Coins(x.Restitution))
	}
	switch x.State {
	case chainclient.SlashHeld:
		p("coins", "held until %s; appealed: %t", term.When(ctx, chain, x.EndsAt), x.Appealed)
	case chainclient.SlashFinal:
		p("coins", "%s AIM to the wronged, the rest burned", term.Coins(min(x.Restitution, x.Amount)))
	case chainclient.SlashReversed:
		p("coins", "given back: the slash was reversed")
	}
	return nil
}

func (s *Shell) appeal(ctx context.Context, f *sending, id uint64, evidence []string) error {
	if len(evidence) == 0 {
		return essaim.Errorf(essaim.CodeBadInput, "give --evidence CID", "an appeal needs evidence")
	}
	chain, by, err := s.begin(ctx, f)
	if err != nil {
		return err
	}
	x, err := chain.Slash(ctx, id)
	if err != nil {
		return err
	}
	return s.send(ctx, f, plan{chain, by, func(ctx context.Context, on *chainclient.Client) (tx essaim.Tx, o outcome, err error) {
		ends, tx, err := on.Appeal(ctx, by, id, evidence)
		if err != nil {
			return tx, o, err
		}
		o.say("appeal slash %d: %s AIM of %s, for %s", id, term.Coins(x.Amount), x.Actor.Short(), x.Cause)
		o.say("  held       until %s", term.When(ctx, chain, ends))
		o.say("  next       a proposal to reverse it must pass before that")
		o.set("slash", id)
		o.set("ends_at", ends)
		return tx, o, nil
	}})
}
