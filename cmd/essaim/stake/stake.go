// Package stake is the part of the program that people use around stake: commands to
// stake, claim, vote and propose, to look at actors and slashes, to run an actor, and
// the demonstration of all that.
//
// It is a package of its own because the program has many commands; like the program it
// parses what it was given, calls package chain/client and prints. It must hold no rule
// of the ledger: every transaction first runs on the node without a block, so that what
// is wrong shows before anything is signed, and what would happen can be said in words.
package stake

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/signing"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/wallet"
)

// Shell is what the commands need of the program around them.
type Shell struct {
	Stdout  *os.File
	Getenv  func(string) string
	JSON    func() bool
	Keys    func() *wallet.Store
	Address func(name string) (essaim.Address, error)
	Start   func(context.Context, devnet.Config) (*devnet.Network, func() error, error)
	No      func(error) error // ends the program with 1: the answer is no
	signing.Desk
}

// Commands are all of the package's.
func Commands(s *Shell) []*cobra.Command {
	return []*cobra.Command{
		newStake(s), newUnstake(s), newRedelegate(s), newRewards(s), newActors(s), newActor(s), newSlashes(s),
		newVote(s), newPropose(s), newProposals(s), newDemo(s),
	}
}

// sending is the flags of every command that sends a transaction.
type sending struct {
	from   string
	dryRun bool
}

func (f *sending) add(s *Shell, cmd *cobra.Command) *cobra.Command {
	s.From(cmd, &f.from, "account key that signs")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "let the node try it, say what would happen, change nothing")
	return cmd
}

// plan is a transaction before it is sent: do runs it on any client, and says what it
// brought in words and, for programs, in fields.
type plan struct {
	chain *chainclient.Client
	by    *wallet.Account
	do    func(ctx context.Context, on *chainclient.Client) (essaim.Tx, outcome, error)
}

type outcome struct {
	lines  []string
	fields map[string]any
}

func (o *outcome) say(format string, args ...any) {
	o.lines = append(o.lines, fmt.Sprintf(format, args...))
}

func (o *outcome) set(name string, value any) {
	if o.fields == nil {
		o.fields = map[string]any{}
	}
	o.fields[name] = value
}

// begin dials the ledger and loads the account that signs.
func (s *Shell) begin(ctx context.Context, f *sending) (*chainclient.Client, *wallet.Account, error) {
	f.from = cmp.Or(f.from, s.User()) // what is said names it
	by, err := s.Open(ctx, f.from)
	return by.Client, by.By, err
}

// send tries a plan, says what it will do, and then does it unless it is only a trial.
func (s *Shell) send(ctx context.Context, f *sending, p plan) error {
	tried, o, err := p.do(ctx, p.chain.Trial())
	if err != nil {
		return err
	}
	o.set("dry_run", f.dryRun)
	o.set("from", p.by.Address())
	o.set("fee", essaim.Amount(0))
	o.set("gas", tried.Gas)
	if !s.JSON() {
		fmt.Fprintln(s.Stdout, strings.Join(o.lines, "\n"))
	}
	if f.dryRun {
		if s.JSON() {
			return printJSON(s.Stdout, o.fields)
		}
		_, err := fmt.Fprintf(s.Stdout, "\nfee 0 AIM, gas %s; tried on the node, nothing was sent\n", term.Grouped(tried.Gas))
		return err
	}
	tx, done, err := p.do(ctx, p.chain)
	if err != nil {
		return err
	}
	for name, value := range done.fields {
		o.set(name, value)
	}
	o.set("gas", tx.Gas)
	o.set("tx", tx.Hash)
	o.set("height", tx.Height)
	if s.JSON() {
		return printJSON(s.Stdout, o.fields)
	}
	_, err = fmt.Fprintf(s.Stdout, "\ndone: height %d, transaction\n%s\n", tx.Height, tx.Hash)
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// amountOf reads an amount that must not be 0.
func amountOf(text string) (essaim.Amount, error) {
	a, err := essaim.ParseAmount(text)
	if err != nil {
		return 0, essaim.Errorf(essaim.CodeBadInput, "write AIM like 1.25, or 1250000uaim", "%w", err)
	}
	if a == 0 {
		return 0, essaim.Errorf(essaim.CodeBadInput, "write AIM like 1.25, or 1250000uaim", "amount %q is nothing", text)
	}
	return a, nil
}

// part reads an amount of what is staked, or "all", which is 0.
func part(text string) (essaim.Amount, error) {
	if text == "all" {
		return 0, nil
	}
	return amountOf(text)
}

// actor finds an actor by its node key, the beginning of one, its gateway's URL, or the
// name of the owner's key if that owns one actor.
func (s *Shell) actor(ctx context.Context, chain *chainclient.Client, text string) (chainclient.Standing, error) {
	if k, err := essaim.ParseNodeKey(text); err == nil {
		return chain.Standing(ctx, k)
	}
	all, err := chain.Standings(ctx, essaim.RoleMiner, 0)
	if err != nil {
		return chainclient.Standing{}, err
	}
	coordinators, err := chain.Standings(ctx, essaim.RoleCoordinator, 0)
	if err != nil {
		return chainclient.Standing{}, err
	}
	var owner essaim.Address
	if a, err := s.Address(text); err == nil {
		owner = a
	}
	var found []chainclient.Standing
	for _, a := range append(all, coordinators...) {
		if named(a, text, owner) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return chainclient.Standing{}, essaim.Errorf(essaim.CodeNotFound, "`essaim actors` lists them; give a node key or its beginning", "no actor %q", text)
	}
	return chainclient.Standing{}, essaim.Errorf(essaim.CodeBadInput, "give more of its node key", "%d actors answer to %q", len(found), text)
}

func named(a chainclient.Standing, text string, owner essaim.Address) bool {
	bare := func(url string) string {
		if _, rest, ok := strings.Cut(url, "://"); ok {
			url = rest
		}
		return strings.TrimSuffix(url, "/")
	}
	switch {
	case len(text) >= 4 && strings.HasPrefix(a.NodeKey.String(), strings.ToLower(text)):
		return true
	case a.URL != "" && bare(a.URL) == bare(text):
		return true
	}
	return !owner.IsZero() && a.Owner == owner
}
