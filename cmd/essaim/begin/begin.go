// Package begin is `essaim init`: three questions, then a person has settings and a key.
//
// It asks only what nobody has said with a flag, and only at a terminal. It must not overwrite
// anything, and starts nothing.
package begin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/settings"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/wallet"
)

// Shell is what the command needs of the program around it.
type Shell struct {
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	JSON     func() bool
	Terminal func() bool // whether somebody can be asked
	Home     func() string
	Gateway  func() string
	User     func() string
	Default  string // the account of whom nobody has named one: a network's own makes its key

	Store func() *wallet.Store
	Given func() (pass string, given bool, err error)
	Ask   func(what string) (string, error) // without showing what is typed
	Words func(words string)                // shows a new key's
	Try   func(ctx context.Context, gateway string) bool
}

// Command is `essaim init`.
func Command(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Set up: which network, which account, which passphrase",
		Long: `Asks three questions, and writes the answers into config.toml in the home: the gateway
of a network, or none for one of your own on this machine; the name of your account,
whose key is made; and the key's passphrase. What a flag says is not asked, and without
a terminal nothing is. Nothing that is there is overwritten.`,
		Example: `  essaim init
  essaim init --gateway http://coordinator.example:8420 --account alice \
    --passphrase-file pass`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			said := func(flag string) bool { f := cmd.Flags().Lookup(flag); return f != nil && f.Changed }
			return s.run(cmd.Context(), said)
		},
	}
}

// answers is what the file will say.
type answers struct {
	Gateway string `toml:"gateway,omitempty"`
	Account string `toml:"account"`
}

func (s *Shell) run(ctx context.Context, said func(flag string) bool) error {
	path := filepath.Join(s.Home(), settings.FileName)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return essaim.Errorf(essaim.CodeConflict, "edit it, or choose another --home", "%s is there, and nothing is overwritten", path)
	}
	a := answers{s.Gateway(), s.User()}
	ask := s.Terminal() && !s.JSON()
	in := bufio.NewReader(s.Stdin)
	if ask && !said("gateway") {
		a.Gateway = s.question(in, "Gateway of a network (empty: one of your own, on this machine)", "")
	}
	if a.Gateway != "" && !s.Try(ctx, a.Gateway) {
		return essaim.Errorf(essaim.CodeUnavailable, "is the address right? leave it empty for a network of your own", "no gateway answers at %s", a.Gateway)
	}
	if ask && !said("account") {
		a.Account = s.question(in, "Name of your account", a.Account)
	}
	made, err := s.key(a, ask)
	if err != nil {
		return err
	}
	if err := write(path, a); err != nil {
		return err
	}
	return s.tell(path, a, made)
}

func (s *Shell) question(in *bufio.Reader, what, or string) string {
	if or != "" {
		what += " [" + or + "]"
	}
	fmt.Fprintf(s.Stderr, "%s: ", what)
	line, _ := in.ReadString('\n') // what is cut off is an answer, too
	if line = strings.TrimSpace(line); line == "" {
		return or
	}
	return line
}

// key makes the account's key, unless it is there, or is one that a network of one's own makes.
func (s *Shell) key(a answers, ask bool) (made *wallet.Account, err error) {
	if _, err := s.Store().Look(a.Account); err == nil || essaim.CodeOf(err) != essaim.CodeNotFound {
		return nil, err
	}
	if a.Gateway == "" && a.Account == s.Default {
		return nil, nil
	}
	pass, given, err := s.Given()
	if err == nil && !given && ask {
		pass, err = s.twice()
	}
	if err != nil {
		return nil, err
	}
	made, words, err := s.Store().Create(a.Account, pass)
	if err == nil {
		s.Words(words)
	}
	return made, err
}

func (s *Shell) twice() (string, error) {
	pass, err := s.Ask("Passphrase of its key (empty: none)")
	if err != nil || pass == "" {
		return pass, err
	}
	again, err := s.Ask("Once more")
	if err == nil && again != pass {
		err = essaim.Errorf(essaim.CodeBadInput, "begin again", "the two are not the same: nothing was made")
	}
	return pass, err
}

func write(path string, a answers) error {
	b, err := toml.Marshal(a)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "choose another --home", "make the home: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "# What is set for good: `essaim config show --all` lists what can be.\n%s", b)
	return errors.Join(err, f.Close())
}

func (s *Shell) tell(path string, a answers, made *wallet.Account) error {
	if s.JSON() {
		out := map[string]any{"file": path, "gateway": a.Gateway, "account": a.Account, "created": made != nil}
		if made != nil {
			out["address"] = made.Address()
		}
		return term.JSON(s.Stdout, out)
	}
	fmt.Fprintf(s.Stdout, "settings  %s\n", path)
	if made != nil {
		fmt.Fprintf(s.Stdout, "account   %s, %s\n", a.Account, made.Address())
	} else {
		fmt.Fprintf(s.Stdout, "account   %s\n", a.Account)
	}
	next := "essaim up"
	if a.Gateway != "" {
		next = "essaim doctor"
	}
	_, err := fmt.Fprintf(s.Stdout, "next      %s, then: essaim imagine \"a red apple\"\n", next)
	return err
}
