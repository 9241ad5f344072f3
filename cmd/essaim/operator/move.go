package operator

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/node"
)

// NewMove is the command that brings a coordinator's books into a database. It belongs to the one that runs a node.
func NewMove(s *Shell) *cobra.Command {
	db := ""
	cmd := &cobra.Command{
		Use:   "move DIR",
		Short: "Bring a coordinator's books from its folder into a database",
		Long: `Copies what a coordinator keeps in files in DIR - its log of tasks and receipts, its
blobs, API keys with what they have spent, and batches - into an empty PostgreSQL
database, from where one instance or several go on with it. The coordinator must not
run. All is copied in one transaction, in which every row is read back and the books of
the keys are added up again: all of it is there in the end, or nothing.

The files stay, but nothing starts on them any more: run the folder with --db, or with
db in its node.toml. A move that was cut off is ended by moving again. If a ledger is
to be reached, the moved books are compared with it as by essaim apikey reconcile.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := node.Move{Dir: args[0], DB: db}
			r, err := m.Do(cmd.Context())
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, r)
			}
			if r.Rows == nil {
				_, err = fmt.Fprintf(s.Stdout, "ok  an earlier try had moved everything to %s\n", r.To)
				return err
			}
			rows := [][]string{{"TABLE", "ROWS"}}
			for _, name := range slices.Sorted(maps.Keys(r.Rows)) {
				rows = append(rows, []string{name, fmt.Sprint(r.Rows[name])})
			}
			term.Table(s.Stdout, "<>", rows...)
			if r.Damaged > 0 {
				fmt.Fprintf(s.Stdout, "no  %d damaged blobs were left behind\n", r.Damaged)
			}
			fmt.Fprintf(s.Stdout, "ok  every row is there; %d entries of the keys' books add up to the same balances\n", r.Entries)
			fmt.Fprintf(s.Stdout, "    go on with: essaim coordinator %s --db %s\n", args[0], r.To)
			s.db = m.DB
			if _, err := s.Dial(cmd.Context()); err != nil { // who moves may be far from any ledger
				fmt.Fprintf(s.Stdout, "--  not compared with the chain: %v\n", err)
				return nil
			}
			return s.withKeys(cmd, func(store *apikey.Store) error { return s.reconcile(cmd.Context(), store) })
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "postgres://… without rows; instead of what node.toml says")
	return cmd
}
