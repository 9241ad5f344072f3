package main

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/wallet"
)

// keys opens the home's folder of account keys.
func (c *cli) keys() *wallet.Store { return wallet.Open(filepath.Join(c.home, "keys")) }

// account loads the key that --from names, or the one that --account does.
func (c *cli) account(name string) (*wallet.Account, error) {
	name = cmp.Or(name, c.user)
	pass, err := c.passphrase()
	if err != nil {
		return nil, err
	}
	return c.keys().Load(name, pass)
}

// passphrase comes from a file or from the environment, never from an argument that
// other users of the machine can see.
func (c *cli) passphrase() (string, error) {
	if c.passphraseFile == "" {
		return c.getenv("ESSAIM_PASSPHRASE"), nil
	}
	b, err := os.ReadFile(c.passphraseFile)
	if err != nil {
		return "", essaim.Errorf(essaim.CodeBadInput, "", "read the passphrase: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func newKeysCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Create, import, list and export account keys",
		Long: `Account keys hold money. They are Ethereum keys: the same mnemonic gives the same
address in MetaMask, and the files are Web3 Secret Storage, version 3, as geth has
them. The passphrase is read from --passphrase-file or ESSAIM_PASSPHRASE; without
one, the file protects against nothing but a glance.`,
	}
	cmd.AddCommand(newKeysCreate(c), newKeysImport(c), newKeysList(c), newKeysExport(c))
	return cmd
}

func newKeysCreate(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "create NAME",
		Short: "Make a new key and show its 12 words, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pass, err := c.passphrase()
			if err != nil {
				return err
			}
			a, words, err := c.keys().Create(args[0], pass)
			if err != nil {
				return err
			}
			if c.json {
				return term.JSON(c.stdout, map[string]any{"name": args[0], "address": a.Address(), "hex": a.Address().Hex(), "mnemonic": words})
			}
			fmt.Fprintf(c.stdout, "%s\n%s\n", a.Address(), a.Address().Hex())
			fmt.Fprintf(c.stderr, "\nwrite these words down; whoever has them has the money, and they are not shown again:\n\n  %s\n", words)
			if pass == "" {
				fmt.Fprintln(c.stderr, "\nno passphrase was given: anyone who can read the file can use the key")
			}
			return nil
		},
	}
}

func newKeysImport(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "import NAME < SECRET",
		Short: "Import a mnemonic or a private key from standard input",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := io.ReadAll(io.LimitReader(c.stdin, 4096))
			if err != nil {
				return err
			}
			a, err := wallet.ParseSecret(string(b))
			if err != nil {
				return err
			}
			pass, err := c.passphrase()
			if err != nil {
				return err
			}
			if err := c.keys().Save(args[0], pass, a); err != nil {
				return err
			}
			if c.json {
				return term.JSON(c.stdout, map[string]any{"name": args[0], "address": a.Address(), "hex": a.Address().Hex()})
			}
			_, err = fmt.Fprintf(c.stdout, "%s\n%s\n", a.Address(), a.Address().Hex())
			return err
		},
	}
}

func newKeysList(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys there are",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.keys().List()
			if err != nil {
				return err
			}
			if c.json {
				return term.JSON(c.stdout, map[string]any{"keys": append([]wallet.Named{}, l...)})
			}
			for _, k := range l {
				fmt.Fprintf(c.stdout, "%-14s %s  %s\n", k.Name, k.Address, k.Address.Hex())
			}
			return nil
		},
	}
}

func newKeysExport(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "export NAME",
		Short: "Print a private key in hex",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := c.account(args[0])
			if err != nil {
				return err
			}
			if c.json {
				return term.JSON(c.stdout, map[string]any{"name": args[0], "address": a.Address(), "private_key": "0x" + hex.EncodeToString(a.PrivateKey())})
			}
			_, err = fmt.Fprintf(c.stdout, "0x%x\n", a.PrivateKey())
			return err
		},
	}
}
