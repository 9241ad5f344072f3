package apikey

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/essaim/essaim"
)

// Paid is the receipt of a task, as the coordinator's log has it.
type Paid struct {
	Task  essaim.Digest
	Price essaim.Amount
	Late  bool // it has come in while the books were read, and may be missing in them
}

// Fact is what the ledger and the coordinator's log say of a session.
type Fact struct {
	Session  essaim.SessionID
	State    essaim.SessionState // on the chain
	Sum      essaim.Amount       // of the settlement's root, if the session is settled
	Count    uint64              // of the settlement's root
	Receipts []Paid              // from the coordinator's log
	Logged   bool                // Receipts is all there are; else they are not known
}

// Row is what the books and the chain say of a session, side by side.
type Row struct {
	Session  essaim.SessionID    `json:"session"`
	State    essaim.SessionState `json:"state"`
	Tasks    int                 `json:"tasks"`    // in the books
	Captured essaim.Amount       `json:"captured"` // from keys
	Covered  essaim.Amount       `json:"covered"`  // from the house
	Proof    string              `json:"proof"`    // "chain", or "receipts" of a session that is not settled; "": nothing is known
	Proven   essaim.Amount       `json:"proven"`   // settled, or receipts so far
	Receipts uint64              `json:"receipts"` // how many of them
	Doubts   int                 `json:"doubts"`   // tasks that are under way or undecided
	Faults   []Fault             `json:"faults"`
}

// Reconcile compares the books with what ledger and log say of the sessions that the
// gateway has paid from. While a session is open its receipts so far must be in the books,
// unless their tasks are in doubt; once it is settled, the root's sum is what the books
// must say. One that came to its expiry has no root: what keys were charged for was
// delivered all the same, and is held against the receipts. It returns a row for each
// session that is in the books or in facts.
func (b Books) Reconcile(facts []Fact) []Row {
	known := map[essaim.SessionID]Fact{}
	for _, f := range facts {
		known[f.Session] = f
	}
	captured := b.captures()
	ids := b.Paying()
	for id := range known {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var rows []Row
	for _, id := range slices.Compact(ids) {
		f, ok := known[id]
		r := Row{Session: id, State: f.State, Faults: []Fault{}}
		for _, e := range captured[id] {
			r.Tasks++
			if e.Kind == Cover {
				r.Covered += e.Amount
			} else {
				r.Captured += e.Amount
			}
		}
		for _, d := range b.Doubts {
			if d.Session == id {
				r.Doubts++
			}
		}
		if ok {
			b.compare(&r, f, captured[id])
		} else {
			var entries []uint64
			for _, e := range captured[id] {
				entries = append(entries, e.ID)
			}
			r.found(only(entries), "nothing is known of session %s on the chain; its entries: %s", id, some(entries))
		}
		rows = append(rows, r)
	}
	return rows
}

func (r *Row) found(entry uint64, format string, args ...any) {
	r.Faults = append(r.Faults, Fault{entry, fmt.Sprintf(format, args...)})
}

// captures is the entries of receipts, by session.
func (b Books) captures() map[essaim.SessionID][]Entry {
	out := map[essaim.SessionID][]Entry{}
	for _, e := range b.Entries {
		text, ok := strings.CutPrefix(e.To, "session/")
		n, err := strconv.ParseUint(text, 10, 64)
		if ok && err == nil && e.Task != nil {
			out[essaim.SessionID(n)] = append(out[essaim.SessionID(n)], e)
		}
	}
	return out
}

// Paying lists the sessions that the books know of, in order.
func (b Books) Paying() []essaim.SessionID {
	ids := slices.Clone(b.Sessions)
	for id := range b.captures() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (b Books) compare(r *Row, f Fact, entries []Entry) {
	if f.Logged {
		b.compareReceipts(r, f.Receipts, entries)
	}
	if f.State != essaim.SessionSettled { // the chain has no sum to compare with
		if f.Logged {
			r.Proof = "receipts"
			r.Receipts = uint64(len(f.Receipts))
			for _, p := range f.Receipts {
				r.Proven += p.Price
			}
		}
		return
	}
	r.Proof, r.Proven, r.Receipts = "chain", f.Sum, f.Count
	booked, tasks := r.Captured+r.Covered, uint64(r.Tasks)
	if f.Logged { // what is in doubt is not in the books yet
		for _, p := range f.Receipts {
			if b.doubted(p.Task) || p.Late && !hasTask(entries, p.Task) {
				booked, tasks = booked+p.Price, tasks+1
			}
		}
	}
	if booked != f.Sum || tasks != f.Count {
		r.found(0, "the books have %d receipts for %s, the chain settled %d for %s", tasks, booked, f.Count, f.Sum)
	}
}

func hasTask(entries []Entry, task essaim.Digest) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool { return *e.Task == task })
}

func (b Books) doubted(task essaim.Digest) bool {
	_, ok := b.Doubts[task]
	return ok
}

// compareReceipts names each entry without its receipt, and each receipt without its entry.
func (b Books) compareReceipts(r *Row, receipts []Paid, entries []Entry) {
	prices := map[essaim.Digest]essaim.Amount{}
	for _, p := range receipts {
		prices[p.Task] = p.Price
	}
	booked := map[essaim.Digest]bool{}
	for _, e := range entries {
		booked[*e.Task] = true
		price, ok := prices[*e.Task]
		switch {
		case !ok:
			r.found(e.ID, "there is no receipt for task %s in session %s", e.Task.Short(), r.Session)
		case price != e.Amount:
			r.found(e.ID, "it says %s, the receipt of task %s says %s", e.Amount, e.Task.Short(), price)
		}
	}
	slices.SortFunc(receipts, func(x, y Paid) int { return cmp.Compare(x.Task.String(), y.Task.String()) })
	for _, p := range receipts {
		if !booked[p.Task] && !b.doubted(p.Task) && !p.Late {
			r.found(0, "the receipt of task %s over %s is not in the books", p.Task.Short(), p.Price)
		}
	}
}
