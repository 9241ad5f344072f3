package stake

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
)

// TestTables: with the largest numbers and the longest names, what is printed fits.
func TestTables(t *testing.T) {
	most := essaim.Amount(1_000_000_000 * essaim.AIM)
	var out strings.Builder
	term.Table(&out, "<<>>><", []string{"coordinator", "state", "stake AIM", "bond AIM", "commission", "gateway"},
		[]string{"3f9a1c20", "retired", term.Coins(most - 1), term.Coins(most - 1), essaim.Bps(10_000).String(), "https://" + strings.Repeat("long.", 40)})
	house := chainclient.House{Seated: true, Total: most, Voted: most - 1, Counted: most - 1, Options: map[string]essaim.Amount{"yes": most / 3}}
	o := chainclient.Outcome{
		Stake: house, Work: house, Turnout: 999_999_999_999, Shares: map[string]uint64{"yes": 333_333_333_333},
		Cap: most / 20, Capped: map[string]essaim.Amount{strings.Repeat("essaim1q", 6): most - 1},
	}
	if err := houses(&out, o); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > term.Width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(out.String(), "999,999,999.999999") {
		t.Errorf("a number was cut off:\n%s", out.String())
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		term.Coins(0):                 "0",
		term.Coins(1_234_567_000_001): "1,234,567.000001",
		term.Coins(999 * essaim.AIM):  "999",
		percent(1, 3):                 "33.33 %",
		percent(0, 0):                 "0 %",
		percent(^essaim.Amount(0), ^essaim.Amount(0)): "100 %",
		trillionths(333_333_333_333):                  "33.33 %",
		term.Clip("abcdef", 4):                        "abc…",
		strings.Join(term.Wrap("a bc def g", 4), "|"): "a bc|def|g",
		date(time.Now().Add(90 * time.Second)):        "in 1m30s",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestChoices(t *testing.T) {
	got, err := choicesOf("weighted", []string{"yes=60", "abstain=39.5", "veto=0.5"})
	if err != nil || len(got) != 3 || got[1].Weight != 3950 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]string{{"maybe"}, {"yes", "no=1"}, {"weighted"}, {"weighted", "yes=99.99"}, {"weighted", "yes=50", "x=50"}, {"weighted", "yes=101"}, {"weighted", "yes=0", "no=100"}} {
		if _, err := choicesOf(bad[0], bad[1:]); essaim.CodeOf(err) != essaim.CodeBadInput || err == nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNamed(t *testing.T) {
	a := chainclient.Standing{}
	a.NodeKey, a.Owner, a.URL = essaim.NodeKey{0x3f, 0x9a, 0x1c}, essaim.Address{7}, "https://gate.example/"
	for text, want := range map[string]bool{
		"3f9a": true, "3F9A1C": true, "3f9": false, "3f9b": false, "gate.example": true, "https://gate.example": true, "gate": false,
	} {
		if named(a, text, essaim.Address{}) != want {
			t.Errorf("%q: not %t", text, want)
		}
	}
	if !named(a, "its owner", essaim.Address{7}) {
		t.Error("not found by its owner")
	}
}
