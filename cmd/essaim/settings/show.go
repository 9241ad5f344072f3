package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/essaim/essaim/cmd/essaim/term"
)

// Shell is what the commands need of the program around them.
type Shell struct {
	Stdout *os.File
	Getenv func(string) string
	JSON   func() bool
	Home   func() string

	// Applied is what Apply has said about this command; only what all commands share counts.
	Applied func() []Setting
}

// Command is `essaim config`.
func Command(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show what is set, and where",
		Long: `Every flag of every command can be set for good. What is nearest wins:

  1. the flag             essaim imagine --count 3
  2. a variable           ESSAIM_IMAGINE_COUNT=3, ESSAIM_GATEWAY=http://…
  3. config.toml in the   gateway = "http://…"
     home                 [imagine]
                          count = 3
  4. the default          which --help shows

A key that no command knows is an error, so that a slip is not overlooked. The file
holds no secrets. What a node does is in the node's node.toml, not here.`,
		Example: `  essaim config show
  essaim config show --all`,
	}
	cmd.AddCommand(newShow(s))
	return cmd
}

func newShow(s *Shell) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "show", Short: "List the settings that are not the default, and where from", Args: cobra.NoArgs,
		Example: `  essaim config show
  essaim config show --all --json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.show(cmd, all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "list all settings of all commands")
	return cmd
}

func (s *Shell) show(cmd *cobra.Command, all bool) error {
	path := filepath.Join(s.Home(), FileName)
	file, err := read(cmd.Root(), path)
	if err != nil {
		return err
	}
	list := []Setting{}
	for _, x := range s.Applied() {
		if shared := !strings.Contains(x.Name, "."); shared && (all || x.Origin != FromDefault) {
			list = append(list, x)
		}
	}
	walk(cmd.Root(), func(at *cobra.Command) {
		each(at, func(owner *cobra.Command, f *pflag.Flag) {
			if owner != at || at == cmd || at == cmd.Root() {
				return // the command's own say how it shows, and those of all commands are in the list
			}
			if x, _ := find(owner, f, s.Getenv, file); all || x.Origin != FromDefault {
				list = append(list, x)
			}
		})
	})
	if s.JSON() {
		return term.JSON(s.Stdout, map[string]any{"file": path, "settings": list})
	}
	fmt.Fprintf(s.Stdout, "%s\n", path)
	slices.SortStableFunc(list, func(a, b Setting) int { return strings.Count(a.Name, ".") - strings.Count(b.Name, ".") })
	rows := [][]string{{"SETTING", "FROM", "VALUE"}}
	for _, x := range list {
		rows = append(rows, []string{x.Name, string(x.Origin), x.Value})
	}
	if len(list) > 0 {
		term.Table(s.Stdout, "<<<", rows...)
	}
	return nil
}
