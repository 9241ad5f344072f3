package apikey_test

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
)

func wantCode(t testing.TB, err error, want essaim.Code) {
	t.Helper()
	if err == nil || essaim.CodeOf(err) != want {
		t.Fatalf("got %v, want code %s", err, want)
	}
}

// task is the digest of the n-th task.
func task(n uint64) (d essaim.Digest) {
	binary.BigEndian.PutUint64(d[:], n)
	return d
}

func reserve(t testing.TB, s *apikey.Store, id string, amount essaim.Amount, n int) *apikey.Hold {
	t.Helper()
	h, err := s.Reserve(t.Context(), id, amount, n)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func create(t testing.TB, s *apikey.Store, deposit essaim.Amount) apikey.Key {
	t.Helper()
	_, k, err := s.Create(t.Context(), "test", deposit)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func check(t testing.TB, s *apikey.Store) apikey.Books {
	t.Helper()
	b, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// killed opens what a kill at this moment would leave: the files as they are, or the rows.
func killed(t testing.TB, path string, s *apikey.Store) (*apikey.Store, string) {
	t.Helper()
	if server != nil {
		giveUp(t, path, s)
		return openKeys(t, path), path
	}
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "keys.db")
	for _, suffix := range []string{"", "-wal", "-ahead0", "-ahead1"} {
		b, err := os.ReadFile(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue // nothing was appended
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return openKeys(t, to), to
}

// part is a reservation in the model, and what the coordinator has of its task.
type part struct {
	key             string
	amount, price   essaim.Amount
	task            uint64 // 0: none was named
	session         essaim.SessionID
	receipt, closed bool // closed: captured
}

// gateway is a model of what goes on, without a file.
type gateway struct {
	path    string
	s       *apikey.Store // the instance that is asked
	other   *apikey.Store // another one; nil: there is none
	keys    []string
	in, out map[string]essaim.Amount // deposited less withdrawn; captured
	holds   []*hold
	left    []*part // of requests that are over, in doubt; amount 0: it has its money back
	house   essaim.Amount
	paid    map[essaim.SessionID][]apikey.Paid
	tasks   uint64
}

type hold struct {
	*apikey.Hold
	at    *apikey.Store
	parts []*part
}

func (g *gateway) balance(key string) essaim.Amount {
	left := g.in[key] - g.out[key]
	for _, h := range g.holds {
		for _, p := range h.parts {
			if p.key == key && !p.closed {
				left -= p.amount
			}
		}
	}
	for _, p := range g.left {
		if p.key == key {
			left -= p.amount
		}
	}
	return left
}

// TestAnyHistoryAddsUp drives the books with random requests, deposits and kills beside a
// model; the entries always come to the balances, and what was paid is what has receipts.
func TestAnyHistoryAddsUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(t.TempDir(), "keys.db")
		g := &gateway{path: path, s: openKeys(t, path), in: map[string]essaim.Amount{}, out: map[string]essaim.Amount{}, paid: map[essaim.SessionID][]apikey.Paid{}}
		defer func() { _ = g.s.Close() }()
		if server != nil {
			g.other = openKeys(t, path)
			defer func() { _ = g.other.Close() }()
		}
		for range 2 {
			g.keys = append(g.keys, create(t, g.s, 0).ID)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"deposit": func(rt *rapid.T) { g.deposit(t, rt) }, "reserve": func(rt *rapid.T) { g.reserve(t, rt) },
			"name": func(rt *rapid.T) { g.name(t, rt) }, "deliver": func(rt *rapid.T) { g.deliver(rt) },
			"capture": func(rt *rapid.T) { g.capture(t, rt) }, "done": func(rt *rapid.T) { g.done(t, rt) },
			"kill": func(rt *rapid.T) { g.kill(t) }, "turn": func(rt *rapid.T) { g.turn(rt) }, "decide": func(rt *rapid.T) { g.decide(t) }, "": func(rt *rapid.T) { g.check(t, rt) },
		})
		for _, h := range g.holds {
			if err := h.Done(); err != nil {
				rt.Fatal(err)
			}
			g.over(h, true)
		}
		g.holds = nil
		g.decide(t)
		g.check(t, rt)
	})
}

func (g *gateway) key(rt *rapid.T) string { return rapid.SampledFrom(g.keys).Draw(rt, "key") }

func (g *gateway) deposit(t *testing.T, rt *rapid.T) {
	key, amount := g.key(rt), essaim.Amount(rapid.Uint64Range(1, 100).Draw(rt, "amount"))
	if rapid.Bool().Draw(rt, "take back") {
		_, _, err := g.s.Withdraw(t.Context(), key, amount, "")
		if (err == nil) != (amount <= g.balance(key)) {
			rt.Fatalf("withdrawing %d of %d: %v", amount, g.balance(key), err)
		}
		if err == nil {
			g.in[key] -= amount
		}
		return
	}
	ref := fmt.Sprint(len(g.paid), g.tasks, g.in, g.out, len(g.holds))
	for i := range 2 {
		if _, again, err := g.s.Deposit(t.Context(), key, amount, ref); err != nil || again != (i == 1) {
			if essaim.CodeOf(err) == essaim.CodeConflict {
				return // the reference is taken
			}
			if err != nil || i == 1 {
				rt.Fatalf("deposit %d: again %v, %v", i, again, err)
			}
			return
		}
		if i == 0 {
			g.in[key] += amount
		}
	}
}

func (g *gateway) reserve(t *testing.T, rt *rapid.T) {
	key, amount, n := g.key(rt), essaim.Amount(rapid.Uint64Range(0, 40).Draw(rt, "amount")), rapid.IntRange(1, 3).Draw(rt, "n")
	h, err := g.s.Reserve(t.Context(), key, amount, n)
	if (err == nil) != (amount*essaim.Amount(n) <= g.balance(key)) && !errors.Is(err, apikey.ErrBusy) {
		rt.Fatalf("reserving %d times %d of %d: %v", n, amount, g.balance(key), err)
	}
	if err != nil {
		return
	}
	x := &hold{Hold: h, at: g.s}
	for range n {
		x.parts = append(x.parts, &part{key: key, amount: amount})
	}
	g.holds = append(g.holds, x)
}

// some picks a part of a request under way.
func (g *gateway) some(rt *rapid.T, want func(*part) bool) (*apikey.Part, *part) {
	var parts []*part
	var real []*apikey.Part
	for _, h := range g.holds {
		for i, p := range h.parts {
			if want(p) {
				parts, real = append(parts, p), append(real, h.Parts[i])
			}
		}
	}
	if len(parts) == 0 {
		rt.Skip("there is none")
	}
	i := rapid.IntRange(0, len(parts)-1).Draw(rt, "part")
	return real[i], parts[i]
}

func (g *gateway) name(t *testing.T, rt *rapid.T) {
	r, p := g.some(rt, func(p *part) bool { return p.task == 0 })
	g.tasks++
	p.task, p.session = g.tasks, essaim.SessionID(rapid.Uint64Range(1, 3).Draw(rt, "session"))
	if err := r.Name(task(p.task), p.session); err != nil {
		rt.Fatal(err)
	}
}

func (g *gateway) deliver(rt *rapid.T) {
	_, p := g.some(rt, func(p *part) bool { return p.task != 0 && !p.receipt })
	p.receipt, p.price = true, essaim.Amount(rapid.Uint64Range(0, uint64(p.amount)).Draw(rt, "price"))
	g.paid[p.session] = append(g.paid[p.session], apikey.Paid{Task: task(p.task), Price: p.price})
}

func (g *gateway) capture(t *testing.T, rt *rapid.T) {
	r, p := g.some(rt, func(p *part) bool { return p.receipt && !p.closed })
	for range 2 {
		if err := r.Capture(task(p.task), p.session, p.price, nil)(); err != nil {
			rt.Fatal(err)
		}
	}
	p.closed = true
	g.out[p.key] += p.price
}

func (g *gateway) done(t *testing.T, rt *rapid.T) {
	if len(g.holds) == 0 {
		rt.Skip("nothing is under way")
	}
	i := rapid.IntRange(0, len(g.holds)-1).Draw(rt, "hold")
	h := g.holds[i]
	if err := h.Done(); err != nil {
		rt.Fatal(err)
	}
	g.holds = slices.Delete(g.holds, i, i+1)
	g.over(h, true)
}

// over moves what is not captured of a request to what is in doubt.
func (g *gateway) over(h *hold, released bool) {
	for _, p := range h.parts {
		if p.closed {
			continue
		}
		if released {
			p.amount = 0
		}
		if p.task != 0 || p.amount > 0 {
			g.left = append(g.left, p)
		}
	}
}

func (g *gateway) kill(t *testing.T) {
	old := g.s
	g.s, g.path = killed(t, g.path, old)
	_ = old.Close()
	var going []*hold
	for _, h := range g.holds {
		if h.at != old {
			going = append(going, h)
			continue
		}
		for _, p := range h.parts {
			if p.task == 0 && server == nil {
				p.amount = 0 // it was in memory alone
			}
		}
		g.over(h, false)
	}
	g.holds = going
}

// turn has another instance asked from now on.
func (g *gateway) turn(rt *rapid.T) {
	if g.other == nil {
		rt.Skip("there is one only")
	}
	g.s, g.other = g.other, g.s
}

// decide is what the gateway does at its start and now and then: all instances of it, that know the same.
func (g *gateway) decide(t *testing.T) {
	instances := []*apikey.Store{g.s, g.other}
	if g.other == nil {
		instances = instances[:1]
	}
	lists := make([][]apikey.Doubt, len(instances))
	var err error
	for i, s := range instances {
		if lists[i], err = s.Undecided(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	decided := map[*part]bool{}
	for i, s := range instances {
		for _, d := range lists[i] {
			g.decideOne(t, s, d, decided)
		}
	}
	g.left = nil
}

func (g *gateway) decideOne(t *testing.T, s *apikey.Store, d apikey.Doubt, decided map[*part]bool) {
	i := slices.IndexFunc(g.left, func(p *part) bool { return task(p.task) == d.Task })
	if i < 0 || g.left[i].session != d.Session {
		t.Fatalf("task %s is in doubt for no reason", d.Task.Short())
	}
	var err error
	p := g.left[i]
	if p.receipt {
		err = s.Paid(t.Context(), d, p.price)
	} else {
		err = s.Unpaid(d)
	}
	switch {
	case err != nil:
		t.Fatal(err)
	case decided[p] || !p.receipt:
	case p.amount > 0: // a kill has left its reservation
		g.out[p.key] += p.price
	default:
		g.house += p.price
	}
	decided[p] = true
}

func (g *gateway) check(t *testing.T, rt *rapid.T) {
	if g.other != nil {
		check(t, g.other) // what it has begun is in the rows then
	}
	for _, key := range g.keys {
		k, err := g.s.Key(t.Context(), key)
		if err != nil || k.Limit != g.in[key] || k.Spent != g.out[key] || k.Balance != g.balance(key) || k.Limit != k.Balance+k.Reserved+k.Spent {
			rt.Fatalf("%+v, %v; want limit %d, spent %d, balance %d", k, err, g.in[key], g.out[key], g.balance(key))
		}
	}
	b := check(t, g.s)
	if len(b.Faults) > 0 {
		rt.Fatalf("%+v", b.Faults)
	}
	if have := -b.Balances["house"]; have != int64(g.house) {
		rt.Fatalf("the house has borne %d, want %d", have, g.house)
	}
	var facts []apikey.Fact
	for id := range essaim.SessionID(4) {
		f := apikey.Fact{Session: id, State: essaim.SessionSettled, Receipts: g.paid[id], Logged: true, Count: uint64(len(g.paid[id]))}
		for _, p := range f.Receipts {
			f.Sum += p.Price
		}
		facts = append(facts, f)
	}
	for _, r := range b.Reconcile(facts) {
		if len(r.Faults) > 0 {
			rt.Fatalf("%+v", r)
		}
	}
}

func TestConcurrentRequestsCannotOverspend(t *testing.T) {
	s := openKeys(t, filepath.Join(t.TempDir(), "keys.db"))
	k := create(t, s, 100)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				h, err := s.Reserve(t.Context(), k.ID, 7, 1)
				if err != nil {
					continue
				}
				if err = h.Parts[0].Name(task(uint64(i*100+j)), 1); essaim.CodeOf(err) == essaim.CodeInsufficient {
					err = nil // others were faster
				} else if err == nil {
					err = h.Parts[0].Capture(task(uint64(i*100+j)), 1, 7, nil)()
				}
				if err := errors.Join(err, h.Done()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if b := check(t, s); len(b.Faults)+len(b.Doubts) > 0 {
		t.Errorf("%+v, %+v", b.Faults, b.Doubts)
	}
	if got, err := s.Key(t.Context(), k.ID); err != nil || got.Spent != 98 || got.Balance != 2 {
		t.Errorf("%+v, %v; want 98 spent", got, err)
	}
	for range 20 {
		if _, err := s.Reserve(t.Context(), k.ID, 0, 1); err != nil && !errors.Is(err, apikey.ErrBusy) {
			t.Error(err)
		}
	}
	_, err := s.Reserve(t.Context(), k.ID, 0, 1)
	if !errors.Is(err, apikey.ErrBusy) {
		t.Errorf("17 requests under way: %v", err)
	}
}

func TestReferencesCountOnce(t *testing.T) {
	s := openKeys(t, filepath.Join(t.TempDir(), "keys.db"))
	k := create(t, s, 10)
	for i := range 3 {
		if got, again, err := s.Deposit(t.Context(), k.ID, 5, "invoice 7"); err != nil || again != (i > 0) || got.Limit != 15 {
			t.Errorf("%+v, again %v, %v", got, again, err)
		}
	}
	_, _, err := s.Deposit(t.Context(), k.ID, 6, "invoice 7")
	wantCode(t, err, essaim.CodeConflict)
	_, _, err = s.Deposit(t.Context(), k.ID, 0, "")
	wantCode(t, err, essaim.CodeBadInput)
	_, _, err = s.Deposit(t.Context(), k.ID, 1<<63, "")
	wantCode(t, err, essaim.CodeBadInput)
	_, _, err = s.Deposit(t.Context(), "nobody", 1, "")
	wantCode(t, err, essaim.CodeNotFound)
	_, _, err = s.Withdraw(t.Context(), k.ID, 16, "")
	wantCode(t, err, essaim.CodeInsufficient)
}

// tamper does to the file what no program of ours does.
func tamper(t *testing.T, path string, statements ...string) {
	t.Helper()
	if server != nil {
		tamperShared(t, path, statements...)
		return
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range append([]string{"DROP TRIGGER entries_fixed", "DROP TRIGGER entries_stay"}, statements...) {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTamperingIsFound changes entries behind the program's back; whatever is changed, the
// books or their comparison with the chain do not hold any more and name the entry.
func TestTamperingIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		sql   []string
		books string // what Check says
		chain string // what Reconcile says
	}{
		"a capture is made larger":  {[]string{"UPDATE entries SET amount = 300 WHERE id = 3"}, "entry 4: it takes", "entry 3: it says 0.0003 AIM"},
		"a capture is made smaller": {[]string{"UPDATE entries SET amount = 100 WHERE id = 3"}, "entry 3: session/1: its entries 3 come to 100 uaim, its balance says 250", "entry 3: it says 0.0001 AIM"},
		"a deposit is made larger":  {[]string{"UPDATE entries SET amount = 1000000 WHERE id = 1"}, "its entries 1 come to -1000000 uaim, its balance says -1000", ""},
		"an entry is removed":       {[]string{"DELETE FROM entries WHERE id = 3"}, "entries 3 to 3 are missing", "is not in the books"},
		"a task is another":         {[]string{"UPDATE entries SET task = zeroblob(32) WHERE id = 3"}, "", "entry 3: there is no receipt"},
		"a session is another":      {[]string{"UPDATE entries SET target = 'session/2' WHERE id = 3"}, "session/1: its entries", "entry 3: nothing is known of session 2"},
		"a kind is another":         {[]string{"UPDATE entries SET kind = 'deposit' WHERE id = 3"}, "a deposit cannot go from", ""},
		"the balances are changed, too": {[]string{
			"UPDATE entries SET amount = 100 WHERE id = 3", "UPDATE entries SET amount = 300 WHERE id = 4",
			"UPDATE balances SET amount = 100 WHERE account = 'session/1'", "UPDATE balances SET amount = 900 WHERE account GLOB 'key/*'",
		}, "", "entry 3: it says 0.0001 AIM"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.db")
			s := openKeys(t, path)
			k := create(t, s, 1000)
			h := reserve(t, s, k.ID, 400, 1)
			if err := h.Parts[0].Name(task(1), 1); err != nil {
				t.Fatal(err)
			}
			check(t, s) // the reservation is in the rows then
			if err := errors.Join(h.Parts[0].Capture(task(1), 1, 250, nil)(), h.Done()); err != nil {
				t.Fatal(err)
			}
			if b := check(t, s); len(b.Entries) != 4 || len(b.Faults) != 0 {
				t.Fatalf("%+v", b)
			}
			tamper(t, path, c.sql...)
			b := check(t, s)
			if got := text(b.Faults); c.books == "" && got != "" || !strings.Contains(got, c.books) {
				t.Errorf("the check says %q, want %q", got, c.books)
			}
			var faults []apikey.Fault
			for _, r := range b.Reconcile([]apikey.Fact{{Session: 1, State: essaim.SessionSettled, Sum: 250, Count: 1, Receipts: []apikey.Paid{{Task: task(1), Price: 250}}, Logged: true}}) {
				faults = append(faults, r.Faults...)
			}
			if got := text(faults); c.chain == "" && got != "" && c.books == "" || !strings.Contains(got, c.chain) {
				t.Errorf("the comparison says %q, want %q", got, c.chain)
			}
		})
	}
}

// TestSessionsWithoutASettlement: one that came to its expiry has no sum on the chain. That
// is no difference; a receipt that is not as in the books is.
func TestSessionsWithoutASettlement(t *testing.T) {
	s := openKeys(t, filepath.Join(t.TempDir(), "keys.db"))
	h := reserve(t, s, create(t, s, 1000).ID, 400, 1)
	if err := errors.Join(h.Parts[0].Name(task(1), 1), h.Parts[0].Capture(task(1), 1, 250, nil)(), h.Done()); err != nil {
		t.Fatal(err)
	}
	b := check(t, s)
	for _, state := range []essaim.SessionState{essaim.SessionLapsed, essaim.SessionExpired} {
		for name, c := range map[string]struct {
			fact  apikey.Fact
			proof string
			fault string
		}{
			"as in the log":   {apikey.Fact{Logged: true, Receipts: []apikey.Paid{{Task: task(1), Price: 250}}}, "receipts", ""},
			"another price":   {apikey.Fact{Logged: true, Receipts: []apikey.Paid{{Task: task(1), Price: 200}}}, "receipts", "it says 0.00025 AIM"},
			"not in the log":  {apikey.Fact{Logged: true}, "receipts", "there is no receipt"},
			"more in the log": {apikey.Fact{Logged: true, Receipts: []apikey.Paid{{Task: task(1), Price: 250}, {Task: task(2), Price: 1}}}, "receipts", "is not in the books"},
			"the log is gone": {apikey.Fact{}, "", ""},
		} {
			c.fact.Session, c.fact.State = 1, state
			r := b.Reconcile([]apikey.Fact{c.fact})[0]
			if got := text(r.Faults); r.Proof != c.proof || c.fault == "" && got != "" || !strings.Contains(got, c.fault) {
				t.Errorf("%s, %s: by %q: %q, want %q", state, name, r.Proof, got, c.fault)
			}
		}
	}
}

func text(faults []apikey.Fault) (out string) {
	for _, f := range faults {
		out += fmt.Sprintf("entry %d: %s\n", f.Entry, f.Text)
	}
	return out
}

func BenchmarkReserveAndCapture(b *testing.B) {
	s := openKeys(b, filepath.Join(b.TempDir(), "keys.db"))
	k := create(b, s, 1e15)
	for n := uint64(1); b.Loop(); n++ {
		h := reserve(b, s, k.ID, 1, 1)
		if err := errors.Join(h.Parts[0].Name(task(n), 1), h.Parts[0].Capture(task(n), 1, 1, nil)(), h.Done()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkManyRequests has 64 requests of 8 keys under way, at two instances where there are several.
func BenchmarkManyRequests(b *testing.B) {
	path := filepath.Join(b.TempDir(), "keys.db")
	stores := []*apikey.Store{openKeys(b, path)}
	if server != nil {
		stores = append(stores, openKeys(b, path))
	}
	keys := make([]apikey.Key, 8)
	for i := range keys {
		keys[i] = create(b, stores[i%len(stores)], 1e15)
	}
	var workers, tasks atomic.Uint64
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(p *testing.PB) {
		i := int(workers.Add(1)) % len(keys)
		s := stores[i%len(stores)]
		for p.Next() {
			n := tasks.Add(1)
			h := reserve(b, s, keys[i].ID, 1, 1)
			if err := h.Parts[0].Name(task(n), 1); err != nil {
				b.Error(err)
			}
			h.Parts[0].Capture(task(n), 1, 1, nil)
			if err := h.Done(); err != nil {
				b.Error(err)
			}
		}
	})
}
