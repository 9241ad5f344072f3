// Package keys is `essaim keys`, and how every command that signs gets at an account's key: which
// file it is in, and where its passphrase comes from. That is, the first of
//
//  1. the file that --passphrase-file names,
//  2. the variable ESSAIM_PASSPHRASE,
//  3. the keyring of the desktop session, if the key's passphrase was put there,
//  4. the person at the terminal.
//
// Never an argument, which other users of the machine can see. The package must not log a
// passphrase or a key, and shows a key only to who exports it.
package keys

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	xterm "golang.org/x/term"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/wallet"
)

// Shell is what the commands need of the program around them.
type Shell struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	JSON   func() bool
	Home   func() string
	File   func() string // --passphrase-file; "": none
	User   func() string // the key that is meant unless another is named
}

// Store is the home's folder of account keys.
func (s *Shell) Store() *wallet.Store { return wallet.Open(filepath.Join(s.Home(), "keys")) }

// Account loads the key called name; "" is the user's.
//
// Errors: those of wallet.Store.Load; CodeBadInput if the passphrase's file cannot be read.
func (s *Shell) Account(name string) (*wallet.Account, error) {
	name = cmp.Or(name, s.User())
	pass, given, err := s.Given()
	if err != nil {
		return nil, err
	}
	if given {
		return s.Store().Load(name, pass)
	}
	k, err := s.Store().Look(name)
	if err != nil || !k.Protected {
		return s.Store().Load(name, "")
	}
	if pass, ok := remembered(k.Address); ok {
		return s.Store().Load(name, pass)
	}
	if pass, err = s.Ask("passphrase of key " + name); err != nil {
		return nil, err
	}
	return s.Store().Load(name, pass)
}

// Given is the passphrase that a file or the environment has.
//
// Errors: CodeBadInput if the file cannot be read.
func (s *Shell) Given() (pass string, given bool, err error) {
	if s.File() == "" {
		pass = s.Getenv("ESSAIM_PASSPHRASE")
		return pass, pass != "", nil
	}
	b, err := os.ReadFile(s.File())
	if err != nil {
		return "", false, essaim.Errorf(essaim.CodeBadInput, "name a file that you can read", "read the passphrase: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), true, nil
}

// Ask asks the person at the terminal, who sees nothing of what they type. Without a terminal
// it is the empty passphrase.
func (s *Shell) Ask(what string) (string, error) {
	in, ok := s.Stdin.(*os.File)
	if !ok || !xterm.IsTerminal(int(in.Fd())) {
		return "", nil
	}
	fmt.Fprintf(s.Stderr, "%s: ", what)
	b, err := xterm.ReadPassword(int(in.Fd()))
	fmt.Fprintln(s.Stderr)
	return string(b), err
}

// Command is `essaim keys`.
func Command(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Create, import, list and export account keys",
		Long: `Account keys hold money. They are Ethereum keys: the same mnemonic gives the same
address in MetaMask, and the files are Web3 Secret Storage, version 3, as geth has
them. A passphrase is taken from the first of: the file of --passphrase-file,
ESSAIM_PASSPHRASE, the desktop's keyring (see remember), the terminal. Without one,
the file protects against nothing but a glance.`,
	}
	cmd.AddCommand(newCreate(s), newImport(s), newList(s), newExport(s), newRemember(s), newForget(s))
	return cmd
}

func newCreate(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "create NAME",
		Short: "Make a new key and show its 12 words, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pass, _, err := s.Given()
			if err != nil {
				return err
			}
			a, words, err := s.Store().Create(args[0], pass)
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"name": args[0], "address": a.Address(), "hex": a.Address().Hex(), "mnemonic": words})
			}
			fmt.Fprintf(s.Stdout, "%s\n%s\n", a.Address(), a.Address().Hex())
			s.Words(words)
			if pass == "" {
				fmt.Fprintln(s.Stderr, "\nno passphrase was given: anyone who can read the file can use the key")
			}
			return nil
		},
	}
}

// wordsInLine is how many words of a mnemonic fit a terminal, however long they are.
const wordsInLine = 6

// Words shows a new key's words.
func (s *Shell) Words(words string) {
	fmt.Fprintf(s.Stderr, "\nwrite these words down; whoever has them has the money, and they are not\nshown again:\n")
	for line := range slices.Chunk(strings.Fields(words), wordsInLine) {
		fmt.Fprintf(s.Stderr, "\n  %s", strings.Join(line, " "))
	}
	fmt.Fprintln(s.Stderr)
}

func newImport(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "import NAME < SECRET",
		Short: "Import a mnemonic or a private key from standard input",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := io.ReadAll(io.LimitReader(s.Stdin, 4096))
			if err != nil {
				return err
			}
			a, err := wallet.ParseSecret(string(b))
			if err != nil {
				return err
			}
			pass, _, err := s.Given()
			if err != nil {
				return err
			}
			if err := s.Store().Save(args[0], pass, a); err != nil {
				return err
			}
			return s.tell(args[0], a.Address())
		},
	}
}

// tell says which account a key is of.
func (s *Shell) tell(name string, a essaim.Address) error {
	if s.JSON() {
		return term.JSON(s.Stdout, map[string]any{"name": name, "address": a, "hex": a.Hex()})
	}
	_, err := fmt.Fprintf(s.Stdout, "%s\n%s\n", a, a.Hex())
	return err
}

func newList(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys there are",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := s.Store().List()
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"keys": append([]wallet.Named{}, l...)})
			}
			for _, k := range l {
				fmt.Fprintf(s.Stdout, "%-14s %s  %s\n", k.Name, k.Address, k.Address.Hex())
			}
			return nil
		},
	}
}

func newExport(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "export NAME",
		Short: "Print a private key in hex",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := s.Account(args[0])
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"name": args[0], "address": a.Address(), "private_key": "0x" + hex.EncodeToString(a.PrivateKey())})
			}
			_, err = fmt.Fprintf(s.Stdout, "0x%x\n", a.PrivateKey())
			return err
		},
	}
}

func newRemember(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "remember NAME",
		Short: "Keep a key's passphrase in the desktop's keyring",
		Long: `The passphrase is taken from --passphrase-file, ESSAIM_PASSPHRASE or the terminal. It is
kept if it opens the key, so that later commands do not ask for it. Whoever is logged in
as you can then use the key. The keyring is the Secret Service (GNOME Keyring, KWallet),
the macOS keychain or the Windows credential manager; a server has none.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pass, given, err := s.Given()
			if err != nil {
				return err
			}
			if !given {
				if pass, err = s.Ask("passphrase of key " + args[0]); err != nil {
					return err
				}
			}
			if pass == "" {
				return essaim.Errorf(essaim.CodeBadInput, "set ESSAIM_PASSPHRASE or give --passphrase-file", "no passphrase was given")
			}
			a, err := s.Store().Load(args[0], pass)
			if err != nil {
				return err
			}
			if err := remember(a.Address(), pass); err != nil {
				return err
			}
			return s.tell(args[0], a.Address())
		},
	}
}

func newForget(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "forget NAME",
		Short: "Take a key's passphrase out of the desktop's keyring",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := s.Store().Look(args[0])
			if err != nil {
				return err
			}
			if err := forget(k.Address); err != nil {
				return err
			}
			return s.tell(args[0], k.Address)
		},
	}
}
