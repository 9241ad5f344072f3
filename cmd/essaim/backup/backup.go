// Package backup is `essaim backup` and `essaim restore`: all of a home that cannot be fetched
// again, in one file under a passphrase. The file is age's format around a tar, so that
// `age -d FILE | tar t` reads it without this program.
//
// A backup is of a home in which nothing runs: the files of a ledger, of a coordinator's log and
// of the books of its keys belong together, and no copy of them one after the other would be of
// one moment. The package must not write into a home that has anything in it.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/internal/durable"
)

// work is the cost of trying a passphrase, as a power of two: about a second of one core.
const work = 18

// Shell is what the commands need of the program around them.
type Shell struct {
	Stdout io.Writer
	Stderr io.Writer
	JSON   func() bool
	Home   func() string

	// Given is the passphrase of a file or of the environment; Ask asks at the terminal, and is
	// empty without one.
	Given func() (pass string, given bool, err error)
	Ask   func(what string) (string, error)

	// Runs says whether a network runs in the home.
	Runs func(ctx context.Context) bool
}

// Commands are backup and restore.
func Commands(s *Shell) []*cobra.Command { return []*cobra.Command{newBackup(s), newRestore(s)} }

func newBackup(s *Shell) *cobra.Command {
	var ledger bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Put all of a home that cannot be fetched again into one encrypted file",
		Long: `Keys, settings, receipts, the coordinator's log, the books of API keys and of a bot, and
the pictures that are kept go into FILE. The ledger's blocks do not: other nodes have
them. On a network of one node nobody else has: add --ledger.

Nothing may run in the home. The passphrase is taken from --passphrase-file,
ESSAIM_PASSPHRASE or the terminal; without it nobody reads the file, its owner neither.
What lies outside of the home, such as a bot's secret, is not in it.`,
		Example: `  essaim backup essaim.age
  essaim backup essaim.age --ledger --passphrase-file pass`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.backup(cmd.Context(), args[0], ledger) },
	}
	cmd.Flags().BoolVar(&ledger, "ledger", false, "with the ledger's blocks and state, too")
	return cmd
}

func newRestore(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a home out of a backup; one that is there is never overwritten",
		Long: `Makes the folder --home, which must not be there, or be empty. A wrong passphrase, a
changed file or one that was cut off changes nothing.

Never let two copies of a home run: a validator that signs in two places loses its stake.`,
		Example: `  essaim restore essaim.age
  essaim --home /srv/essaim restore essaim.age --passphrase-file pass`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.restore(cmd.Context(), args[0]) },
	}
}

// passphrase finds the one that opens a backup; twice asks for it twice, so that no slip seals it.
func (s *Shell) passphrase(twice bool) (string, error) {
	pass, _, err := s.Given()
	if err != nil || pass != "" {
		return pass, err
	}
	if pass, err = s.Ask("passphrase of the backup"); err != nil {
		return "", err
	}
	if pass == "" {
		return "", essaim.Errorf(essaim.CodeBadInput, "set ESSAIM_PASSPHRASE or give --passphrase-file", "a backup has keys in it and needs a passphrase")
	}
	if !twice {
		return pass, nil
	}
	again, err := s.Ask("once more")
	if err == nil && again != pass {
		err = essaim.Errorf(essaim.CodeBadInput, "type it again", "the two are not the same")
	}
	return pass, err
}

func (s *Shell) backup(ctx context.Context, name string, ledger bool) (err error) {
	home := s.Home()
	if err := outside(home, name); err != nil {
		return err
	}
	before, err := s.quiet(ctx, home, ledger)
	if err != nil {
		return err
	}
	pass, err := s.passphrase(true)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return essaim.Errorf(essaim.CodeConflict, "name a file that is not there", "%s is there", name)
	}
	if err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "name a file in a folder that you can write to", "make the backup: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(name)
		}
	}()
	if err := errors.Join(write(ctx, out, home, before, pass, work), out.Sync(), out.Close()); err != nil {
		return err
	}
	after, err := s.quiet(ctx, home, ledger)
	if err != nil {
		return err
	}
	if !same(before, after) {
		return busy(home)
	}
	return s.tellBackup(name, before, ledger)
}

func (s *Shell) tellBackup(name string, files []file, ledger bool) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	left := false // a ledger stays behind
	for _, f := range files {
		left = left || !ledger && strings.HasSuffix(f.path, "/priv_validator_state.json")
	}
	if s.JSON() {
		return term.JSON(s.Stdout, map[string]any{"file": name, "bytes": info.Size(), "files": len(files), "home": s.Home(), "ledger": ledger})
	}
	if _, err := fmt.Fprintf(s.Stdout, "%s: %s bytes, %s files and folders\n", name, term.Grouped(uint64(info.Size())), term.Grouped(uint64(len(files)))); err != nil {
		return err
	}
	if left {
		fmt.Fprintln(s.Stderr, "the ledger's blocks are not in it: if no other node has them, use --ledger")
	}
	return nil
}

// outside refuses a backup into the home itself.
func outside(home, name string) error {
	h, err1 := filepath.Abs(home)
	n, err2 := filepath.Abs(name)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if rel, err := filepath.Rel(h, n); err == nil && filepath.IsLocal(rel) {
		return essaim.Errorf(essaim.CodeBadInput, "name a file elsewhere, on another disk at best", "%s lies in the home", name)
	}
	return nil
}

// quiet lists the files of a home in which nothing runs.
func (s *Shell) quiet(ctx context.Context, home string, ledger bool) ([]file, error) {
	if s.Runs(ctx) {
		return nil, busy(home)
	}
	files, err := list(home, ledger)
	if err != nil || len(files) == 0 {
		return nil, essaim.Errorf(essaim.CodeNotFound, "choose another with --home", "nothing to save in %s: %w", home, cmpErr(err))
	}
	for _, f := range files {
		if f.info.IsDir() || !strings.HasSuffix(f.path, ".db") {
			continue
		}
		used, err := durable.InUse(filepath.Join(home, filepath.FromSlash(f.path)))
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "`essaim doctor` says more", "%s: %w", f.path, err)
		}
		if used {
			return nil, busy(f.path)
		}
	}
	return list(home, ledger) // looking may have folded logs into their files
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("it is empty")
	}
	return err
}

func busy(what string) error {
	return essaim.Errorf(essaim.CodeConflict, "stop what runs in the home, then try again", "%s is in use: a copy would not be of one moment", what)
}

func (s *Shell) restore(ctx context.Context, name string) (err error) {
	in, err := os.Open(name)
	if err != nil {
		return essaim.Errorf(essaim.CodeNotFound, "name a file that `essaim backup` made", "read the backup: %w", err)
	}
	defer in.Close()
	home, err := filepath.Abs(s.Home())
	if err != nil {
		return err
	}
	if err := free(home); err != nil {
		return err
	}
	pass, err := s.passphrase(false)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(home), 0o700); err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "choose another --home", "make the home: %w", err)
	}
	aside, err := os.MkdirTemp(filepath.Dir(home), filepath.Base(home)+".restoring-")
	if err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "choose another --home", "make the home: %w", err)
	}
	defer os.RemoveAll(aside)
	files, err := read(ctx, in, aside, pass)
	if err != nil {
		return err
	}
	if err := free(home); err != nil {
		return err
	}
	if err := os.Remove(home); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(aside, home); err != nil {
		return err
	}
	if s.JSON() {
		return term.JSON(s.Stdout, map[string]any{"home": home, "files": files})
	}
	_, err = fmt.Fprintf(s.Stdout, "%s: %s files and folders\n", home, term.Grouped(uint64(files)))
	return err
}

// free reports whether a home can be made at a place.
func free(home string) error {
	entries, err := os.ReadDir(home)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return essaim.Errorf(essaim.CodeBadInput, "choose another --home", "look at the home: %w", err)
	case len(entries) > 0:
		return essaim.Errorf(essaim.CodeConflict, "move it away, or choose another --home", "%s is not empty, and nothing is overwritten", home)
	}
	return nil
}
