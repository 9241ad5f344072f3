package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/manual"
	"github.com/essaim/essaim/cmd/essaim/settings"
)

func tree() *cobra.Command {
	return newRootCommand(&cli{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: func(string) string { return "" }})
}

// TestHelp: every command says in one line what it does, shows an example, and keeps to 80
// columns, in its help and in its man page.
func TestHelp(t *testing.T) {
	manual.Walk(tree(), func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		if cmd.Hidden {
			t.Errorf("%s is hidden", name)
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") || strings.Contains(cmd.Short, "\n") {
			t.Errorf("%s: its short description is %q", name, cmd.Short)
		}
		if !cmd.HasSubCommands() && !cmd.HasExample() {
			t.Errorf("%s has no example: put one into manual/examples.txt", name)
		}
		var out bytes.Buffer
		cmd.SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Error(err)
		}
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, "\x1b") {
				t.Errorf("%s: colours without a terminal", name)
			}
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		page := manual.Page(cmd, "x")
		for _, section := range []string{".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH EXIT STATUS\n"} {
			if !strings.Contains(page, section) {
				t.Errorf("%s: its man page has no %s", name, section)
			}
		}
	})
}

var flagInExample = regexp.MustCompile(`\s--([a-z-]+)`)

// TestExamples: each is of a command that there is, with flags that it has.
func TestExamples(t *testing.T) {
	root := tree()
	manual.Walk(root, func(cmd *cobra.Command) {
		for line := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", "")) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " | ")
			if !strings.HasPrefix(line, "essaim ") {
				continue
			}
			at := manual.Of(root, line)
			if at == nil {
				t.Errorf("%s: no command for %s", cmd.CommandPath(), line)
				continue
			}
			for _, f := range flagInExample.FindAllStringSubmatch(line, -1) {
				if at.Flags().Lookup(f[1]) == nil && root.PersistentFlags().Lookup(f[1]) == nil {
					t.Errorf("%s has no flag --%s: %s", at.CommandPath(), f[1], line)
				}
			}
		}
	})
}

// TestSettingsAreUnambiguous: no two flags have one variable, none has a variable that means
// something else, and in the file no flag is called like a command beside it.
func TestSettingsAreUnambiguous(t *testing.T) {
	seen := map[string]string{"ESSAIM_PASSPHRASE": "passphrase", "ESSAIM_PICTURES": "pictures", "ESSAIM_CACHE": "cache", "ESSAIM_TELEGRAM_TOKEN": "token", "ESSAIM_DISCORD_TOKEN": "token"}
	manual.Walk(tree(), func(cmd *cobra.Command) {
		flags := cmd.LocalNonPersistentFlags()
		if !cmd.HasParent() {
			flags = cmd.PersistentFlags()
		}
		flags.VisitAll(func(f *pflag.Flag) {
			name, env := cmd.CommandPath()+" --"+f.Name, settings.Env(cmd, f.Name)
			if other := seen[env]; other != "" {
				t.Errorf("%s is of %s and of %s", env, other, name)
			}
			seen[env] = name
			for _, sub := range cmd.Commands() {
				if sub.Name() == f.Name {
					t.Errorf("%s is called like the command %s", name, sub.CommandPath())
				}
			}
		})
	})
}

// TestExitCodes: the table in docs is the program's.
func TestExitCodes(t *testing.T) {
	b, err := os.ReadFile("../../docs/operate/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[essaim.Code]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (\w*) ?\|`).FindAllStringSubmatch(string(b), -1) {
		if row[2] != "" {
			found[essaim.Code(row[2])] = row[1]
		}
	}
	codes := []essaim.Code{essaim.CodeBadInput, essaim.CodeRefused, essaim.CodeNotFound, essaim.CodeInsufficient, essaim.CodeConflict, essaim.CodeUnavailable, essaim.CodeExpired, essaim.CodeInternal}
	for _, c := range codes {
		if got, want := found[c], fmt.Sprint(c.ExitCode()); got != want {
			t.Errorf("%s: the table says %s, the program %s", c, got, want)
		}
	}
	if len(found) != len(codes) {
		t.Errorf("the table has %d codes, the program %d", len(found), len(codes))
	}
	if got := exitCode(errAnswerNo{essaim.Errorf(essaim.CodeInternal, "", "no")}); got != 1 {
		t.Errorf("an answer of no is %d", got)
	}
}
