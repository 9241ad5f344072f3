// Package operator is the commands of people who run a node: the API keys of a coordinator
// and the books of what they spend, what a miner has earned and could run, the registration of
// models, and the beacon. Those about a node work on the files in its folder, beside a node that runs or
// without one; what they compare with the ledger they ask it for. The package must not decide what a role or the books decide.
package operator

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/signing"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/node"
)

// Shell is what the commands need of the program around them.
type Shell struct {
	Stdout  io.Writer
	JSON    func() bool
	Home    func() (string, error)               // of a network; an error if there is none
	Address func(string) (essaim.Address, error) // in either spelling, or of a key
	signing.Desk
	No    func(error) error // the answer is no: the program ends with 1
	Shown func(error) error // stdout has told the error already

	db string // that a coordinator's instances share
}

// Commands are those of this package.
func Commands(s *Shell) []*cobra.Command {
	return []*cobra.Command{newAPIKey(s), newEarnings(s), newModel(s), newBeacon(s)}
}

func newAPIKey(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apikey",
		Short: "Keys for OpenAI-style clients, and the books of what they spend",
		Long: `API keys are the coordinator's: it pays for what they draw from a session of its own,
and sees their prompts, since such clients cannot seal. The secret is shown once; the
file holds its hash.

A key spends what was deposited for it. Each request reserves its maximum price; the
receipt's price is captured and the rest released. The books are double entry and only
ever appended to; reconcile compares them with the chain.

Of a coordinator of several instances they are in the database that these share: --db says
where, if node.toml in the coordinator's folder does not.`,
	}
	cmd.PersistentFlags().StringVar(&s.db, "db", "", "of a coordinator of several instances: postgres://… that they share")
	cmd.AddCommand(newCreate(s), newList(s), newRevoke(s), newBound(s), newDeposit(s, true), newDeposit(s, false), newBalance(s), newLedger(s), newReconcile(s))
	return cmd
}

// books are the coordinator's. With a database no home is needed.
func (s *Shell) books() (node.Books, error) {
	if s.db != "" {
		return node.Books{DB: s.db}, nil
	}
	home, err := s.Home()
	return node.Books{Dir: filepath.Join(home, "coordinator")}, err
}

// withKeys opens the coordinator's API keys. They are an operator's: these commands need
// the folder or the database, not the network.
func (s *Shell) withKeys(cmd *cobra.Command, do func(*apikey.Store) error) error {
	b, err := s.books()
	if err != nil {
		return err
	}
	store, err := b.Keys(cmd.Context())
	if err != nil {
		return err
	}
	defer store.Close()
	return do(store)
}

// limits are the flags that bound a key.
type limits struct {
	life   time.Duration
	minute int
	day    string
}

func (l *limits) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.DurationVar(&l.life, "life", 0, "the key is useless after that; 0: never")
	f.IntVar(&l.minute, "per-minute", 0, "requests a minute; 0: no limit")
	f.StringVar(&l.day, "per-day", "0", "AIM that it may spend in a day of UTC; 0: no limit")
}

func (l *limits) read() (apikey.Limits, error) {
	day, err := essaim.ParseAmount(l.day)
	if err != nil {
		return apikey.Limits{}, essaim.Errorf(essaim.CodeBadInput, "write AIM like 0.5", "--per-day: %w", err)
	}
	out := apikey.Limits{PerMinute: l.minute, PerDay: day}
	if l.life > 0 {
		out.Expires = time.Now().Add(l.life)
	}
	return out, nil
}

// newBound is the command that sets a key's limits.
func newBound(s *Shell) *cobra.Command {
	var l limits
	cmd := &cobra.Command{
		Use: "bound ID", Short: "Set how long and how fast a key may be used, anew", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bounds, err := l.read()
			if err != nil {
				return err
			}
			err = s.withKeys(cmd, func(store *apikey.Store) error { return store.SetLimits(cmd.Context(), args[0], bounds) })
			return s.done(err, map[string]any{"key": args[0], "limits": bounds})
		},
	}
	l.flags(cmd)
	return cmd
}

func newCreate(s *Shell) *cobra.Command {
	var limit string
	var l limits
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a key and print its secret, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := essaim.ParseAmount(limit)
			if err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "write AIM like 0.5", "--limit: %w", err)
			}
			bounds, err := l.read()
			if err != nil {
				return err
			}
			return s.withKeys(cmd, func(store *apikey.Store) error {
				secret, key, err := store.Create(cmd.Context(), args[0], amount)
				if err == nil && bounds != (apikey.Limits{}) {
					err = store.SetLimits(cmd.Context(), key.ID, bounds)
					key.Limits = bounds
				}
				if err != nil {
					return err
				}
				if s.JSON() {
					return term.JSON(s.Stdout, map[string]any{"secret": secret, "key": key})
				}
				_, err = fmt.Fprintln(s.Stdout, secret)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&limit, "limit", "1", "AIM that it may spend: its first deposit")
	l.flags(cmd)
	return cmd
}

func newList(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the keys and what they have spent", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withKeys(cmd, func(store *apikey.Store) error {
				list, err := store.List(cmd.Context())
				if err != nil {
					return err
				}
				if s.JSON() {
					return term.JSON(s.Stdout, map[string]any{"keys": append([]apikey.Key{}, list...)})
				}
				for _, k := range list {
					state := ""
					if k.Revoked {
						state = "  revoked"
					}
					fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("%-10s %-16s spent %s of %s%s", k.ID, term.Clip(k.Name, 16), k.Spent, k.Limit, state), term.Width))
				}
				return nil
			})
		},
	}
}

// done tells a program what was done. People see that no error came.
func (s *Shell) done(err error, what map[string]any) error {
	if err != nil || !s.JSON() {
		return err
	}
	return term.JSON(s.Stdout, what)
}

func newRevoke(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Make a key useless", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := s.withKeys(cmd, func(store *apikey.Store) error { return store.Revoke(cmd.Context(), args[0]) })
			return s.done(err, map[string]any{"key": args[0], "revoked": true})
		},
	}
}

// newDeposit is the command that adds to what a key may spend, or takes back.
func newDeposit(s *Shell, add bool) *cobra.Command {
	var ref string
	cmd := &cobra.Command{
		Use:   "deposit ID AMOUNT",
		Short: "Add to what a key may spend",
		Long: `Enters that somebody has paid you for a key; it moves no coin on the chain. With --ref,
such as the hash of the transaction that paid you, the same payment is entered once
however often you say so.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := essaim.ParseAmount(args[1])
			if err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "write AIM like 1.25, or 1250000uaim", "%w", err)
			}
			return s.withKeys(cmd, func(store *apikey.Store) error {
				move := store.Deposit
				if !add {
					move = store.Withdraw
				}
				k, again, err := move(cmd.Context(), args[0], amount, ref)
				if err != nil {
					return err
				}
				if s.JSON() {
					return term.JSON(s.Stdout, map[string]any{"key": k, "again": again})
				}
				if again {
					fmt.Fprintln(s.Stdout, "this reference was entered before: nothing has changed")
				}
				_, err = fmt.Fprintf(s.Stdout, "key %s may spend %s\n", k.ID, k.Balance)
				return err
			})
		},
	}
	if !add {
		cmd.Use, cmd.Short = "withdraw ID AMOUNT", "Take back what a key has not spent"
		cmd.Long = `Enters that you have paid back what somebody had paid you for a key; it moves no coin on
the chain.`
	}
	cmd.Flags().StringVar(&ref, "ref", "", "what stands for the payment; entered once")
	return cmd
}

func newBalance(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "balance [ID]", Short: "Show what keys may still spend, and what the operator has borne", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withKeys(cmd, func(store *apikey.Store) error {
				list, err := store.List(cmd.Context())
				if err == nil && len(args) > 0 {
					var k apikey.Key
					k, err = store.Key(cmd.Context(), args[0])
					list = []apikey.Key{k}
				}
				if err != nil {
					return err
				}
				if s.JSON() {
					return term.JSON(s.Stdout, map[string]any{"keys": append([]apikey.Key{}, list...)})
				}
				rows := [][]string{{"KEY", "BALANCE AIM", "RESERVED", "SPENT", "DEPOSITED", "NAME"}}
				for _, k := range list {
					rows = append(rows, []string{k.ID, term.Coins(k.Balance), term.Coins(k.Reserved), term.Coins(k.Spent), term.Coins(k.Limit), k.Name})
				}
				term.Table(s.Stdout, "<>>>><", rows...)
				return nil
			})
		},
	}
}
