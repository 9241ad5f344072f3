// Package manual is what the program says about itself: help in 80 columns with an example for
// every command, the same as man pages, and completion for shells. Examples are in one list, so
// that a test can hold each against the commands there are.
//
// The package must not change what a command does.
package manual

import (
	_ "embed"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
)

// usage is cobra's template with flags that keep to 80 columns.
const usage = `Usage:{{if .Runnable}}
{{useline .}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}{{if gt (len .Aliases) 0}}

Aliases:
  {{.NameAndAliases}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
{{entry .}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{if .HasParent}}

Flags of every command are in ` + "`essaim --help`" + `.{{end}}
`

//go:embed examples.txt
var examples string

// Dress gives the whole tree its help: the template, and examples where a command has none of
// its own. It panics if an example is of no command, which a test finds.
func Dress(root *cobra.Command) {
	cobra.AddTemplateFunc("entry", entry)
	cobra.AddTemplateFunc("useline", useline)
	root.SetUsageTemplate(usage)
	own := map[*cobra.Command]bool{}
	Walk(root, func(cmd *cobra.Command) {
		own[cmd] = cmd.Example != ""
		if cmd.Long == "" && utf8.RuneCountInString(cmd.Short) > term.Width {
			cmd.Long = cmd.Short
		}
		cmd.Long = fold(cmd.Long)
	})
	for _, line := range Examples() {
		cmd := Of(root, line)
		if cmd == nil {
			panic("an example of no command: " + line)
		}
		if own[cmd] {
			continue
		}
		if cmd.Example != "" {
			cmd.Example += "\n"
		}
		cmd.Example += "  " + line
	}
}

// fold breaks the paragraphs of a text that have too long a line anew. Indented lines are tables
// and stay as they are.
func fold(text string) string {
	parts := strings.Split(text, "\n\n")
	for i, p := range parts {
		if strings.HasPrefix(p, " ") || strings.Contains(p, "\n ") {
			continue
		}
		for line := range strings.Lines(p) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > term.Width {
				parts[i] = strings.Join(term.Wrap(p, term.Width), "\n")
				break
			}
		}
	}
	return strings.Join(parts, "\n\n")
}

// useline is how a command is called; a long one goes on below.
func useline(cmd *cobra.Command) string {
	return "  " + strings.Join(term.Wrap(cmd.UseLine(), term.Width-6), "\n      ")
}

// Examples are the list's lines.
func Examples() []string { return strings.Split(strings.TrimSpace(examples), "\n") }

// Of finds the command that a line runs; nil: none.
func Of(root *cobra.Command, line string) *cobra.Command {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != root.Name() {
		return nil
	}
	cmd, rest, err := root.Find(words[1:])
	if err != nil || cmd == root && len(words) > 1 && len(rest) == len(words)-1 && !strings.HasPrefix(words[1], "-") {
		return nil
	}
	return cmd
}

// Walk visits a command and all below it.
func Walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		Walk(sub, visit)
	}
}

// entry is a command's line in the list of its parent's; a long one goes on below.
func entry(cmd *cobra.Command) string {
	const indent = 2
	pad := cmd.NamePadding() + indent + 1
	var out []string
	for i, line := range term.Wrap(cmd.Short, term.Width-pad) {
		head := ""
		if i == 0 {
			head = strings.Repeat(" ", indent) + cmd.Name()
		}
		out = append(out, head+strings.Repeat(" ", max(1, pad-len(head)))+line)
	}
	return strings.Join(out, "\n")
}

// Completion is `essaim completion`.
func Completion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands, flags and account names",
		Long: `Prints the script for a shell. With it, TAB completes commands, flags, names of account
keys, models, and the numbers of your sessions.`,
		Example: `  essaim completion bash > /etc/bash_completion.d/essaim
  essaim completion zsh > "${fpath[1]}/_essaim"
  essaim completion fish > ~/.config/fish/completions/essaim.fish`,
		Args: cobra.ExactArgs(1), ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return essaim.Errorf(essaim.CodeBadInput, "use bash, zsh, fish or powershell", "no script for %q", args[0])
		},
	}
}

// Sources are where completion finds words. Each answers at once, and with nothing rather than
// an error.
type Sources struct {
	Accounts func() []string
	Models   func() []string
	Sessions func() []string // numbers, each with a tab and what it is behind it
}

// Complete has flags and arguments that are names of keys or of models complete as such, in the
// whole tree.
func Complete(root *cobra.Command, from Sources) {
	Walk(root, func(cmd *cobra.Command) {
		for _, f := range []struct {
			name string
			list func() []string
		}{{"from", from.Accounts}, {"owner", from.Accounts}, {"account", from.Accounts}, {"model", from.Models}} {
			if flag := cmd.LocalNonPersistentFlags().Lookup(f.name); flag == nil && (cmd != root || cmd.PersistentFlags().Lookup(f.name) == nil) || flag != nil && flag.Value.Type() != "string" {
				continue
			}
			_ = cmd.RegisterFlagCompletionFunc(f.name, words(f.list, false)) // fails only if it is there already
		}
		switch {
		case cmd.ValidArgsFunction != nil:
		case takesKey(cmd):
			cmd.ValidArgsFunction = words(from.Accounts, true)
		case takesSession(cmd):
			cmd.ValidArgsFunction = words(from.Sessions, true)
		}
	})
}

// takesKey reports whether a command's first argument may be the name of a key.
func takesKey(cmd *cobra.Command) bool {
	switch cmd.CommandPath() {
	case "essaim balance", "essaim keys export", "essaim keys remember", "essaim keys forget", "essaim rewards", "essaim name list", "essaim session list":
		return true
	}
	return false
}

// takesSession reports whether a command's first argument is the number of a session.
func takesSession(cmd *cobra.Command) bool {
	switch cmd.CommandPath() {
	case "essaim session show", "essaim session topup", "essaim session audit", "essaim query session":
		return true
	}
	return false
}

// words completes with a list's; with first, only the first argument.
func words(list func() []string, first bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if first && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list(), cobra.ShellCompDirectiveNoFileComp
	}
}
