package stake

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
)

// width is how many columns a terminal has at least.
const width = 80

// table prints rows under a header in columns. Numbers, in the columns that right names,
// stand at the right. What does not fit into 80 columns is cut off the last column.
func table(w io.Writer, right string, rows ...[]string) {
	wide := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			wide[i] = max(wide[i], utf8.RuneCountInString(cell))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, cell := range r {
			pad := strings.Repeat(" ", wide[i]-utf8.RuneCountInString(cell))
			if right[i] == '>' {
				cell = pad + cell
			} else if i < len(r)-1 {
				cell += pad
			}
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(cell)
		}
		fmt.Fprintln(w, clip(strings.TrimRight(line.String(), " "), width))
	}
}

// clip cuts a text to n columns, and shows that it did.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// wrap breaks a text into lines of at most n columns.
func wrap(s string, n int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > n {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// coins is an amount in AIM without the unit, in groups of three.
func coins(a essaim.Amount) string {
	whole, frac, _ := strings.Cut(strings.TrimSuffix(a.String(), " AIM"), ".")
	n, _ := strconv.ParseUint(whole, 10, 64)
	if frac == "" {
		return grouped(n)
	}
	return grouped(n) + "." + frac
}

// grouped writes 1234567 as 1,234,567.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent is a part of a whole in hundredths of a percent.
func percent(part, whole essaim.Amount) string {
	if whole == 0 {
		return "0 %"
	}
	for whole >= 1<<50 {
		part, whole = part>>1, whole>>1
	}
	return essaim.Bps(uint64(part) * 10_000 / uint64(whole)).String()
}

// when says what a height means to a person.
func when(ctx context.Context, chain *chainclient.Client, height int64) string {
	now, err := chain.Height(ctx)
	if err != nil {
		return fmt.Sprintf("height %d", height)
	}
	if height <= now {
		return fmt.Sprintf("height %d, which has passed", height)
	}
	pace, err := chain.BlockTime(ctx)
	if err != nil || pace == 0 {
		return fmt.Sprintf("height %d, in %s blocks", height, grouped(uint64(height-now)))
	}
	wait := time.Duration(height-now) * pace
	about := time.Now().Add(wait).Format("2 January 2006 15:04")
	if wait < time.Hour {
		about = "in " + wait.Round(time.Second).String()
	} else if wait > 48*time.Hour {
		about = time.Now().Add(wait).Format("2 January 2006")
	}
	return fmt.Sprintf("height %d, about %s", height, about)
}

// state says in a word whether an actor takes work and stake.
func state(a chainclient.Standing) string {
	switch {
	case a.RetiredAt != 0:
		return "retired"
	case a.JailedUntil != 0:
		return "jailed"
	case a.Held > 0:
		return "frozen"
	case a.AwayFrom != 0:
		return "away"
	}
	return "active"
}

// label is a name for an actor in a sentence.
func label(a chainclient.Standing) string { return string(a.Role) + " " + a.NodeKey.Short() }

// own finds what an account has staked on an actor.
func own(ctx context.Context, chain *chainclient.Client, who essaim.Address, k essaim.NodeKey) (chainclient.Delegation, error) {
	list, err := chain.Delegations(ctx, who)
	if i := slices.IndexFunc(list, func(d chainclient.Delegation) bool { return d.Actor == k }); i >= 0 {
		return list[i], err
	}
	return chainclient.Delegation{Actor: k, Delegator: who}, err
}
