package operator

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// Sums says where a miner's income is, in uaim before royalty and fees.
type Sums struct {
	Receipts       int           `json:"receipts"`
	Settled        essaim.Amount `json:"settled"`        // the ledger has paid it
	Waiting        essaim.Amount `json:"waiting"`        // settled, and paid when the challenge window is over
	Acknowledged   essaim.Amount `json:"acknowledged"`   // promised by the coordinator, not settled yet
	Unacknowledged essaim.Amount `json:"unacknowledged"` // signed by the miner alone
	Lapsed         essaim.Amount `json:"lapsed"`         // of sessions that ended without a settlement, but for what was paid of claims
	Missing        essaim.Amount `json:"missing"`        // of settled sessions whose settlement pays less
	Refused        essaim.Amount `json:"refused"`        // not counted by the coordinator
}

// where lists the sums in the order in which receipts fill them, the surest first.
func (s *Sums) where() []*essaim.Amount {
	return []*essaim.Amount{&s.Settled, &s.Waiting, &s.Acknowledged, &s.Lapsed, &s.Missing}
}

// Due is what waits of a session.
type Due struct {
	Session essaim.SessionID `json:"session"`
	Amount  essaim.Amount    `json:"amount"`
	Until   int64            `json:"until"` // height
}

// Part is the income of a day or with a model.
type Part struct {
	Name string `json:"name"`
	Sums
}

// Earnings is what a miner's receipts come to.
type Earnings struct {
	Miner  essaim.NodeKey `json:"miner"`
	Dir    string         `json:"dir"`
	Total  Sums           `json:"total"`
	Due    []Due          `json:"due"`
	Models []Part         `json:"models"`
	Days   []Part         `json:"days"` // UTC
}

func newEarnings(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "earnings [DIR ...]",
		Short: "What a miner has earned: settled, waiting, acknowledged, by model and day",
		Long: `Adds up the receipts in a miner's folder, and asks the ledger what became of each session.
Without DIR: all miners of the network in --home. Amounts are before royalty and fees,
and before the pool shares them with those who stake on the miner (essaim rewards).`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, dirs []string) error {
			if len(dirs) == 0 {
				home, err := s.Home()
				if err != nil {
					return err
				}
				if dirs, err = filepath.Glob(filepath.Join(home, "miner-*")); err != nil {
					return err
				}
			}
			chain, err := s.Dial(cmd.Context())
			if err != nil {
				return err
			}
			list := []Earnings{}
			for _, dir := range dirs {
				e, err := earningsOf(cmd.Context(), chain, dir)
				if err != nil {
					return err
				}
				list = append(list, e)
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"miners": list})
			}
			for _, e := range list {
				s.tellEarnings(cmd.Context(), chain, e)
			}
			return nil
		},
	}
}

// payments is what of the ledger tells where a session's money is; *chainclient.Client is
// it.
type payments interface {
	Session(context.Context, essaim.SessionID) (essaim.Session, error)
	Settlement(context.Context, essaim.SessionID) (chainclient.Settled, error)
	Line(context.Context, essaim.SessionID, essaim.NodeKey, essaim.Digest) (essaim.Line, error)
}

// line is a miner's receipts of one session and model.
type line struct {
	session  essaim.SessionID
	model    essaim.Digest
	receipts []miner.Earned // that the coordinator counts
}

func earningsOf(ctx context.Context, chain *chainclient.Client, dir string) (e Earnings, err error) {
	path := filepath.Join(dir, node.ReceiptsFile)
	if _, err := os.Stat(path); err != nil {
		return e, essaim.Errorf(essaim.CodeNotFound, "give the folder of a miner that has run", "no receipts in %s", dir)
	}
	keys, err := wallet.LoadNodeKeys(dir)
	if err != nil {
		return e, err
	}
	book, err := miner.OpenBook(path)
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	a := adding{Earnings: Earnings{Miner: keys.ID(), Dir: dir, Due: []Due{}}, models: map[string]*Sums{}, days: map[string]*Sums{}}
	lines := map[essaim.SessionID][]*line{}
	var order []*line
	err = book.Earned(ctx, func(r miner.Earned) error {
		if r.Refused || !r.Acked {
			a.add(r, func(s *Sums) *essaim.Amount {
				if r.Refused {
					return &s.Refused
				}
				return &s.Unacknowledged
			}, r.Price)
			a.count(r)
			return nil
		}
		i := slices.IndexFunc(lines[r.Session], func(l *line) bool { return l.model == r.Model })
		if i < 0 {
			i = len(lines[r.Session])
			l := &line{session: r.Session, model: r.Model}
			lines[r.Session], order = append(lines[r.Session], l), append(order, l)
		}
		l := lines[r.Session][i]
		l.receipts = append(l.receipts, r)
		return nil
	})
	for _, l := range order {
		if err == nil {
			err = a.line(ctx, chain, l)
		}
	}
	a.Models, a.Days = parts(a.models), parts(a.days)
	return a.Earnings, err
}

// adding is an Earnings under way.
type adding struct {
	Earnings
	models, days map[string]*Sums
}

// of are the sums that a receipt is in.
func (a *adding) of(r miner.Earned) []*Sums {
	at := func(m map[string]*Sums, name string) *Sums {
		if m[name] == nil {
			m[name] = new(Sums)
		}
		return m[name]
	}
	return []*Sums{&a.Total, at(a.models, r.Model.Short()), at(a.days, r.At.UTC().Format("2006-01-02"))}
}

func (a *adding) count(r miner.Earned) {
	for _, s := range a.of(r) {
		s.Receipts++
	}
}

func (a *adding) add(r miner.Earned, to func(*Sums) *essaim.Amount, amount essaim.Amount) {
	for _, s := range a.of(r) {
		*to(s) += amount
	}
}

// line adds the receipts of a session and model: the ledger says how much is where, and the
// oldest receipts are taken to be the surest.
func (a *adding) line(ctx context.Context, chain payments, l *line) error {
	var sum essaim.Amount
	for _, r := range l.receipts {
		sum += r.Price
	}
	left, err := a.whereabouts(ctx, chain, l, sum)
	if err != nil {
		return err
	}
	amounts, at := left.where(), 0
	for _, r := range l.receipts {
		a.count(r)
		for rest := r.Price; rest > 0; {
			for *amounts[at] == 0 {
				at++
			}
			take := min(rest, *amounts[at])
			a.add(r, func(s *Sums) *essaim.Amount { return s.where()[at] }, take)
			*amounts[at] -= take
			rest -= take
		}
	}
	return nil
}

// whereabouts says where the sum of a session's receipts is; its parts add up to it.
func (a *adding) whereabouts(ctx context.Context, chain payments, l *line, sum essaim.Amount) (w Sums, err error) {
	session, err := chain.Session(ctx, l.session)
	if err != nil {
		return w, err
	}
	switch session.State {
	case essaim.SessionOpen:
		w.Acknowledged = sum
		return w, nil
	case essaim.SessionLapsed:
		w.Lapsed = sum
		return w, nil
	case essaim.SessionExpired: // what was claimed while it had lapsed is paid
		claimed, err := chain.Line(ctx, l.session, a.Miner, l.model)
		if code := essaim.CodeOf(err); err != nil && code != essaim.CodeNotFound && code != essaim.CodeExpired {
			return w, err
		}
		w.Settled = min(claimed.Amount, sum)
		w.Lapsed = sum - w.Settled
		return w, nil
	}
	settled, err := chain.Settlement(ctx, l.session)
	if err != nil {
		return w, err
	}
	mine := sum // the ledger forgets lines when they can be contested no more
	if len(settled.Lines) > 0 {
		mine = 0
		for _, x := range settled.Lines {
			if x.Miner == a.Miner && x.Model == l.model {
				mine = min(x.Amount, sum)
			}
		}
	}
	w.Settled, w.Missing = mine, sum-mine
	if settled.Pending > 0 {
		w.Settled = share(mine, min(settled.Acknowledged, settled.Root.Sum()), settled.Root.Sum())
		w.Waiting = mine - w.Settled
		a.Due = append(a.Due, Due{Session: l.session, Amount: w.Waiting, Until: settled.PendingUntil})
	}
	return w, nil
}

// share is ⌊a·part/whole⌋, for part ≤ whole.
func share(a, part, whole essaim.Amount) essaim.Amount {
	if whole == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(a), uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return essaim.Amount(q)
}

func parts(m map[string]*Sums) []Part {
	out := []Part{}
	for name, s := range m {
		out = append(out, Part{name, *s})
	}
	slices.SortFunc(out, func(x, y Part) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	return out
}

func (s *Shell) tellEarnings(ctx context.Context, chain *chainclient.Client, e Earnings) {
	p := func(what string, amount essaim.Amount, note string) {
		if amount > 0 || what == "settled" {
			fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("  %-15s %18s AIM  %s", what, term.Coins(amount), note), term.Width))
		}
	}
	fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("miner %s in %s: receipts %d, before royalty and fees", e.Miner.Short(), e.Dir, e.Total.Receipts), term.Width))
	p("settled", e.Total.Settled, "paid into the miner's pool")
	p("waiting", e.Total.Waiting, "settled, can still be challenged:")
	for _, d := range e.Due {
		fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("    session %s: %s AIM, %s", d.Session, term.Coins(d.Amount), term.When(ctx, chain, d.Until)), term.Width))
	}
	p("acknowledged", e.Total.Acknowledged, "promised, not settled yet")
	p("unacknowledged", e.Total.Unacknowledged, "no promise yet")
	p("lapsed", e.Total.Lapsed, "no settlement in time; see miner promises")
	p("missing", e.Total.Missing, "settled without it; see miner promises")
	p("refused", e.Total.Refused, "not counted by the coordinator")
	for _, by := range []struct {
		name string
		list []Part
	}{{"MODEL", e.Models}, {"DAY (UTC)", e.Days}} {
		rows := [][]string{{by.name, "RECEIPTS", "SETTLED AIM", "WAITING", "ACKNOWLEDGED", "OTHER"}}
		for _, x := range by.list {
			other := x.Unacknowledged + x.Lapsed + x.Missing + x.Refused
			rows = append(rows, []string{x.Name, fmt.Sprint(x.Receipts), term.Coins(x.Settled), term.Coins(x.Waiting), term.Coins(x.Acknowledged), term.Coins(other)})
		}
		if len(by.list) > 0 {
			term.Table(s.Stdout, "<>>>>>", rows...)
		}
	}
}
