package stake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
)

func newVote(s *Shell) *cobra.Command {
	var f sending
	return f.add(s, &cobra.Command{
		Use:   "vote PROPOSAL yes|no|abstain|veto|weighted [OPTION=PERCENT]...",
		Short: "Vote on a proposal with your stake and the work of your miners",
		Example: `  essaim vote 3 yes
  essaim vote 3 weighted yes=60 abstain=40`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := number("proposal", args[0])
			if err != nil {
				return err
			}
			choices, err := choicesOf(args[1], args[2:])
			if err != nil {
				return err
			}
			return s.vote(cmd.Context(), &f, id, choices)
		},
	})
}

// choicesOf reads a vote.
func choicesOf(option string, parts []string) ([]chainclient.Choice, error) {
	options := []string{"yes", "no", "abstain", "veto"}
	bad := func(format string, args ...any) error {
		return essaim.Errorf(essaim.CodeBadInput, "vote "+strings.Join(options, ", ")+", or weighted yes=60 no=40", format, args...)
	}
	if option != "weighted" {
		if !slices.Contains(options, option) || len(parts) > 0 {
			return nil, bad("%q is no vote", strings.Join(append([]string{option}, parts...), " "))
		}
		return []chainclient.Choice{{Option: option, Weight: essaim.BpsWhole}}, nil
	}
	var out []chainclient.Choice
	var sum essaim.Bps
	for _, p := range parts {
		name, text, _ := strings.Cut(p, "=")
		weight, err := term.Percent(text)
		if err != nil || weight == 0 || !slices.Contains(options, name) {
			return nil, bad("%q is no part of a vote", p)
		}
		out, sum = append(out, chainclient.Choice{Option: name, Weight: weight}), sum+weight
	}
	if sum != essaim.BpsWhole {
		return nil, bad("the parts add up to %s, not to 100 %%", sum)
	}
	return out, nil
}

func (s *Shell) vote(ctx context.Context, f *sending, id uint64, choices []chainclient.Choice) error {
	chain, by, err := s.begin(ctx, f)
	if err != nil {
		return err
	}
	p, err := chain.Proposal(ctx, id)
	if err != nil {
		return err
	}
	if p.Status != "voting" {
		return essaim.Errorf(essaim.CodeConflict, "`essaim proposals` lists what is voted on", "proposal %d is not voted on: %s", id, p.Status)
	}
	power, err := chain.VotingPower(ctx, by.Address())
	if err != nil {
		return err
	}
	return s.send(ctx, f, plan{chain, by, func(ctx context.Context, on *chainclient.Client) (tx essaim.Tx, o outcome, err error) {
		var words []string
		for _, c := range choices {
			words = append(words, c.Option+" with "+c.Weight.String())
		}
		o.say("%s", term.Clip(fmt.Sprintf("vote on proposal %d, %s", id, p.Title), term.Width))
		o.say("  %s votes %s", f.from, strings.Join(words, ", "))
		o.say("  stake      %s AIM, %s of all", term.Coins(power.Stake), percent(power.Stake, power.TotalStake))
		o.say("  work       %s AIM of fees, %s of all", term.Coins(power.Work), percent(power.Work, power.TotalWork))
		o.say("  ends       %s", date(p.Until))
		if power.Stake == 0 && power.Work == 0 {
			o.say("  this vote weighs nothing: stake first")
		}
		o.set("proposal", id)
		o.set("choices", choices)
		o.set("power", power)
		tx, err = on.Vote(ctx, by, id, choices...)
		return tx, o, err
	}})
}

func date(t time.Time) string {
	if left := time.Until(t); left > 0 && left < time.Hour {
		return "in " + left.Round(time.Second).String()
	}
	return t.Local().Format("2 January 2006 15:04")
}

// proposing is a draft's flags.
type proposing struct {
	sending
	draft    chainclient.Draft
	deposit  string
	evidence []string
	method   string
	info     string
}

// propose is one way of proposing: it says what it will do, and does it.
type propose func(s *Shell, ctx context.Context, p *proposing, chain *chainclient.Client, args []string) (words string, do submit, err error)

// submit proposes and returns the proposal's number.
type submit func(context.Context, *chainclient.Client, chainclient.Signer) (uint64, essaim.Tx, error)

func newPropose(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "propose",
		Short: "Propose a text, new parameters, a payment, an upgrade, a slash or its reversal",
		Example: `  essaim propose text --title "A name" --summary "Shall we …?"
  essaim propose param tally cap_bps=400 --title "A lower cap" --summary "…"`,
	}
	for _, d := range []struct {
		use, short string
		least      int
		prepare    propose
	}{
		{"text", "Ask a question", 0, (*Shell).proposeText},
		{"param MODULE NAME=VALUE...", "Change parameters; values are JSON", 2, (*Shell).proposeParam},
		{"spend TO AMOUNT", "Pay from the community pool", 2, (*Shell).proposeSpend},
		{"upgrade NAME HEIGHT", "Stop every node before a height, to go on with another program", 2, (*Shell).proposeUpgrade},
		{"slash ACTOR CAUSE", "Slash an actor by the slash table, with evidence", 2, (*Shell).proposeSlash},
		{"reverse SLASH", "Give back what a slash took, while its window lasts", 1, (*Shell).proposeReverse},
	} {
		p := &proposing{}
		args := cobra.ExactArgs(d.least)
		if strings.HasSuffix(d.use, "...") {
			args = cobra.MinimumNArgs(d.least)
		}
		sub := p.add(s, &cobra.Command{
			Use: d.use, Short: d.short, Args: args,
			RunE: func(cmd *cobra.Command, args []string) error { return s.propose(cmd.Context(), p, args, d.prepare) },
		})
		flags := sub.Flags()
		flags.StringVar(&p.draft.Title, "title", "", "what it is called")
		flags.StringVar(&p.draft.Summary, "summary", "", "what it says, and why")
		flags.StringVar(&p.deposit, "deposit", "", "AIM that come back unless it is vetoed (default: as much as a vote needs)")
		flags.BoolVar(&p.draft.Expedited, "expedited", false, "vote in less time, with a larger deposit and majority")
		if strings.HasPrefix(d.use, "slash") || strings.HasPrefix(d.use, "reverse") {
			flags.StringSliceVar(&p.evidence, "evidence", nil, "CID of what anyone can check again; may be given again")
			flags.StringVar(&p.method, "method", "", "how it was found")
		}
		if strings.HasPrefix(d.use, "upgrade") {
			flags.StringVar(&p.info, "info", "", "where to get the program")
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

func (s *Shell) propose(ctx context.Context, p *proposing, args []string, prepare propose) error {
	if p.draft.Title == "" || p.draft.Summary == "" {
		return essaim.Errorf(essaim.CodeBadInput, "give --title and --summary", "a proposal needs a title and a summary")
	}
	chain, by, err := s.begin(ctx, &p.sending)
	if err != nil {
		return err
	}
	if p.deposit != "" {
		p.draft.Deposit, err = amountOf(p.deposit)
	} else {
		p.draft.Deposit, err = chain.LeastDeposit(ctx, p.draft.Expedited)
	}
	if err != nil {
		return err
	}
	words, do, err := prepare(s, ctx, p, chain, args)
	if err != nil {
		return err
	}
	have, err := chain.Balance(ctx, by.Address())
	if err != nil {
		return err
	}
	if have < p.draft.Deposit {
		return essaim.Errorf(essaim.CodeInsufficient, "send coins to it first, or leave the deposit to others with --deposit", "%s has %s, the deposit is %s", p.from, have, p.draft.Deposit)
	}
	return s.send(ctx, &p.sending, plan{chain, by, func(ctx context.Context, on *chainclient.Client) (tx essaim.Tx, o outcome, err error) {
		id, tx, err := do(ctx, on, by)
		o.lines = term.Wrap("propose "+words, term.Width)
		o.say("%s", term.Clip("  title      "+p.draft.Title, term.Width))
		o.say("  number     %d", id)
		o.say("  deposit    %s AIM, which come back unless it is vetoed", term.Coins(p.draft.Deposit))
		o.set("proposal", id)
		o.set("deposit", p.draft.Deposit)
		return tx, o, err
	}})
}

func (s *Shell) proposeText(_ context.Context, p *proposing, _ *chainclient.Client, _ []string) (string, submit, error) {
	return "a question, whose answer changes nothing by itself", func(ctx context.Context, on *chainclient.Client, by chainclient.Signer) (uint64, essaim.Tx, error) {
		return on.ProposeText(ctx, by, p.draft)
	}, nil
}

func (s *Shell) proposeParam(_ context.Context, p *proposing, _ *chainclient.Client, args []string) (string, submit, error) {
	change := map[string]json.RawMessage{}
	for _, a := range args[1:] {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return "", nil, essaim.Errorf(essaim.CodeBadInput, "write NAME=VALUE, such as cap_bps=400", "%q is no parameter", a)
		}
		if change[name] = json.RawMessage(value); !json.Valid([]byte(value)) {
			text, err := json.Marshal(value)
			if err != nil {
				return "", nil, err
			}
			change[name] = text
		}
	}
	bz, err := json.Marshal(change)
	if err != nil {
		return "", nil, err
	}
	words := fmt.Sprintf("to change in %s: %s", args[0], strings.Join(args[1:], " "))
	return words, func(ctx context.Context, on *chainclient.Client, by chainclient.Signer) (uint64, essaim.Tx, error) {
		return on.ProposeParams(ctx, by, p.draft, args[0], bz)
	}, nil
}

func (s *Shell) proposeSpend(_ context.Context, p *proposing, _ *chainclient.Client, args []string) (string, submit, error) {
	to, err := s.Address(args[0])
	if err != nil {
		return "", nil, err
	}
	amount, err := amountOf(args[1])
	if err != nil {
		return "", nil, err
	}
	words := fmt.Sprintf("to pay %s AIM from the community pool to %s", term.Coins(amount), to)
	return words, func(ctx context.Context, on *chainclient.Client, by chainclient.Signer) (uint64, essaim.Tx, error) {
		return on.ProposeSpend(ctx, by, p.draft, to, amount)
	}, nil
}

func (s *Shell) proposeUpgrade(ctx context.Context, p *proposing, chain *chainclient.Client, args []string) (string, submit, error) {
	at, err := height(args[1])
	if err != nil {
		return "", nil, err
	}
	if now, err := chain.Height(ctx); err != nil || at <= now {
		return "", nil, essaim.Errorf(essaim.CodeBadInput, "choose one that is still far when the vote ends", "height %d has passed (%v)", at, err)
	}
	words := fmt.Sprintf("that every node stops at %s and goes on with %q", term.When(ctx, chain, at), args[0])
	return words, func(ctx context.Context, on *chainclient.Client, by chainclient.Signer) (uint64, essaim.Tx, error) {
		return on.ProposeUpgrade(ctx, by, p.draft, args[0], at, p.info)
	}, nil
}

func (s *Shell) proposeSlash(ctx context.Context, p *proposing, chain *chainclient.Client, args []string) (string, submit, error) {
	a, err := s.actor(ctx, chain, args[0])
	if err != nil {
		return "", nil, err
	}
	if len(p.evidence) == 0 {
		return "", nil, essaim.Errorf(essaim.CodeBadInput, "give --evidence CID", "a slash needs evidence")
	}
	words := fmt.Sprintf("to slash %s for %s, with evidence %s", label(a), args[1], strings.Join(p.evidence, ", "))
	x := chainclient.Slash{Actor: a.NodeKey, Cause: args[1], Evidence: p.evidence, Method: p.method}
	return words, func(ctx context.Context, on *chainclient.Client, by chainclient.Signer) (uint64, essaim.Tx, error) {
		return on.ProposeSlash(ctx, by, p.draft, x)
	}, nil
}

func (s *Shell) proposeReverse(ctx context.Context, p *proposing, chain *chainclient.Client, args []string) (string, submit, error) {
	id, err := number("slash", args[0])
	if err != nil {
		return "", nil, err
	}
	x, err := chain.Slash(ctx, id)
	switch {
	case err != nil:
		return "", nil, err
	case x.State != chainclient.SlashHeld:
		return "", nil, essaim.Errorf(essaim.CodeExpired, "", "slash %d is %s", id, x.State)
	case len(p.evidence) == 0:
		return "", nil, essaim.Errorf(essaim.CodeBadInput, "give --evidence CID", "a reversal needs evidence")
	}
	words := fmt.Sprintf("to give %s AIM back to the pool of %s: slash %d was wrong", term.Coins(x.Amount), x.Actor.Short(), id)
	return words, func(ctx context.Context, on *chainclient.Client, by chainclient.Signer) (uint64, essaim.Tx, error) {
		return on.ProposeReverse(ctx, by, p.draft, id, p.evidence)
	}, nil
}

func newProposals(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use: "proposals [NUMBER]", Short: "List proposals, or show one with both houses' counts", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return s.proposals(cmd.Context())
			}
			id, err := number("proposal", args[0])
			if err != nil {
				return err
			}
			return s.proposal(cmd.Context(), id)
		},
	}
	return cmd
}

func (s *Shell) proposals(ctx context.Context) error {
	chain, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	list, err := chain.Proposals(ctx)
	if err != nil {
		return err
	}
	if s.JSON() {
		return printJSON(s.Stdout, map[string]any{"proposals": append([]chainclient.Proposal{}, list...)})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(s.Stdout, "no proposals")
		return err
	}
	rows := [][]string{{"nr", "state", "yes", "turnout", "ends", "title"}}
	for _, p := range list {
		yes, turnout := "", ""
		if p.Outcome != nil {
			yes, turnout = trillionths(p.Outcome.Shares["yes"]), trillionths(p.Outcome.Turnout)
		}
		rows = append(rows, []string{fmt.Sprint(p.ID), p.Status, yes, turnout, date(p.Until), p.Title})
	}
	term.Table(s.Stdout, "><>><<", rows...)
	return nil
}

// trillionths writes parts of 10^12 as a percentage.
func trillionths(n uint64) string { return essaim.Bps(n / 100_000_000).String() }

func (s *Shell) proposal(ctx context.Context, id uint64) error {
	chain, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	p, err := chain.Proposal(ctx, id)
	if err != nil {
		return err
	}
	if s.JSON() {
		return printJSON(s.Stdout, p)
	}
	fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("proposal %d: %s", p.ID, p.Title), term.Width))
	for _, line := range term.Wrap(p.Summary, term.Width-2) {
		fmt.Fprintln(s.Stdout, "  "+line)
	}
	fmt.Fprintf(s.Stdout, "\n  %s; deposit %s AIM; ends %s\n", p.Status, term.Coins(p.Deposit), date(p.Until))
	if p.Failure != "" {
		fmt.Fprintln(s.Stdout, term.Clip("  it failed: "+p.Failure, term.Width))
	}
	if len(p.Messages) > 0 {
		for _, line := range term.Wrap("it does "+string(p.Messages), term.Width-2) {
			fmt.Fprintln(s.Stdout, term.Clip("  "+line, term.Width))
		}
	}
	if p.Outcome == nil {
		_, err := fmt.Fprintln(s.Stdout, "\n  nobody has voted")
		return err
	}
	fmt.Fprintln(s.Stdout)
	return houses(s.Stdout, *p.Outcome)
}

// houses shows how both houses voted.
func houses(w io.Writer, o chainclient.Outcome) error {
	rows := [][]string{{"", "yes", "no", "abstain", "veto", "counted AIM", "voted AIM"}}
	for _, h := range []struct {
		name string
		chainclient.House
	}{{"stake", o.Stake}, {"work", o.Work}} {
		if !h.Seated {
			rows = append(rows, []string{h.name, "", "", "", "", "no seat yet", ""})
			continue
		}
		row := []string{h.name}
		for _, option := range []string{"yes", "no", "abstain", "veto"} {
			row = append(row, percent(h.Options[option], h.Counted))
		}
		rows = append(rows, append(row, term.Coins(h.Counted), term.Coins(h.Voted)))
	}
	row := []string{"together"}
	for _, option := range []string{"yes", "no", "abstain", "veto"} {
		row = append(row, trillionths(o.Shares[option]))
	}
	rows = append(rows, append(row, "turnout "+trillionths(o.Turnout), ""))
	term.Table(w, "<>>>>>>", rows...)
	for _, who := range slices.Sorted(maps.Keys(o.Capped)) {
		fmt.Fprintln(w, term.Clip(fmt.Sprintf("  %s has %s AIM and counts %s", who, term.Coins(o.Capped[who]), term.Coins(o.Cap)), term.Width))
	}
	return nil
}
