package operator

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
)

func newBeacon(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "beacon [HEIGHT]",
		Short: "Show the random value of a block, and whether anybody could foretell it",
		Long: `Validators prove a random value with each vote; the value of a block is made of those in
the votes for the block before. The newest is shown unless a height is given; old ones
are not kept.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var height int64
			if len(args) > 0 {
				var err error
				if height, err = strconv.ParseInt(args[0], 10, 64); err != nil || height < 1 {
					return essaim.Errorf(essaim.CodeBadInput, "heights are numbered from 1", "%q is no height", args[0])
				}
			}
			chain, err := s.Dial(cmd.Context())
			if err != nil {
				return err
			}
			b, err := chain.Beacon(cmd.Context(), height)
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, b)
			}
			lines := []string{fmt.Sprintf("height %d: %d of %d validators have contributed", b.Height, b.Contributors, b.Validators), b.Value.String()}
			_, err = fmt.Fprintln(s.Stdout, strings.Join(append(lines, term.Wrap(foretold(b), term.Width)...), "\n"))
			return err
		},
	}
}

// foretold says who could know a beacon beforehand.
func foretold(b chainclient.Beacon) string {
	switch {
	case b.Unpredictable:
		return "unpredictable: nobody with a third of the stake or less knew it alone before it was there"
	case b.Contributors == 0:
		return "NOT unpredictable: no vote proves anything, everybody knew it a block before"
	case b.Validators == 1:
		return "NOT unpredictable: there is one validator, who knows every beacon beforehand"
	}
	return "NOT unpredictable: too few have contributed; the strongest of them may have known it"
}
