package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/essaim/essaim"
)

// exits is the table that every page ends with.
const exits = `0 done, 1 a check said no, 2 bad input, 3 refused, 4 not found, 5 not enough money,
6 conflict, 7 unavailable, 8 too late, 70 a fault of the program.`

// Man is `essaim man`.
func Man(version string) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the man pages into a folder",
		Long: `Writes a page for each command: DIR/essaim.1, DIR/essaim-imagine.1 and so on. With DIR
in MANPATH as share/man/man1, ` + "`man essaim-imagine`" + ` shows them.`,
		Example: `  essaim man /usr/local/share/man/man1`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "name a folder that you can write to", "%w", err)
			}
			var failed error
			Walk(cmd.Root(), func(c *cobra.Command) {
				if failed == nil && (c.IsAvailableCommand() || c == cmd.Root()) {
					failed = os.WriteFile(filepath.Join(args[0], pageName(c)+".1"), []byte(Page(c, version)), 0o644)
				}
			})
			return failed
		},
	}
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// Page is a command's man page. It has no date, so that the same program writes the same bytes.
func Page(cmd *cobra.Command, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 \"\" %q \"Essaim\"\n.nh\n.ad l\n", strings.ToUpper(pageName(cmd)), "essaim "+version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", pageName(cmd), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n%s\n", roff(cmd.UseLine()))
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	b.WriteString(".SH DESCRIPTION\n")
	verbatim(&b, long)
	if cmd.HasAvailableLocalFlags() {
		b.WriteString(".SH OPTIONS\n")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { option(&b, f) })
	}
	if cmd.HasExample() {
		b.WriteString(".SH EXAMPLES\n")
		verbatim(&b, cmd.Example)
	}
	b.WriteString(".SH EXIT STATUS\n" + exits + "\n")
	if also := related(cmd); len(also) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(also, ",\n"))
	}
	return b.String()
}

func option(b *strings.Builder, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	b.WriteString(".TP\n\\fB")
	if f.Shorthand != "" {
		fmt.Fprintf(b, "\\-%s\\fR, \\fB", f.Shorthand)
	}
	fmt.Fprintf(b, "\\-\\-%s\\fR", roff(f.Name))
	kind, help := pflag.UnquoteUsage(f)
	if kind != "" {
		fmt.Fprintf(b, " \\fI%s\\fR", roff(kind))
	}
	if !strings.Contains(help, "(default") && f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" {
		help += " (default " + f.DefValue + ")"
	}
	fmt.Fprintf(b, "\n%s\n", roff(help))
}

// verbatim keeps lines as they were written: they are made for 80 columns.
func verbatim(b *strings.Builder, text string) {
	b.WriteString(".nf\n")
	for line := range strings.Lines(text) {
		b.WriteString(roff(strings.TrimSuffix(line, "\n")) + "\n")
	}
	b.WriteString(".fi\n")
}

// related are the pages of a command's parent and of what is below it.
func related(cmd *cobra.Command) []string {
	var out []string
	add := func(c *cobra.Command) { out = append(out, fmt.Sprintf(".BR %s (1)", pageName(c))) }
	if cmd.HasParent() {
		add(cmd.Parent())
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			add(sub)
		}
	}
	for i := range out[:max(0, len(out)-1)] {
		out[i] += " "
	}
	return out
}

// roff escapes what the formatter would read as its own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
