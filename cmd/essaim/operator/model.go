package operator

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
)

func newModel(s *Shell) *cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "Register a model (query models shows them), fetch models, list and remove them"}
	cmd.AddCommand(newModelRegister(s), newModelPull(s), newModelList(s), newModelRemove(s))
	return cmd
}

func newModelRegister(s *Shell) *cobra.Command {
	var price, royalty, from string
	var data []string
	cmd := &cobra.Command{
		Use:   "register MANIFEST",
		Short: "Put a model's manifest on the ledger; its owner gets the royalty",
		Long: `The digest of the manifest is the model's name. Of each price the owner gets the
royalty, and whoever owns data that the model was made from gets a part, too: at most
four of them, which are fixed from then on. What royalty and data come to together is
bounded by the ledger.`,
		Example: `  essaim model register manifest.json --price 1000uaim --royalty 5 \
    --data-owner essaim1…:2.5 --data-owner archive:1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			manifest, err := os.ReadFile(args[0])
			if err != nil {
				return essaim.Errorf(essaim.CodeNotFound, "name the model's manifest", "read the manifest: %w", err)
			}
			unit, err := essaim.ParseAmount(price)
			if err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "write AIM like 0.001, or 1000uaim", "%w", err)
			}
			part, err := term.Percent(royalty)
			if err != nil {
				return err
			}
			owners, err := s.dataOwners(data)
			if err != nil {
				return err
			}
			by, err := s.Open(cmd.Context(), from)
			if err != nil {
				return err
			}
			digest, tx, err := by.RegisterModel(cmd.Context(), by.By, manifest, unit, part, owners...)
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"model": digest, "owner": by.By.Address(), "data": append([]essaim.DataShare{}, owners...), "tx": tx.Hash, "height": tx.Height})
			}
			_, err = fmt.Fprintf(s.Stdout, "model %s\nheight %d, transaction %s\n", digest, tx.Height, tx.Hash)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&price, "price", "1000uaim", "suggested price of a unit of work")
	f.StringVar(&royalty, "royalty", "5", "the owner's part of each price, in percent")
	f.StringArrayVar(&data, "data-owner", nil, "ADDRESS:PERCENT of each price for the owner of data; up to four times")
	s.From(cmd, &from, "account key that owns the model")
	return cmd
}

// dataOwners reads ADDRESS:PERCENT.
func (s *Shell) dataOwners(list []string) (out []essaim.DataShare, err error) {
	for _, text := range list {
		who, part, _ := strings.Cut(text, ":")
		var d essaim.DataShare
		if d.Owner, err = s.Address(who); err != nil {
			return nil, err
		}
		if d.Royalty, err = term.Percent(part); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}
