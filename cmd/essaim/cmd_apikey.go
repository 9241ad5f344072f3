package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/gateway"
	"github.com/essaim/essaim/node"
)

// openKeys opens the coordinator's API keys. It is an operator's file: these commands
// need the folder, not the network.
func (c *cli) openKeys() (*gateway.KeyStore, error) {
	if _, err := devnet.ReadInfo(c.home); err != nil {
		return nil, err
	}
	return gateway.OpenKeys(filepath.Join(c.home, "coordinator", node.KeysFile))
}

func newAPIKeyCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apikey",
		Short: "Create, list and revoke keys for OpenAI-style clients",
		Long: `API keys are the coordinator's: it pays for what they draw from a session of its own,
and sees their prompts, since such clients cannot seal. The secret is shown once; the
file holds its hash.`,
	}
	cmd.AddCommand(newAPIKeyCreate(c), &cobra.Command{
		Use: "list", Short: "List the keys and what they have spent", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := c.openKeys()
			if err != nil {
				return err
			}
			defer store.Close()
			list, err := store.List(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return writeJSON(c.stdout, map[string]any{"keys": append([]gateway.Key{}, list...)})
			}
			for _, k := range list {
				state := ""
				if k.Revoked {
					state = "  revoked"
				}
				fmt.Fprintf(c.stdout, "%-10s %-16s spent %s of %s%s\n", k.ID, k.Name, k.Spent, k.Limit, state)
			}
			return nil
		},
	}, &cobra.Command{
		Use: "revoke ID", Short: "Make a key useless", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := c.openKeys()
			if err != nil {
				return err
			}
			defer store.Close()
			return store.Revoke(cmd.Context(), args[0])
		},
	})
	return cmd
}

func newAPIKeyCreate(c *cli) *cobra.Command {
	var limit string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a key and print its secret, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := essaim.ParseAmount(limit)
			if err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "write AIM like 0.5", "--limit: %w", err)
			}
			store, err := c.openKeys()
			if err != nil {
				return err
			}
			defer store.Close()
			secret, key, err := store.Create(cmd.Context(), args[0], amount)
			if err != nil {
				return err
			}
			if c.json {
				return writeJSON(c.stdout, map[string]any{"secret": secret, "key": key})
			}
			_, err = fmt.Fprintln(c.stdout, secret)
			return err
		},
	}
	cmd.Flags().StringVar(&limit, "limit", "1", "AIM that it may spend in all")
	return cmd
}
