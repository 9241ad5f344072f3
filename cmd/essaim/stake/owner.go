package stake

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/wallet"
)

// newActor is what an owner needs. It shows the actor without a subcommand.
func newActor(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "actor ACTOR",
		Short: "Show an actor; run one of your own: bond, commission, away, rotate, unjail, retire",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return s.show(cmd.Context(), args[0]) },
	}
	for _, d := range []struct {
		use, short string
		args       int
		do         func(*owning, context.Context, *chainclient.Client, []string) (essaim.Tx, outcome, error)
	}{
		{"bond ACTOR AMOUNT", "Add to its bond", 2, (*owning).bond},
		{"commission ACTOR PERCENT", "Set your part of income, within the limits", 2, (*owning).commission},
		{"away ACTOR FROM UNTIL", "Announce maintenance between two heights; 0 0 takes it back", 3, (*owning).away},
		{"rotate ACTOR FOLDER", "Give it the node key in a folder, made if need be; the old one answers for a while", 2, (*owning).rotate},
		{"unjail ACTOR", "Put it back to work after its jail", 1, (*owning).unjail},
		{"retire ACTOR", "Take it out of work for good; the bond comes back after the unbonding period", 1, (*owning).retire},
	} {
		var f sending
		sub := f.add(s, &cobra.Command{
			Use: d.use, Short: d.short, Args: cobra.ExactArgs(d.args),
			RunE: func(cmd *cobra.Command, args []string) error { return s.owner(cmd.Context(), &f, args, d.do) },
		})
		sub.Flags().Lookup("from").Hidden = true // it is always the owner's
		cmd.AddCommand(sub)
	}
	return cmd
}

func (s *Shell) show(ctx context.Context, name string) error {
	chain, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	a, err := s.actor(ctx, chain, name)
	if err != nil {
		return err
	}
	who, err := chain.Delegators(ctx, a.NodeKey, 20)
	if err != nil {
		return err
	}
	if s.JSON() {
		return printJSON(s.Stdout, map[string]any{"actor": a, "delegators": append([]chainclient.Delegation{}, who...)})
	}
	p := func(name, format string, args ...any) {
		fmt.Fprintf(s.Stdout, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(s.Stdout, "%s %s\n", a.Role, a.NodeKey)
	p("state", "%s", state(a))
	p("owner", "%s", a.Owner)
	p("stake", "%s AIM, of which %s AIM are the bond", term.Coins(a.Stake), term.Coins(a.Bond))
	if leaving := a.Pool - min(a.Stake, a.Pool); leaving > 0 {
		p("leaving", "%s AIM", term.Coins(leaving))
	}
	p("commission", "%s, changing by at most %s in an epoch", a.Commission, a.CommissionChange)
	if a.URL != "" {
		p("gateway", "%s", term.Clip(a.URL, term.Width-13))
	}
	for _, h := range []struct {
		name string
		at   int64
	}{{"jailed", a.JailedUntil}, {"frozen", a.FrozenUntil}, {"away until", a.AwayUntil}, {"bond back", a.ReleaseAt}} {
		if h.at != 0 {
			p(h.name, "%s", term.When(ctx, chain, h.at))
		}
	}
	fmt.Fprintln(s.Stdout)
	rows := [][]string{{"staked by", "AIM", "of its stake"}}
	for _, d := range who {
		rows = append(rows, []string{d.Delegator.String(), term.Coins(d.Value), percent(d.Value, a.Stake)})
	}
	term.Table(s.Stdout, "<>>", rows...)
	return nil
}

// owning is one command of an owner on the way.
type owning struct {
	shell *Shell
	by    *wallet.Account
	actor chainclient.Standing
}

// owner runs an owner's command. It signs with the key of the home that owns the actor:
// no other could.
func (s *Shell) owner(ctx context.Context, f *sending, args []string, do func(*owning, context.Context, *chainclient.Client, []string) (essaim.Tx, outcome, error)) error {
	chain, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	a, err := s.actor(ctx, chain, args[0])
	if err != nil {
		return err
	}
	if f.from, err = s.ownerKey(a); err != nil {
		return err
	}
	by, err := s.Account(f.from)
	if err != nil {
		return err
	}
	o := &owning{s, by, a}
	return s.send(ctx, f, plan{chain, by, func(ctx context.Context, on *chainclient.Client) (essaim.Tx, outcome, error) {
		tx, out, err := do(o, ctx, on, args[1:])
		out.set("actor", a.NodeKey)
		return tx, out, err
	}})
}

// ownerKey is the name of the key that must sign for an actor.
func (s *Shell) ownerKey(a chainclient.Standing) (string, error) {
	keys, err := s.Keys().List()
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if k.Address == a.Owner {
			return k.Name, nil
		}
	}
	return "", essaim.Errorf(essaim.CodeRefused, "import the owner's key with `essaim keys import`", "%s belongs to %s, of which there is no key here", label(a), a.Owner)
}

func (o *owning) bond(ctx context.Context, on *chainclient.Client, args []string) (tx essaim.Tx, out outcome, err error) {
	amount, err := amountOf(args[0])
	if err != nil {
		return tx, out, err
	}
	out.say("add %s AIM to the bond of %s", term.Coins(amount), label(o.actor))
	out.say("  bond       %s AIM, with which its stake is %s AIM", term.Coins(o.actor.Bond+amount), term.Coins(o.actor.Stake+amount))
	out.set("bond", o.actor.Bond+amount)
	tx, err = on.AddBond(ctx, o.by, o.actor.NodeKey, amount)
	return tx, out, err
}

func (o *owning) commission(ctx context.Context, on *chainclient.Client, args []string) (tx essaim.Tx, out outcome, err error) {
	part, err := term.Percent(args[0])
	if err != nil {
		return tx, out, err
	}
	out.say("set the commission of %s from %s to %s of its income", label(o.actor), o.actor.Commission, part)
	out.set("commission", part)
	tx, err = on.SetCommission(ctx, o.by, o.actor.NodeKey, part)
	return tx, out, err
}

func (o *owning) away(ctx context.Context, on *chainclient.Client, args []string) (tx essaim.Tx, out outcome, err error) {
	from, err := height(args[0])
	if err != nil {
		return tx, out, err
	}
	until, err := height(args[1])
	if err != nil {
		return tx, out, err
	}
	out.say("announce that %s is away", label(o.actor))
	if until == 0 {
		out.lines = []string{"take back that " + label(o.actor) + " is away"}
	} else {
		out.say("  from       %s", term.When(ctx, on, from))
		out.say("  until      %s", term.When(ctx, on, until))
	}
	out.set("away_from", from)
	out.set("away_until", until)
	tx, err = on.Away(ctx, o.by, o.actor.NodeKey, from, until)
	return tx, out, err
}

func (o *owning) rotate(ctx context.Context, on *chainclient.Client, args []string) (tx essaim.Tx, out outcome, err error) {
	keys, err := wallet.LoadNodeKeys(args[0])
	if err != nil {
		return tx, out, err
	}
	chainID, err := on.ChainID(ctx)
	if err != nil {
		return tx, out, err
	}
	possession := ed25519.Sign(keys.Sign, essaim.PossessionBytes(chainID, o.actor.Owner, o.actor.Role, keys.ID()))
	until, tx, err := on.RotateKey(ctx, o.by, o.actor.NodeKey, keys.ID(), possession)
	if err != nil {
		return tx, out, err
	}
	out.say("give %s the node key %s", label(o.actor), keys.ID().Short())
	out.say("  old key    answers until %s", term.When(ctx, on, until))
	out.say("  next       start the node again with the new key: it alone can answer a")
	out.say("             dispute about what the old one has signed")
	out.set("new_key", keys.ID())
	out.set("overlap_until", until)
	return tx, out, nil
}

func (o *owning) unjail(ctx context.Context, on *chainclient.Client, _ []string) (tx essaim.Tx, out outcome, err error) {
	out.say("put %s back to work", label(o.actor))
	tx, err = on.Unjail(ctx, o.by, o.actor.NodeKey)
	return tx, out, err
}

func (o *owning) retire(ctx context.Context, on *chainclient.Client, _ []string) (tx essaim.Tx, out outcome, err error) {
	p, err := on.StakeParams(ctx)
	if err != nil {
		return tx, out, err
	}
	if tx, err = on.Retire(ctx, o.by, o.actor.NodeKey); err != nil {
		return tx, out, err
	}
	now, err := on.Height(ctx)
	out.say("take %s out of work for good", label(o.actor))
	out.say("  bond       %s AIM come back at %s", term.Coins(o.actor.Bond), term.When(ctx, on, now+p.UnbondingBlocks))
	out.say("  others     get their %s AIM back then, too", term.Coins(o.actor.Stake-min(o.actor.Bond, o.actor.Stake)))
	return tx, out, err
}

func height(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, essaim.Errorf(essaim.CodeBadInput, "`essaim query status` shows the height now", "%q is no height", text)
	}
	return n, nil
}

func number(what, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, essaim.Errorf(essaim.CodeBadInput, "they are numbered from 1", "%q is no %s", text, what)
	}
	return n, nil
}
