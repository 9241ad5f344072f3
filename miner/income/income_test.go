package income

import (
	"context"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/miner"
)

// told is what a ledger says of one session.
type told struct {
	state   essaim.SessionState
	settled Settlement
	line    essaim.Line // of an expired session; none if it names no miner
}

func (l told) Session(context.Context, essaim.SessionID) (essaim.Session, error) {
	return essaim.Session{State: l.state}, nil
}

func (l told) Settlement(context.Context, essaim.SessionID) (Settlement, error) {
	return l.settled, nil
}

func (l told) Line(context.Context, essaim.SessionID, essaim.NodeKey, essaim.Digest) (essaim.Line, error) {
	if l.line.Miner.IsZero() {
		return l.line, essaim.Errorf(essaim.CodeNotFound, "", "no line")
	}
	return l.line, nil
}

var self, model = essaim.NodeKey{1}, essaim.Digest{2}

// settledFor is a settlement of which so much is acknowledged, and in which this miner has a
// line.
func settledFor(sum, acknowledged, mine essaim.Amount) Settlement {
	s := Settlement{Sum: sum, Acknowledged: acknowledged, PendingUntil: 99, Lines: []essaim.Line{
		{Miner: self, Model: essaim.Digest{9}, Amount: 7}, {Miner: essaim.NodeKey{8}, Model: model, Amount: 8},
	}}
	if mine > 0 {
		s.Lines = append(s.Lines, essaim.Line{Miner: self, Model: model, Amount: mine})
	}
	if acknowledged < sum {
		s.Pending = sum - acknowledged
	}
	return s
}

// TestEarnings: whatever the ledger says of a session, its receipts are somewhere and
// nothing is counted twice; the oldest are the surest.
func TestEarnings(t *testing.T) {
	monday := time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)
	list := []miner.Earned{{Session: 1, Model: model, Price: 100, At: monday}, {Session: 1, Model: model, Price: 200, At: monday.Add(time.Hour)}}
	var numbered []counted
	for i, r := range list {
		numbered = append(numbered, counted{r, i})
	}
	for name, c := range map[string]struct {
		ledger  told
		total   Sums // besides the two receipts
		first   Sums // of Monday
		waiting essaim.Amount
	}{
		"open":                 {ledger: told{state: essaim.SessionOpen}, total: Sums{Acknowledged: 300}, first: Sums{Acknowledged: 100}},
		"settled":              {ledger: told{essaim.SessionSettled, settledFor(1000, 1000, 300), essaim.Line{}}, total: Sums{Settled: 300}, first: Sums{Settled: 100}},
		"half of it waits":     {ledger: told{essaim.SessionSettled, settledFor(1000, 500, 300), essaim.Line{}}, total: Sums{Settled: 150, Waiting: 150}, first: Sums{Settled: 100}, waiting: 150},
		"a third, rounded":     {ledger: told{essaim.SessionSettled, settledFor(997, 1, 300), essaim.Line{}}, total: Sums{Waiting: 300}, first: Sums{Waiting: 100}, waiting: 300},
		"all of it waits":      {ledger: told{essaim.SessionSettled, settledFor(1000, 0, 300), essaim.Line{}}, total: Sums{Waiting: 300}, first: Sums{Waiting: 100}, waiting: 300},
		"less than is due":     {ledger: told{essaim.SessionSettled, settledFor(1000, 1000, 120), essaim.Line{}}, total: Sums{Settled: 120, Missing: 180}, first: Sums{Settled: 100}},
		"left out":             {ledger: told{essaim.SessionSettled, settledFor(1000, 1000, 0), essaim.Line{}}, total: Sums{Missing: 300}, first: Sums{Missing: 100}},
		"more than is known":   {ledger: told{essaim.SessionSettled, settledFor(1000, 1000, 900), essaim.Line{}}, total: Sums{Settled: 300}, first: Sums{Settled: 100}},
		"lines are not kept":   {ledger: told{state: essaim.SessionSettled}, total: Sums{Settled: 300}, first: Sums{Settled: 100}},
		"lapsed":               {ledger: told{state: essaim.SessionLapsed}, total: Sums{Lapsed: 300}, first: Sums{Lapsed: 100}},
		"expired":              {ledger: told{state: essaim.SessionExpired}, total: Sums{Lapsed: 300}, first: Sums{Lapsed: 100}},
		"expired, and claimed": {ledger: told{state: essaim.SessionExpired, line: essaim.Line{Miner: self, Amount: 250}}, total: Sums{Settled: 250, Lapsed: 50}, first: Sums{Settled: 100}},
	} {
		t.Run(name, func(t *testing.T) {
			a := adding{Earnings: Earnings{Miner: self}, models: map[string]*Sums{}, days: map[string]*Sums{}, seen: len(list)}
			if err := a.line(t.Context(), c.ledger, &line{session: 1, model: model, receipts: numbered}); err != nil {
				t.Fatal(err)
			}
			c.total.Receipts, c.first.Receipts = 2, 1
			if a.Total != c.total || *a.models[model.Short()] != c.total {
				t.Errorf("total %+v, by model %+v, want %+v", a.Total, *a.models[model.Short()], c.total)
			}
			days := parts(a.days)
			if len(days) != 2 || days[0].Name != "2026-11-23" || days[0].Sums != c.first {
				t.Errorf("days %+v, want %+v first", days, c.first)
			}
			var due essaim.Amount
			for _, d := range a.Due {
				due += d.Amount
			}
			if due != c.waiting {
				t.Errorf("%d waits, want %d", due, c.waiting)
			}
		})
	}
}

// TestNewest: the newest receipts say where they are, and no more of them than people read.
func TestNewest(t *testing.T) {
	var list []miner.Earned
	for i := range shown + 5 {
		list = append(list, miner.Earned{Session: 1, Model: model, Price: 10, Acked: i%3 > 0, Refused: i == shown+3})
	}
	told := told{state: essaim.SessionSettled}
	e, err := Of(t.Context(), told, self, func(_ context.Context, do func(miner.Earned) error) error {
		for _, r := range list {
			if err := do(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Recent) != shown || len(e.Open) == 0 {
		t.Fatalf("%d recent, %d open", len(e.Recent), len(e.Open))
	}
	for i, r := range e.Recent {
		n := len(list) - 1 - i
		want := Settled
		switch {
		case n == shown+3:
			want = Refused
		case n%3 == 0:
			want = Unacknowledged
		}
		if r.State != want {
			t.Errorf("receipt %d is %s, want %s", n, r.State, want)
		}
	}
}
