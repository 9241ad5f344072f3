// Package term is how the program's commands speak to people and to other programs: in 80
// columns, in words that are the same everywhere, or in one JSON object. Teller is what the
// stories share that check themselves while they are told.
//
// The package must not know what it prints, and asks nobody but a Clock.
package term

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/essaim/essaim"
)

// Width is how many columns a terminal has at least.
const Width = 80

// Table prints rows under a header in columns. Numbers, in the columns that right names,
// stand at the right. What does not fit into 80 columns is cut off the last column.
func Table(w io.Writer, right string, rows ...[]string) {
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
		fmt.Fprintln(w, Clip(strings.TrimRight(line.String(), " "), Width))
	}
}

// Clip cuts a text to n columns, and shows that it did.
func Clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// Wrap breaks a text into lines of at most n columns.
func Wrap(s string, n int) (lines []string) {
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

// Coins is an amount in AIM without the unit, in groups of three.
func Coins(a essaim.Amount) string {
	whole, frac, _ := strings.Cut(strings.TrimSuffix(a.String(), " AIM"), ".")
	n, _ := strconv.ParseUint(whole, 10, 64)
	if frac == "" {
		return Grouped(n)
	}
	return Grouped(n) + "." + frac
}

// Percent reads a percentage such as 5 or 12.5.
//
// Errors: CodeBadInput.
func Percent(text string) (essaim.Bps, error) {
	a, err := essaim.ParseAmount(text)
	if err != nil || a%10_000 != 0 || a > 100*essaim.AIM {
		return 0, essaim.Errorf(essaim.CodeBadInput, "write a percentage like 5 or 12.5, with at most two decimals", "%q is no percentage", text)
	}
	return essaim.Bps(a / 10_000), nil
}

// Grouped writes 1234567 as 1,234,567.
func Grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Clock is what tells how far away a height is.
type Clock interface {
	Height(context.Context) (int64, error)
	BlockTime(context.Context) (time.Duration, error)
}

// When says what a height means to a person.
func When(ctx context.Context, chain Clock, height int64) string {
	now, err := chain.Height(ctx)
	if err != nil {
		return fmt.Sprintf("height %d", height)
	}
	if height <= now {
		return fmt.Sprintf("height %d, which has passed", height)
	}
	pace, err := chain.BlockTime(ctx)
	if err != nil || pace == 0 {
		return fmt.Sprintf("height %d, in %s blocks", height, Grouped(uint64(height-now)))
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

// JSON prints one object.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
