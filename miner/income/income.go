// Package income adds up what a miner's receipts have come to: settled, waiting, promised, lost. Its owner wants to see
// it on the command line and in a browser.
//
// It must not change anything, nor reach the ledger by itself.
package income

import (
	"context"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/miner"
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

// where lists the sums in the order in which receipts fill them, the surest first; states are their names.
func (s *Sums) where() []*essaim.Amount {
	return []*essaim.Amount{&s.Settled, &s.Waiting, &s.Acknowledged, &s.Lapsed, &s.Missing}
}

var states = []State{Settled, Waiting, Acknowledged, Lapsed, Missing}

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
	Total  Sums           `json:"total"`
	Due    []Due          `json:"due"`
	Models []Part         `json:"models"`
	Days   []Part         `json:"days"` // UTC

	Recent []Receipt `json:"recent"` // the newest first, some tens
	Open   []Receipt `json:"open"`   // that the coordinator has not acknowledged, the oldest first, some tens
}

// Receipt is one that the miner has signed.
type Receipt struct {
	At          time.Time        `json:"at"`
	Session     essaim.SessionID `json:"session"`
	Coordinator essaim.NodeKey   `json:"coordinator"`
	Model       essaim.Digest    `json:"model"`
	Price       essaim.Amount    `json:"price"`
	State       State            `json:"state"` // if its price is in two sums, the less sure of them
}

// State names the sum that a receipt is in.
type State string

const (
	Settled        State = "settled"
	Waiting        State = "waiting"
	Acknowledged   State = "acknowledged"
	Lapsed         State = "lapsed"
	Missing        State = "missing"
	Unacknowledged State = "unacknowledged"
	Refused        State = "refused"
)

// shown is how many receipts are in a list.
const shown = 30

// Settlement is what became of a session that was settled.
type Settlement struct {
	Lines        []essaim.Line // none when it can be contested no more
	Sum          essaim.Amount // of all receipts
	Acknowledged essaim.Amount // by the payer
	Pending      essaim.Amount // waits until PendingUntil
	PendingUntil int64         // height
}

// Ledger tells where a session's money is.
type Ledger interface {
	Session(context.Context, essaim.SessionID) (essaim.Session, error)
	Settlement(context.Context, essaim.SessionID) (Settlement, error)
	Line(context.Context, essaim.SessionID, essaim.NodeKey, essaim.Digest) (essaim.Line, error)
}

// Receipts goes through a miner's receipts, oldest first, as miner.Book.Earned does.
type Receipts func(ctx context.Context, do func(miner.Earned) error) error

// line is a miner's receipts of one session and model.
type line struct {
	session  essaim.SessionID
	model    essaim.Digest
	receipts []counted // that the coordinator counts
}

// counted is a receipt and its place among all.
type counted struct {
	miner.Earned
	nth int
}

// Of adds up a miner's receipts and asks the ledger what became of each session.
func Of(ctx context.Context, chain Ledger, self essaim.NodeKey, receipts Receipts) (Earnings, error) {
	a := adding{Earnings: Earnings{Miner: self, Due: []Due{}, Recent: []Receipt{}, Open: []Receipt{}}, models: map[string]*Sums{}, days: map[string]*Sums{}}
	lines := map[essaim.SessionID][]*line{}
	var order []*line
	err := receipts(ctx, func(r miner.Earned) error {
		a.show(r)
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
		l.receipts = append(l.receipts, counted{r, a.seen - 1})
		return nil
	})
	for _, l := range order {
		if err == nil {
			err = a.line(ctx, chain, l)
		}
	}
	a.Models, a.Days = parts(a.models), parts(a.days)
	slices.Reverse(a.Recent)
	return a.Earnings, err
}

// adding is an Earnings under way.
type adding struct {
	Earnings
	models, days map[string]*Sums
	seen         int // receipts; the last of them are in Recent
}

// show adds a receipt to the lists, as far as the miner knows how it stands.
func (a *adding) show(e miner.Earned) {
	r := Receipt{At: e.At, Session: e.Session, Coordinator: e.Coordinator, Model: e.Model, Price: e.Price, State: Unacknowledged}
	switch {
	case e.Refused:
		r.State = Refused
	case e.Acked:
		r.State = Acknowledged
	}
	a.seen++
	if len(a.Recent) == shown {
		a.Recent = slices.Delete(a.Recent, 0, 1)
	}
	a.Recent = append(a.Recent, r)
	if r.State == Unacknowledged && len(a.Open) < shown {
		a.Open = append(a.Open, r)
	}
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
func (a *adding) line(ctx context.Context, chain Ledger, l *line) error {
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
		a.count(r.Earned)
		for rest := r.Price; rest > 0; {
			for *amounts[at] == 0 {
				at++
			}
			take := min(rest, *amounts[at])
			if i := r.nth - (a.seen - len(a.Recent)); i >= 0 {
				a.Recent[i].State = states[at]
			}
			a.add(r.Earned, func(s *Sums) *essaim.Amount { return s.where()[at] }, take)
			*amounts[at] -= take
			rest -= take
		}
	}
	return nil
}

// whereabouts says where the sum of a session's receipts is; its parts add up to it.
func (a *adding) whereabouts(ctx context.Context, chain Ledger, l *line, sum essaim.Amount) (w Sums, err error) {
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
		w.Settled = share(mine, min(settled.Acknowledged, settled.Sum), settled.Sum)
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
	slices.SortFunc(out, func(x, y Part) int { return strings.Compare(x.Name, y.Name) })
	return out
}
