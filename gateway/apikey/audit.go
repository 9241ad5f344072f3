package apikey

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/essaim/essaim"
)

// Fault is something in the books that does not hold.
type Fault struct {
	Entry uint64 `json:"entry,omitempty"` // 0: of the whole
	Text  string `json:"text"`
}

// Books is what the entries come to.
type Books struct {
	Entries  []Entry
	Balances map[string]int64 // by account, in uaim; those of 0 are left out
	Sessions []essaim.SessionID
	Doubts   map[essaim.Digest]Doubt
	Faults   []Fault
}

// Check adds all entries up again, and compares the result with the balances. It reads
// one moment of the file, beside a gateway that goes on. Faults in the books are no error.
func (s *Store) Check(ctx context.Context) (Books, error) {
	if err := s.catchUp(); err != nil {
		return Books{}, err
	}
	// One statement sees one moment.
	rows, err := s.file.Query(ctx, `
		SELECT 1 AS part, id, at, kind, source, target, amount, ref, task FROM entries
		UNION ALL SELECT 2, 0, 0, '', account, '', amount, '', NULL FROM balances
		UNION ALL SELECT 3, id, opened, '', '', '', 0, '', NULL FROM sessions
		UNION ALL SELECT 4, session, 0, '', account, '', 0, '', task FROM tasks
		ORDER BY part, id`)
	if err != nil {
		return Books{}, fault("read the books", err)
	}
	defer rows.Close()
	r := replay{Books: Books{Balances: map[string]int64{}, Doubts: map[essaim.Digest]Doubt{}}, kept: map[string]int64{}}
	for rows.Next() {
		if err := r.row(rows); err != nil {
			return Books{}, fault("read the books", err)
		}
	}
	if err := rows.Err(); err != nil {
		return Books{}, fault("read the books", err)
	}
	r.finish()
	return r.Books, nil
}

// replay is one Check under way.
type replay struct {
	Books
	kept map[string]int64 // the balances as the file has them
}

func (r *replay) row(rows *sql.Rows) error {
	var part int
	var id, at, amount int64
	var kind, source, target, ref string
	var task []byte
	if err := rows.Scan(&part, &id, &at, &kind, &source, &target, &amount, &ref, &task); err != nil {
		return err
	}
	switch part {
	case 1:
		e := Entry{
			ID: uint64(id), At: time.UnixMilli(at).UTC(), Kind: Kind(kind), From: source, To: target, Amount: essaim.Amount(amount), Ref: ref,
		}
		if task != nil {
			e.Task = new(essaim.Digest)
			copy(e.Task[:], task)
		}
		r.entry(e)
	case 2:
		if amount != 0 {
			r.kept[source] = amount
		}
	case 3:
		r.Sessions = append(r.Sessions, essaim.SessionID(id))
	case 4:
		d := Doubt{Session: essaim.SessionID(id), account: source}
		copy(d.Task[:], task)
		r.Doubts[d.Task] = d
	}
	return nil
}

func (r *replay) found(entry uint64, format string, args ...any) {
	r.Faults = append(r.Faults, Fault{entry, fmt.Sprintf(format, args...)})
}

// entry follows one entry, and does not believe it.
func (r *replay) entry(e Entry) {
	if want := uint64(len(r.Entries)) + 1; e.ID != want && len(r.Faults) == 0 {
		r.found(e.ID, "entries %d to %d are missing", want, e.ID-1)
	}
	r.Entries = append(r.Entries, e)
	if !e.shaped() {
		r.found(e.ID, "a %s cannot go from %s to %s", e.Kind, e.From, e.To)
	}
	r.add(e.From, -int64(e.Amount))
	r.add(e.To, int64(e.Amount))
	if r.Balances[e.From] < 0 && e.From != house && !strings.HasPrefix(e.From, "deposits/") {
		r.found(e.ID, "it takes %s from %s, which has %d uaim less", e.Amount, e.From, -r.Balances[e.From])
	}
}

func (r *replay) add(account string, amount int64) {
	if r.Balances[account] += amount; r.Balances[account] == 0 {
		delete(r.Balances, account)
	}
}

// shaped reports whether an entry moves money between the accounts that its kind is for.
func (e Entry) shaped() bool {
	kind := func(account string) string {
		if account == house {
			return house
		}
		head, _, _ := strings.Cut(account, "/")
		return head
	}
	key := func(account string) string {
		parts := strings.Split(account, "/")
		if len(parts) < 2 {
			return ""
		}
		return parts[1]
	}
	want := map[Kind][2]string{
		Deposit: {"deposits", "key"}, Withdraw: {"key", "deposits"}, Reserve: {"key", "reserved"}, Release: {"reserved", "key"},
		Capture: {"reserved", "session"}, Cover: {house, "session"},
	}[e.Kind]
	if e.Kind == Reserve && e.From == house { // an owner took away what was being reserved
		return kind(e.To) == "reserved"
	}
	if e.Kind == Capture && kind(e.From) == "key" { // its reservation was never written down
		return kind(e.To) == "session" && e.Task != nil
	}
	if want != [2]string{kind(e.From), kind(e.To)} {
		return false
	}
	if want[1] == "session" {
		return e.Task != nil
	}
	return key(e.From) == key(e.To)
}

// finish compares the sums with the balances in the file. A reservation of which something
// was captured or released has nothing left.
func (r *replay) finish() {
	touched := map[string][]uint64{}
	ended := map[string]bool{}
	for _, e := range r.Entries {
		for _, account := range []string{e.From, e.To} {
			touched[account] = append(touched[account], e.ID)
		}
		if (e.Kind == Capture || e.Kind == Release) && strings.HasPrefix(e.From, "reserved/") {
			ended[e.From] = true
		}
	}
	accounts := map[string]bool{}
	for a := range r.Balances {
		accounts[a] = true
	}
	for a := range r.kept {
		accounts[a] = true
	}
	for _, a := range slices.Sorted(maps.Keys(accounts)) {
		switch {
		case r.Balances[a] != r.kept[a]:
			r.found(only(touched[a]), "%s: its entries %s come to %d uaim, its balance says %d", a, some(touched[a]), r.Balances[a], r.kept[a])
		case ended[a] && r.Balances[a] > 0:
			r.found(only(touched[a]), "%s: its entries %s leave %d uaim, which nothing will release", a, some(touched[a]), r.Balances[a])
		}
	}
}

// only is the entry's number if there is one.
func only(entries []uint64) uint64 {
	if len(entries) != 1 {
		return 0
	}
	return entries[0]
}

// some names entries, the last ones if there are many.
func some(entries []uint64) string {
	const most = 8
	text := ""
	if len(entries) > most {
		entries, text = entries[len(entries)-most:], "…, "
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = fmt.Sprint(e)
	}
	return text + strings.Join(names, ", ")
}
