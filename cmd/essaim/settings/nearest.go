package settings

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// hint says what to write instead of a key that is not known.
func hint(key string, known []string) string {
	switch last := key[strings.LastIndex(key, ".")+1:]; {
	case key == homeFlag:
		return "the file lies in the home: choose one with --home or ESSAIM_HOME"
	case last == "passphrase":
		return "a secret is not kept here: use passphrase-file, ESSAIM_PASSPHRASE or `essaim passphrase keep`"
	}
	if near := Nearest(key, known); near != "" {
		return "is " + near + " meant? `essaim config show --all` lists the settings"
	}
	return "`essaim config show --all` lists the settings"
}

// Nearest is the word of a list that another is most likely a slip of; "" if none is near.
func Nearest(word string, list []string) string {
	best, at := "", 1+len(word)/3
	for _, w := range list {
		d := distance(word, w)
		// A flag that was written outside of its command's table has the same last word.
		if strings.HasSuffix(w, "."+word) {
			d = min(d, 1)
		}
		if d < at || d == at && best == "" {
			best, at = w, d
		}
	}
	return best
}

// distance is Levenshtein's, of bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := slices.Clone(row)
		next[0] = i + 1
		for j := range len(b) {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, next[j]+1, row[j+1]+1)
		}
		row = next
	}
	return row[len(b)]
}

// others are the program's variables that are no flags.
var others = []string{"ESSAIM_PASSPHRASE", "ESSAIM_TELEGRAM_TOKEN", "ESSAIM_DISCORD_TOKEN", "ESSAIM_PICTURES", "ESSAIM_CACHE"}

// Stranger is a variable that begins like the program's and is none of them.
type Stranger struct{ Name, Near string } // Near: what was likely meant; "": nothing is like it

// Strangers finds them in an environment of NAME=VALUE lines. They are no errors: other programs
// may have such variables, too.
func Strangers(root *cobra.Command, environ []string) (out []Stranger) {
	known := slices.Clone(others)
	walk(root, func(cmd *cobra.Command) {
		each(cmd, func(owner *cobra.Command, f *pflag.Flag) {
			if owner == cmd {
				known = append(known, Env(owner, f.Name))
			}
		})
	})
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if value != "" && strings.HasPrefix(name, prefix+"_") && !strings.HasPrefix(name, prefix+"_TEST_") && !slices.Contains(known, name) {
			out = append(out, Stranger{name, Nearest(name, known)})
		}
	}
	return out
}
