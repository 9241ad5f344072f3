package proving

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
)

func newConvict(s *Shell) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "convict FILE",
		Short: "Show a proof that does not hold to the ledger, which takes the miner's stake",
		Long: `FILE was written when a picture was refused because its proof does not hold. The ledger
checks the proof by itself. If it does not hold, the miner is slashed and the payer gets the
price back; if it does, the bond is lost. What was asked for becomes public.

The session must be settled, and still be open to challenges.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := read(args[0])
			if err != nil {
				return err
			}
			e, err := client.ReadEvidence(b)
			if err != nil {
				return err
			}
			by, err := s.Open(cmd.Context(), from)
			if err != nil {
				return err
			}
			d, tx, err := by.Disprove(cmd.Context(), by.By, e.Receipt, e.Task, e.Input, e.Proof)
			if err != nil {
				return err
			}
			return tell(s, d, tx)
		},
	}
	s.From(cmd, &from, "account key that puts up the bond")
	return cmd
}

func tell(s *Shell, d essaim.Dispute, tx essaim.Tx) error {
	var no error
	if d.Slash == 0 {
		no = s.No(essaim.Errorf(essaim.CodeRefused, "", "the proof holds: the bond of %s is lost", d.Bond))
	}
	if s.JSON() {
		if err := term.JSON(s.Stdout, map[string]any{"dispute": d, "tx": tx}); err != nil || no == nil {
			return err
		}
		return s.Shown(no)
	}
	if _, err := fmt.Fprintf(s.Stdout, "dispute %d: %s, at height %d, for %d gas\n", d.ID, d.Verdict, tx.Height, tx.Gas); err != nil || no != nil {
		return cmp.Or(no, err)
	}
	_, err := fmt.Fprintf(s.Stdout, "  slash %d of miner %s; up to %s go back to the payer\n", d.Slash, d.Miner.Short(), d.Restitution)
	return err
}
