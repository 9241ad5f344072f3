package operator

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/gateway/apikey"
)

func newLedger(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "ledger [ID]", Short: "List the entries of the books, oldest first", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withKeys(cmd, func(store *apikey.Store) error {
				id := ""
				if len(args) > 0 {
					k, err := store.Key(cmd.Context(), args[0])
					if err != nil {
						return err
					}
					id = k.ID
				}
				list, err := store.Entries(cmd.Context(), id)
				if err != nil {
					return err
				}
				if s.JSON() {
					return term.JSON(s.Stdout, map[string]any{"entries": append([]apikey.Entry{}, list...)})
				}
				rows := [][]string{{"ENTRY", "UTC", "WHAT", "AIM", "FROM", "TO", "TASK"}}
				for _, e := range list {
					task := ""
					if e.Task != nil {
						task = e.Task.Short()
					}
					rows = append(rows, []string{fmt.Sprint(e.ID), e.At.Format("01-02 15:04:05"), string(e.Kind), term.Coins(e.Amount), short(e.From), short(e.To), task})
				}
				term.Table(s.Stdout, "><<><<<", rows...)
				return nil
			})
		},
	}
}

// short is an account without what a person cannot remember: the reference of a reservation,
// and the key where the other side of the entry has it, too.
func short(account string) string {
	head, rest, _ := strings.Cut(account, "/")
	switch head {
	case "reserved", "deposits":
		return head
	case "key":
		return rest
	case "session":
		return "session " + rest
	}
	return head
}

func newReconcile(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the books with the chain; exit 1 names the entries that differ",
		Long: `Adds all entries up again, and compares each session that API keys were paid from: what
the books have captured must be what the settlement's root on the chain says, and the
receipts so far while the session is open. A session that was not settled in time has
no root; its receipts are what counts. With the coordinator's log in its folder each
receipt is compared with its entry.

What the comparison does not prove: that deposits were really paid to you. The books are
your own word for that.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withKeys(cmd, func(store *apikey.Store) error { return s.reconcile(cmd.Context(), store) })
		},
	}
}

func (s *Shell) reconcile(ctx context.Context, store *apikey.Store) error {
	b, err := s.books()
	if err != nil {
		return err
	}
	log, err := b.Log(ctx)
	if err != nil {
		return err
	}
	if log != nil {
		defer log.Close()
	}
	before, err := store.Check(ctx)
	if err != nil {
		return err
	}
	early, err := paid(ctx, log, before.Paying())
	if err != nil {
		return err
	}
	books, err := store.Check(ctx)
	if err != nil {
		return err
	}
	facts, err := s.facts(ctx, log, books.Paying(), early)
	if err != nil {
		return err
	}
	return s.tellReconciled(books, books.Reconcile(facts))
}

// paid is the receipts of sessions in the coordinator's log.
func paid(ctx context.Context, log *receiptlog.Log, sessions []essaim.SessionID) (map[essaim.Digest]essaim.Amount, error) {
	out := map[essaim.Digest]essaim.Amount{}
	if log == nil {
		return out, nil
	}
	for _, id := range sessions {
		list, err := log.Receipts(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			out[r.Task] = r.Price
		}
	}
	return out, nil
}

// facts asks ledger and log about sessions. Receipts that are not in early have come in
// while the books were read, and may be missing there.
func (s *Shell) facts(ctx context.Context, log *receiptlog.Log, sessions []essaim.SessionID, early map[essaim.Digest]essaim.Amount) ([]apikey.Fact, error) {
	chain, err := s.Dial(ctx)
	if err != nil {
		return nil, err
	}
	var out []apikey.Fact
	for _, id := range sessions {
		x, err := chain.Session(ctx, id)
		if err != nil && essaim.CodeOf(err) == essaim.CodeNotFound {
			continue // Reconcile says so
		}
		if err != nil {
			return nil, err
		}
		f := apikey.Fact{Session: id, State: x.State, Logged: log != nil}
		if x.State == essaim.SessionSettled {
			settled, err := chain.Settlement(ctx, id)
			if err != nil {
				return nil, err
			}
			f.Sum, f.Count = settled.Root.Sum(), settled.Root.Count()
		}
		if log != nil {
			list, err := log.Receipts(ctx, id)
			if err != nil {
				return nil, err
			}
			for _, r := range list {
				_, known := early[r.Task]
				f.Receipts = append(f.Receipts, apikey.Paid{Task: r.Task, Price: r.Price, Late: !known})
			}
		}
		out = append(out, f)
	}
	return out, nil
}

func (s *Shell) tellReconciled(books apikey.Books, rows []apikey.Row) error {
	faults := len(books.Faults)
	for _, r := range rows {
		faults += len(r.Faults)
	}
	var answer error
	if faults > 0 {
		answer = s.No(essaim.Errorf(essaim.CodeRefused, "compare the entries with the receipts of their tasks (essaim apikey ledger)", "the books do not agree with the chain: faults found: %d", faults))
	}
	if s.JSON() {
		err := term.JSON(s.Stdout, map[string]any{
			"ok": answer == nil, "entries": len(books.Entries), "faults": append([]apikey.Fault{}, books.Faults...), "sessions": append([]apikey.Row{}, rows...),
		})
		if err != nil || answer == nil {
			return err
		}
		return s.Shown(answer)
	}
	table := [][]string{{"SESSION", "STATE", "RECEIPTS", "BOOKS AIM", "OF THEM HOUSE", "PROVEN AIM", "BY", "IN DOUBT"}}
	for _, r := range rows {
		table = append(table, []string{
			r.Session.String(), string(r.State), fmt.Sprint(r.Tasks), term.Coins(r.Captured + r.Covered), term.Coins(r.Covered), term.Coins(r.Proven), cmp.Or(r.Proof, "-"), fmt.Sprint(r.Doubts),
		})
	}
	term.Table(s.Stdout, "><>>>><>", table...)
	for _, f := range books.Faults {
		s.tellFault("", f)
	}
	for _, r := range rows {
		for _, f := range r.Faults {
			s.tellFault("session "+r.Session.String()+", ", f)
		}
	}
	if answer == nil {
		fmt.Fprintf(s.Stdout, "ok  %d entries add up; sessions: %d, each as the chain or its receipts say\n", len(books.Entries), len(rows))
	}
	return answer
}

func (s *Shell) tellFault(where string, f apikey.Fault) {
	if f.Entry > 0 {
		where += fmt.Sprintf("entry %d, ", f.Entry)
	}
	where = strings.TrimSuffix(where, ", ")
	if where != "" {
		where += ": "
	}
	mark := "no  "
	for _, line := range term.Wrap(where+f.Text, term.Width-4) {
		fmt.Fprintln(s.Stdout, mark+line)
		mark = "    "
	}
}
