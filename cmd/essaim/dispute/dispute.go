// Package dispute is the commands of people who dispute a miner's work: open, play, show and list. Whoever knows the
// prompt runs the request again; where the result is another one, the game on the ledger is played to its end
// (docs/protocol/dispute.md). The package must not decide what the ledger decides.
package dispute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/signing"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/engine"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/verify/trial"
)

// Shell is what the commands need of the program around them.
type Shell struct {
	Stdout io.Writer
	JSON   func() bool
	No     func(error) error // the answer is no: the program ends with 1
	Shown  func(error) error // tells no more: stdout has told it
	signing.Desk

	// Start runs a network until stop.
	Start func(ctx context.Context, cfg devnet.Config) (n *devnet.Network, stop func() error, err error)
}

// Command is `essaim dispute`.
func Command(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dispute",
		Short: "Have the ledger judge a result that is not what the model gives",
		Long: `A miner that signed a result which its model does not give is convicted on the ledger:
who knows the prompt runs the request again, and leads the judge to the first number that
came out otherwise. Nobody's word counts. It takes a bond, which comes back unless the
miner was right, an engine that computes in integers, and a session that is settled and
can still be contested.`,
	}
	cmd.AddCommand(newOpen(s), newPlay(s), newShow(s), newList(s))
	return cmd
}

// A side is who disputes a receipt.
type side struct {
	*Shell
	by      signing.Sender
	file    essaim.ReceiptFile
	receipt essaim.Receipt
	run     *trial.Run
	say     func(format string, args ...any)
}

// prepare reads a receipt and runs its request again.
func (s *Shell) prepare(ctx context.Context, name, prompt, from string) (*side, error) {
	if prompt == "" {
		return nil, essaim.Errorf(essaim.CodeBadInput, "add --prompt TEXT: it stays on this machine", "without the prompt the request cannot be run again")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeNotFound, "name a file that `essaim imagine` has written", "read the receipt: %w", err)
	}
	x := &side{Shell: s, say: s.say}
	if x.receipt, _, _, err = essaim.ReadReceiptFile(b); err != nil {
		return nil, err
	}
	if x.file, err = essaim.DecodeReceiptFile(b); err != nil {
		return nil, err
	}
	if x.by, err = s.Open(ctx, from); err != nil {
		return nil, err
	}
	e, err := find(ctx, x.receipt.Model)
	if err != nil {
		return nil, err
	}
	x.run, err = trial.Again(ctx, e, x.receipt, prompt, essaim.Digest{})
	switch {
	case errors.Is(err, trial.ErrEngine), errors.Is(err, engine.ErrBadRequest):
		return nil, essaim.Errorf(essaim.CodeBadInput, "is that the prompt, and the model an exact one?", "%w", err)
	case err != nil:
		return nil, err
	case !x.run.Differs(x.receipt):
		return nil, s.No(essaim.Errorf(essaim.CodeRefused, "", "the model gives the same result for this prompt: there is nothing to dispute"))
	}
	return x, nil
}

func find(ctx context.Context, model essaim.Digest) (engine.Engine, error) {
	list, err := engines.Engines()
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		models, err := e.Models(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range models {
			if m.Digest == model {
				return e, nil
			}
		}
	}
	return nil, essaim.Errorf(essaim.CodeNotFound, "only the built-in models can be run again here", "model %s is not here", model.Short())
}

func newOpen(s *Shell) *cobra.Command {
	var prompt, from string
	cmd := &cobra.Command{
		Use:   "open RECEIPT",
		Short: "Dispute a result and play to the end",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := s.prepare(cmd.Context(), args[0], prompt, from)
			if err != nil {
				return err
			}
			id, _, err := x.by.OpenDispute(cmd.Context(), x.by.By, x.file)
			if err != nil {
				return err
			}
			x.say("dispute %d: the model gives another result than receipt %s says", id, x.receipt.Digest().Short())
			return x.finish(cmd.Context(), id)
		},
	}
	flags(cmd, s, &prompt, &from)
	return cmd
}

func newPlay(s *Shell) *cobra.Command {
	var prompt, from string
	cmd := &cobra.Command{
		Use:   "play ID RECEIPT",
		Short: "Go on with a dispute that was opened before",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := number(args[0])
			if err != nil {
				return err
			}
			x, err := s.prepare(cmd.Context(), args[1], prompt, from)
			if err != nil {
				return err
			}
			return x.finish(cmd.Context(), id)
		},
	}
	flags(cmd, s, &prompt, &from)
	return cmd
}

func flags(cmd *cobra.Command, s *Shell, prompt, from *string) {
	cmd.Flags().StringVar(prompt, "prompt", "", "what was asked for; it stays here")
	s.From(cmd, from, "account key that puts up the bond and plays")
}

func number(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, essaim.Errorf(essaim.CodeBadInput, "`essaim dispute list` shows them", "%q is no dispute's number", text)
	}
	return id, nil
}

// play plays until the dispute is over.
func (x *side) play(ctx context.Context, id uint64) (essaim.Dispute, error) {
	return x.run.Play(ctx, node.Court(x.by.Client, x.by.By), id, func(number uint64, size int) {
		x.say("move %d: %d bytes", number, size)
	})
}

func (s *Shell) say(format string, args ...any) {
	if !s.JSON() {
		fmt.Fprintf(s.Stdout, format+"\n", args...)
	}
}

// finish plays to the end and says how it was.
func (x *side) finish(ctx context.Context, id uint64) error {
	d, err := x.play(ctx, id)
	if err != nil {
		return err
	}
	if err := x.Shell.print(d); err != nil {
		return err
	}
	if d.Verdict == "miner wrong" {
		return nil
	}
	err = x.No(essaim.Errorf(essaim.CodeRefused, "", "the dispute ended: %s", d.Verdict))
	if x.JSON() {
		return x.Shown(err)
	}
	return err
}

func (s *Shell) print(d essaim.Dispute) error {
	if s.JSON() {
		d.Game = nil
		return term.JSON(s.Stdout, d)
	}
	rows := [][2]string{
		{"dispute", strconv.FormatUint(d.ID, 10)}, {"receipt", d.Receipt.String()}, {"miner", d.Miner.String()}, {"challenger", d.Challenger.String()},
		{"bond", d.Bond.String()}, {"moves", strconv.FormatUint(d.Turn, 10)},
	}
	if d.Deadline != 0 {
		rows = append(rows, [2]string{"deadline", fmt.Sprintf("height %d", d.Deadline)})
	} else {
		how := d.Verdict
		if d.Silent {
			how += ", by silence"
		}
		rows = append(rows, [2]string{"verdict", how})
	}
	if d.Slash != 0 {
		rows = append(rows, [2]string{"slash", strconv.FormatUint(d.Slash, 10)}, [2]string{"to the payer", "at most " + d.Restitution.String()})
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(s.Stdout, "%-12s %s\n", r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

func newShow(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a dispute", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := number(args[0])
			if err != nil {
				return err
			}
			chain, err := s.Dial(cmd.Context())
			if err != nil {
				return err
			}
			d, err := chain.Dispute(cmd.Context(), id)
			if err != nil {
				return err
			}
			return s.print(d)
		},
	}
}

func newList(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the newest disputes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			chain, err := s.Dial(cmd.Context())
			if err != nil {
				return err
			}
			list, err := chain.Disputes(cmd.Context(), func(essaim.Dispute) bool { return true })
			if err != nil {
				return err
			}
			if s.JSON() {
				for i := range list {
					list[i].Game = nil
				}
				return term.JSON(s.Stdout, map[string]any{"disputes": append([]essaim.Dispute{}, list...)})
			}
			for _, d := range list {
				state := d.Verdict
				if d.Deadline != 0 {
					state = fmt.Sprintf("played, %d moves", d.Turn)
				}
				fmt.Fprintf(s.Stdout, "%-6d receipt %s  miner %s  %s\n", d.ID, d.Receipt.Short(), d.Miner.Short(), state)
			}
			return nil
		},
	}
}
