package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/audit"
	chainclient "github.com/essaim/essaim/chain/client"
	"github.com/essaim/essaim/cmd/essaim/term"
)

func newAuditCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Export what the ledger did, with proofs, and check it offline",
		Long: `Every registration, vote, change of stake, slash, settlement, change of a
parameter and upgrade leaves a record. An export holds all records of a range of
blocks, one JSON object a line, with the proof that the chain committed to them.

  essaim audit header 1000 > header.json                from a node you trust
  essaim audit export --header 1000 > trail.jsonl       from any node
  essaim audit verify trail.jsonl --header header.json  offline

What the check proves: the chain whose header you trust made exactly these
records in these blocks, and no others. What it does not prove: that the header
is the right chain's (compare its hash), or that what a record says was just.`,
	}
	cmd.AddCommand(newAuditExport(c), newAuditVerify(c), newAuditHeader(c))
	return cmd
}

func newAuditExport(c *cli) *cobra.Command {
	var r chainclient.TrailRange
	cmd := &cobra.Command{
		Use:   "export [--from HEIGHT] [--to HEIGHT] [--header HEIGHT]",
		Short: "Write the records of a range of blocks to stdout",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.From < 0 || r.To < 0 || r.Header < 0 {
				return essaim.Errorf(essaim.CodeBadInput, "blocks are numbered from 1", "a height is negative")
			}
			chain, err := c.dialLedger(cmd.Context())
			if err != nil {
				return err
			}
			return chain.ExportTrail(cmd.Context(), c.stdout, r)
		},
	}
	f := cmd.Flags()
	f.Int64Var(&r.From, "from", 0, "first block (default: 1)")
	f.Int64Var(&r.To, "to", 0, "last block (default: the one before --header)")
	f.Int64Var(&r.Header, "header", 0, "block whose header is to prove them (default: the newest)")
	return cmd
}

func newAuditHeader(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "header [HEIGHT]",
		Short: "Print a block's signed header, to be trusted as much as the node is",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var height int64
			if len(args) > 0 {
				h, err := strconv.ParseInt(args[0], 10, 64)
				if err != nil || h < 1 {
					return essaim.Errorf(essaim.CodeBadInput, "blocks are numbered from 1", "%q is no height", args[0])
				}
				height = h
			}
			chain, err := c.dialLedger(cmd.Context())
			if err != nil {
				return err
			}
			header, err := chain.TrustedHeader(cmd.Context(), height)
			if err != nil {
				return err
			}
			_, err = c.stdout.Write(header)
			return err
		},
	}
}

func newAuditVerify(c *cli) *cobra.Command {
	var header string
	cmd := &cobra.Command{
		Use:   "verify FILE --header FILE",
		Short: "Check an export offline; exit 1 names the line that does not hold",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if header == "" {
				return essaim.Errorf(essaim.CodeBadInput, "get one from a node that you trust: essaim audit header HEIGHT", "a check needs a header to trust: give --header FILE")
			}
			report, err := verifyTrail(args[0], header)
			if err != nil {
				return err
			}
			if c.json {
				return term.JSON(c.stdout, map[string]any{"ok": true, "report": report})
			}
			return printAudit(c.stdout, report)
		},
	}
	cmd.Flags().StringVar(&header, "header", "", "the trusted header, as essaim audit header prints it")
	return cmd
}

func verifyTrail(name, header string) (audit.Report, error) {
	text, err := os.ReadFile(header)
	if err != nil {
		return audit.Report{}, essaim.Errorf(essaim.CodeNotFound, "get one from a node that you trust: essaim audit header HEIGHT", "read header: %w", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return audit.Report{}, essaim.Errorf(essaim.CodeNotFound, "name the file that `essaim audit export` wrote", "read export: %w", err)
	}
	defer f.Close()
	trusted, err := audit.ReadHeader(text)
	if essaim.CodeOf(err) == essaim.CodeBadInput {
		return audit.Report{}, err
	}
	if err != nil {
		return audit.Report{}, checkFailed(err)
	}
	report, err := audit.Verify(f, trusted)
	if err != nil {
		return audit.Report{}, checkFailed(err)
	}
	return report, nil
}

func printAudit(w io.Writer, r audit.Report) error {
	signed := "not signed"
	if r.Signed {
		signed = "signed by more than 2/3 of its validators"
	}
	lines := []string{
		fmt.Sprintf("ok  header %d of %s, %s", r.Header, r.ChainID, signed),
		"    " + r.Hash,
		fmt.Sprintf("ok  all records of blocks %d to %d: %d in %d blocks", r.From, r.To, r.Records, r.Blocks),
	}
	for _, name := range slices.Sorted(maps.Keys(r.Types)) {
		lines = append(lines, fmt.Sprintf("%10d  %s", r.Types[name], name))
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
