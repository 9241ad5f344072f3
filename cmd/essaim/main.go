// Command essaim is the whole network in one program: a ledger node, a coordinator
// with its gateway, miners, and the tools of the people who use them.
//
// One file per subcommand. A command parses what it was given, calls a package and
// prints; it must not decide anything that a role or the ledger should decide.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	xterm "golang.org/x/term"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/backup"
	"github.com/essaim/essaim/cmd/essaim/begin"
	"github.com/essaim/essaim/cmd/essaim/bots"
	"github.com/essaim/essaim/cmd/essaim/dispute"
	"github.com/essaim/essaim/cmd/essaim/doctor"
	"github.com/essaim/essaim/cmd/essaim/keys"
	"github.com/essaim/essaim/cmd/essaim/manual"
	"github.com/essaim/essaim/cmd/essaim/names"
	"github.com/essaim/essaim/cmd/essaim/operator"
	"github.com/essaim/essaim/cmd/essaim/proving"
	"github.com/essaim/essaim/cmd/essaim/session"
	"github.com/essaim/essaim/cmd/essaim/settings"
	"github.com/essaim/essaim/cmd/essaim/signing"
	"github.com/essaim/essaim/cmd/essaim/stake"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/wallet"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

// run is main with an exit code, so that tests can call it.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &cli{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	return c.run(ctx, os.Args[1:])
}

// run is the program with these arguments.
func (c *cli) run(ctx context.Context, args []string) int {
	root := newRootCommand(c)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		// Arguments that cannot be read may hide that they ask for JSON.
		tell(c.stdout, c.stderr, c.json || slices.Contains(args, "--json"), interrupted(ctx, err))
	}
	return exitCode(err)
}

// cli is what every command shares: where to read and write, and the global flags.
type cli struct {
	stdin          io.Reader
	stdout         *os.File
	stderr         *os.File
	getenv         func(string) string
	home           string
	gateway        string
	json           bool
	passphraseFile string
	verbose        bool
	user           string             // the key that is meant unless another is named
	applied        []settings.Setting // where the flags of the command have their values from
	misset         error              // what is wrong with them, for the doctor
}

func newRootCommand(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "essaim",
		Short: "An open network for AI work: answers are paid for, checkable and attributable",
		Long: `An open network for AI work: every answer is paid for, checkable and attributable.

Start with:
  essaim imagine "a red apple"    draw a picture, on a network of its own
  essaim pixel "a red apple"      draw one on this machine, without a network
  essaim up                       a whole network on this machine, staying up
  essaim demo                     the story of one task, told and checked
  essaim demo-stake               the story of stake, votes and slashes
  essaim demo-settlement          ten thousand tasks, two transactions, lies
  essaim demo-verification        a wrong picture found, judged and paid back
  essaim demo-proof               a picture, its proof, and a liar convicted
  essaim demo-bot                 three people chat with a bot, in two languages

Exit codes: 0 done, 1 a check said no, 2 bad input, 3 refused, 4 not found,
5 not enough money, 6 conflict, 7 unavailable, 8 too late, 70 a fault of the program.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	f := root.PersistentFlags()
	f.StringVar(&c.home, "home", defaultHome(), "folder of keys, state and settings")
	f.Lookup("home").DefValue = "~/.essaim"
	f.StringVar(&c.gateway, "gateway", "", "URL of a coordinator's gateway (default: the network running in --home)")
	f.StringVar(&c.user, "account", devnet.User, "account key that is meant where none is named")
	f.BoolVar(&c.json, "json", false, "print JSON on stdout")
	f.StringVar(&c.passphraseFile, "passphrase-file", "", "file that holds the passphrase of account keys")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "log what happens to stderr")
	root.AddCommand(newImagineCommand(c), newPixelCommand(c), newNearestCommand(c), newUpCommand(c), newDemoCommand(c), newReceiptCommand(c), keys.Command(c.wallet()),
		newBalanceCommand(c), newSendCommand(c), newQueryCommand(c), newTxCommand(c), newNodeCommand(c), newGenesisCommand(c), newAuditCommand(c), newMinerCommand(c))
	root.AddCommand(stake.Commands(&stake.Shell{
		Stdout: c.stdout, Getenv: c.getenv, JSON: func() bool { return c.json }, Desk: c.desk(), Keys: func() *wallet.Store { return c.wallet().Store() },
		Address: c.address, Start: startDevnet, No: func(err error) error { return errAnswerNo{err} },
	})...)
	sessions := &session.Shell{
		Stdout: c.stdout, JSON: func() bool { return c.json }, Desk: c.desk(), Gateway: c.gatewayURL,
		Address: c.address, Payer: devnet.Payer, Start: startDevnet,
		No: func(err error) error { return errAnswerNo{err} }, Shown: func(err error) error { return errShown{err} },
	}
	root.AddCommand(session.Command(sessions), session.Tasks(sessions), session.Demo(sessions))
	proofs := &proving.Shell{
		Stdout: c.stdout, JSON: func() bool { return c.json }, No: func(err error) error { return errAnswerNo{err} },
		Shown: func(err error) error { return errShown{err} }, Desk: c.desk(), Start: startDevnet,
	}
	root.AddCommand(proving.Command(proofs), proving.Demo(proofs))
	disputes := &dispute.Shell{
		Stdout: c.stdout, JSON: func() bool { return c.json }, Desk: c.desk(),
		Start: startDevnet, No: func(err error) error { return errAnswerNo{err} }, Shown: func(err error) error { return errShown{err} },
	}
	root.AddCommand(dispute.Command(disputes), dispute.Demo(disputes))
	root.AddCommand(operator.Commands(operators(c))...)
	root.AddCommand(names.Command(&names.Shell{
		Stdout: c.stdout, JSON: func() bool { return c.json }, Desk: c.desk(), Address: c.address,
	}))
	root.AddCommand(bots.Commands(&bots.Shell{
		Stdin: c.stdin, Stdout: c.stdout, Getenv: c.getenv, JSON: func() bool { return c.json }, Home: func() string { return c.home }, Dial: c.dialLedger,
		Gateway: c.gatewayURL, Account: c.account, User: "", Logger: c.logger, Start: startDevnet, No: func(err error) error { return errAnswerNo{err} },
	})...)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return essaim.Errorf(essaim.CodeBadInput, "see `"+cmd.CommandPath()+" --help`", "%w", err)
	})
	root.AddCommand(ofHome(c, root)...)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		c.applied, err = settings.Apply(cmd, c.getenv)
		if cmd.Name() == "doctor" {
			c.misset, err = err, nil // it says so in its report
		}
		return err
	}
	usageErrors(root)
	root.InitDefaultHelpCmd()
	manual.Dress(root)
	manual.Complete(root, manual.Sources{Accounts: c.accountNames, Models: modelNames, Sessions: c.sessionNumbers})
	return root
}

// wallet is how commands get at account keys.
func (c *cli) wallet() *keys.Shell {
	return &keys.Shell{
		Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr, Getenv: c.getenv, JSON: func() bool { return c.json }, Home: func() string { return c.home },
		File: func() string { return c.passphraseFile }, User: func() string { return c.user },
	}
}

// account loads the key that --from names, or the one that --account does.
func (c *cli) account(name string) (*wallet.Account, error) { return c.wallet().Account(name) }

// desk is where commands that sign find accounts and the ledger.
func (c *cli) desk() signing.Desk {
	return signing.Desk{Account: c.account, Dial: c.dialLedger, User: func() string { return c.user }}
}

// ofHome are the commands about a home, and about the program itself.
func ofHome(c *cli, root *cobra.Command) []*cobra.Command {
	list := backup.Commands(&backup.Shell{
		Stdout: c.stdout, Stderr: c.stderr, JSON: func() bool { return c.json }, Home: func() string { return c.home },
		Given: c.wallet().Given, Ask: c.wallet().Ask, Runs: c.runs,
	})
	return append(list, settings.Command(&settings.Shell{
		Stdout: c.stdout, Getenv: c.getenv, JSON: func() bool { return c.json }, Home: func() string { return c.home }, Applied: func() []settings.Setting { return c.applied },
	}), doctor.Command(physician(c, root)), begin.Command(beginner(c)), manual.Completion(), manual.Man(version))
}

// operators is what the commands of people who run a node need.
func operators(c *cli) *operator.Shell {
	return &operator.Shell{
		Stdout: c.stdout, JSON: func() bool { return c.json }, Desk: c.desk(),
		Home:    func() (string, error) { _, err := devnet.ReadInfo(c.home); return c.home, err },
		Address: c.address,
		No:      func(err error) error { return errAnswerNo{err} }, Shown: func(err error) error { return errShown{err} },
	}
}

// physician is what the doctor needs.
func physician(c *cli, root *cobra.Command) *doctor.Shell {
	return &doctor.Shell{
		Stdout: c.stdout, JSON: func() bool { return c.json }, Home: func() string { return c.home }, User: func() string { return c.user },
		Gateway: func() string { return c.gateway }, Settings: func() error { return c.misset },
		Strange: func() []settings.Stranger { return settings.Strangers(root, os.Environ()) }, Version: version,
		No: func(err error) error { return errAnswerNo{err} }, Shown: func(err error) error { return errShown{err} },
		Now: time.Now, Space: doctor.Space, Flush: doctor.Flush, Ports: []int{8420, 8421, 8422, 8423},
		Engines: func(ctx context.Context) []all.Found { return all.Local(ctx, all.Usual()) },
	}
}

// beginner is what the first run needs.
func beginner(c *cli) *begin.Shell {
	w := c.wallet()
	return &begin.Shell{
		Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr, JSON: func() bool { return c.json },
		Terminal: func() bool { f, ok := c.stdin.(*os.File); return ok && xterm.IsTerminal(int(f.Fd())) },
		Home:     func() string { return c.home }, Gateway: func() string { return c.gateway }, User: func() string { return c.user }, Default: devnet.User,
		Store: w.Store, Given: w.Given, Ask: w.Ask, Words: w.Words, Try: c.answers,
	}
}

// accountNames are what completes the name of a key.
func (c *cli) accountNames() []string {
	list, err := c.wallet().Store().List()
	if err != nil {
		return nil
	}
	var out []string
	for _, k := range list {
		out = append(out, k.Name)
	}
	return out
}

// completionTime is how long the shell may wait for what completes a word.
const completionTime = 2 * time.Second

// sessionNumbers are what completes the number of a session: those that the user's account has
// opened, the newest first.
func (c *cli) sessionNumbers() []string {
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	a, err := c.address(c.user)
	if err != nil {
		return nil
	}
	chain, err := c.dialLedger(ctx)
	if err != nil {
		return nil
	}
	list, err := chain.Sessions(ctx, a)
	if err != nil {
		return nil
	}
	var out []string
	for _, s := range slices.Backward(list) {
		out = append(out, fmt.Sprintf("%s\t%s, %s", s.ID, s.State, s.Deposit))
	}
	return out
}

// modelNames are what completes the name of a model: those that every miner has.
func modelNames() []string {
	var out []string
	for _, f := range all.Local(context.Background(), []all.Place{{Driver: "pixel"}, {Driver: "text"}}) {
		for _, m := range f.Models {
			out = append(out, m.Name)
		}
	}
	return out
}

// usageErrors makes a wrong number of arguments or an unknown subcommand an error
// like any other: one line, one hint, exit code 2.
func usageErrors(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return essaim.Errorf(essaim.CodeBadInput, meant(cmd, args), "%s: %s", cmd.CommandPath(), strings.ReplaceAll(err.Error(), "\n", " "))
		}
		return nil
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.RunE = showHelp
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

// showHelp is what a command does that is only there for those below it.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// meant says which command somebody was likely to mean, or where to read on.
func meant(cmd *cobra.Command, args []string) string {
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	if len(args) > 0 {
		if near := settings.Nearest(args[0], names); near != "" {
			return "is `" + cmd.CommandPath() + " " + near + "` meant?"
		}
	}
	return "see `" + cmd.CommandPath() + " --help`"
}

func defaultHome() string {
	if h, err := os.UserHomeDir(); err == nil {
		return filepath.Join(h, ".essaim")
	}
	return ".essaim"
}
