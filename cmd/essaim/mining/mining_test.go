package mining

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/miner"
)

func TestAllowAndDeny(t *testing.T) {
	for _, c := range []struct {
		o    options
		name string
		want string
	}{
		{options{}, "llama3:8b", ""},
		{options{allow: []string{"LLAMA"}}, "llama3:8b", ""},
		{options{allow: []string{"llama"}}, "pixel-64", "not allowed"},
		{options{allow: []string{"llama"}, deny: []string{":70b"}}, "llama3:70b", "denied"},
	} {
		if got := c.o.skips(c.name); got != c.want {
			t.Errorf("%+v %s: %q, want %q", c.o, c.name, got, c.want)
		}
	}
}

func TestAnHourBringsAtLeast(t *testing.T) {
	for _, c := range []struct {
		hourly essaim.Amount
		rate   float64
	}{{1_000_000, 0.5}, {1_000_000, 333}, {7, 1000}, {0, 1}, {1_000_000, 0}} {
		price := floor(c.hourly, c.rate)
		if o := (offered{Rate: c.rate, Price: price}); c.rate > 0 && o.hour() < c.hourly {
			t.Errorf("%d uaim a unit at %v a second bring %d an hour, want %d", price, c.rate, o.hour(), c.hourly)
		}
	}
}

// TestBenchIsKept: a model is measured once, and what was measured is read again.
func TestBenchIsKept(t *testing.T) {
	dir := t.TempDir()
	found := all.Local(t.Context(), []all.Place{{Driver: "text"}})
	if len(found) != 1 || len(found[0].Models) == 0 {
		t.Fatalf("%+v", found)
	}
	b, err := openBench(dir)
	if err != nil {
		t.Fatal(err)
	}
	model := found[0].Models[0].Digest
	first, err := b.rate(t.Context(), found[0], model)
	if err != nil || first <= 0 {
		t.Fatalf("%v units a second, %v", first, err)
	}
	if b, err = openBench(dir); err != nil {
		t.Fatal(err)
	}
	again, err := b.rate(t.Context(), found[0], model)
	if err != nil || again != first {
		t.Errorf("%v units a second the second time, %v the first, %v", again, first, err)
	}
	if _, err := b.rate(t.Context(), found[0], essaim.Digest{1}); err == nil {
		t.Error("a model that is not there has a rate")
	}
}

// TestDashboardFits into 80 columns, whatever is shown.
func TestDashboardFits(t *testing.T) {
	now := time.Now()
	d := dashboard{began: now.Add(-1000 * time.Hour), id: "1a2b3c4d"}
	l := miner.Look{
		Stats: miner.Stats{Connected: 3, Acked: 1 << 40, Refused: 1, Failed: 2, Earned: 1 << 60, Unpaid: 7}, Capacity: 16, Models: 99,
		Jobs: []miner.Job{{Task: essaim.Digest{1}, Model: strings.Repeat("a model ", 20), Step: 1 << 20, Steps: 1 << 20, Price: 1 << 60, Since: now.Add(-time.Hour)}},
		Idle: strings.Repeat("why ", 50),
	}
	lines := d.render(l, now)
	for _, line := range lines {
		if n := utf8.RuneCountInString(term.Clip(line, term.Width)); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if len(lines) != 7 || !strings.Contains(lines[0], "serving") {
		t.Errorf("%s", strings.Join(lines, "\n"))
	}
}
