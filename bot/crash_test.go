package bot_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/book"
)

// told says something to a bot that may be killed meanwhile: as platforms do, it says it again
// until the bot has taken it, and starts the bot again until nothing waits for an answer.
func (r *rig) told(e bot.Event) {
	r.t.Helper()
	for range 200 {
		err := r.bot.Accept(r.t.Context(), e)
		if r.settles() && err == nil {
			return
		}
		r.restart()
	}
	r.t.Fatal("the bot never takes ", e.Text)
}

// settles waits until nothing waits for an answer; false: the bot was killed.
func (r *rig) settles() bool {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		waiting, err := r.book.Waiting(r.t.Context(), "test")
		if err != nil {
			r.t.Fatal(err)
		}
		r.mu.Lock()
		killed := r.killed
		r.mu.Unlock()
		if killed || len(waiting) == 0 {
			return !killed
		}
		select {
		case <-tick.C:
		case <-limit:
			r.t.Fatalf("%d letters are never answered, first %s", len(waiting), waiting[0].Body)
		}
	}
}

// audit compares what the book says with what the ledger has, to the last uaim. No
// session is open any more.
func (r *rig) audit() {
	r.t.Helper()
	if got := r.Everything(); got != funds {
		r.t.Errorf("there are %s, were %s", got, funds)
	}
	var want []string
	sums := map[essaim.Address]int64{r.bot.House(): int64(funds)}
	add := func(a essaim.Address, n int64) { sums[a] += n }
	for id := int64(1); id < 20; id++ {
		p, err := r.book.ByID(r.t.Context(), id)
		if err != nil {
			continue
		}
		moves, err := r.book.Moves(r.t.Context(), p, 10_000)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, m := range moves {
			if m.Payer == p.ID {
				want = append(want, fmt.Sprintf("%s %s %d", p.Address, m.To, m.Amount))
				add(p.Address, -int64(m.Amount))
				add(m.To, int64(m.Amount))
			}
		}
		draws, err := r.book.Draws(r.t.Context(), p, 10_000)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, d := range draws {
			add(p.Address, -int64(d.Price))
			if d.Payer != p.ID {
				add(r.bot.House(), -int64(d.Price))
			}
		}
	}
	if n := r.Escrows(); n > 0 {
		r.t.Errorf("%d sessions are open", n)
	}
	got := r.Payments()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		r.t.Errorf("the ledger has payments %q, the book %q", got, want)
	}
	for a, n := range r.Balances() {
		have := int64(n)
		if have != sums[a] {
			r.t.Errorf("%s has %d uaim, by the book it should have %d", a, have, sums[a])
		}
	}
}

// rest lets every session be settled.
func (r *rig) rest() {
	r.t.Helper()
	r.arm(0)
	for range 5 { // what is taken up in one round is idle in the next
		r.Pass(2 * time.Hour)
		r.restart()
		if r.finished() {
			return
		}
	}
	r.t.Fatal("sessions or payments stay open")
}

// finished waits for the end of a round, and tells whether nothing is open after it.
func (r *rig) finished() bool {
	r.t.Helper()
	ctx := r.t.Context()
	for range 300 {
		idle, err1 := r.book.Idle(ctx, r.Now().Add(time.Hour))
		open, err2 := r.book.Open(ctx)
		opening, err3 := r.book.Openings(ctx)
		if err := errors.Join(err1, err2, err3); err != nil {
			r.t.Fatal(err)
		}
		if len(idle)+len(open)+len(opening) == 0 {
			return true
		}
		<-time.After(time.Millisecond)
	}
	return false
}

func (r *rig) arm(steps int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fuse = steps
}

// TestKilledAnywhere kills the bot once, before and after each single thing that it does in a
// story, and each time comes to the same end: everything was done once.
func TestKilledAnywhere(t *testing.T) {
	story := []struct{ who, text string }{
		{"ada", "/faucet"}, {"ada", "/imagine a red apple"}, {"bob", "/start"}, {"ada", "/tip @bob 0.01"}, {"ada", "/tip @dora 0.02"}, {"ada", "/tip @erik 0.005"},
		{"dora", "/start"}, {"ada", "/tip aim:outside 0.01"}, {"dora", "/imagine a blue house"},
	}
	for fuse, more := 1, true; more; fuse += stride() {
		r := newRig(t)
		r.arm(fuse)
		for _, s := range story {
			r.told(event(s.who, s.text))
		}
		r.mu.Lock()
		more = r.fuse == 0
		r.mu.Unlock()
		r.rest()
		r.audit()
		for name, want := range map[string]essaim.Amount{"ada": 52_500, "bob": 10_000, "dora": 17_500} {
			got := r.Has(r.who(name).Address)
			if got != want {
				t.Errorf("killed at step %d: %s has %s, want %s", fuse, name, got, want)
			}
		}
		if got := r.Has(outside); got != 10_000 {
			t.Errorf("killed at step %d: outside has %s", fuse, got)
		}
		r.stop()
		if t.Failed() {
			t.Fatalf("killed at step %d: %q", fuse, r.texts())
		}
	}
}

func stride() int {
	if testing.Short() {
		return 16
	}
	return 5 // each step, and not only every fifth, was tried when this was written
}

// TestMoneyIsConserved: people say anything in any order, some of it twice, the bot is killed at
// any moment, and time passes.
func TestMoneyIsConserved(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		defer func() { r.stop() }()
		names := []string{"ada", "bob", "cleo", "dora"}
		who := rapid.SampledFrom(names)
		for range rapid.IntRange(3, 8).Draw(rt, "letters") {
			e := event(who.Draw(rt, "who"), "")
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0, 1:
				e.Text = "/faucet"
			case 2, 3:
				e.Text = fmt.Sprintf("/tip @%s 0.0%d", who.Draw(rt, "whom"), rapid.IntRange(1, 9).Draw(rt, "amount"))
			case 4:
				e.Text = "/imagine a red apple"
			case 5:
				e.Text = "/tip aim:outside 0.03"
			case 6:
				r.Pass(time.Duration(rapid.IntRange(1, 400).Draw(rt, "hours")) * time.Hour)
				e.Text = "/balance"
			}
			if rapid.Bool().Draw(rt, "kill") {
				r.arm(rapid.IntRange(1, 60).Draw(rt, "fuse"))
			}
			r.told(e)
			if rapid.Bool().Draw(rt, "twice") {
				r.told(e)
			}
		}
		r.rest()
		r.audit()
		if t.Failed() {
			rt.Fatalf("%q", r.texts())
		}
	})
}

// TestSecret: a book without its secret is refused, and a secret that others can read.
func TestSecret(t *testing.T) {
	r := newRig(t)
	r.ask(event("ada", "/start"), "Welcome")
	if _, err := book.Open(r.dir+"/book.db", make([]byte, book.SecretSize)); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("another bot on the same book: %v", err)
	}
	r.stop()
	if _, err := book.Open(r.dir+"/book.db", make([]byte, book.SecretSize)); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("another secret: %v", err)
	}
}
