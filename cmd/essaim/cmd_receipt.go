package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/checked"
	"github.com/essaim/essaim/cmd/essaim/proving"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/cmd/essaim/traced"
	"github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/rerun"
)

func newReceiptCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "receipt",
		Short: "Show a receipt, or check one offline",
		Long: `A receipt file holds the payer's signed task and the miner's signed receipt. It is
checked with no network and no ledger.

What the check proves: this miner's key signed that it made exactly this file for
exactly this task, at this price. What it does not prove: that the miner was
registered or that it was paid (ask the ledger: essaim query session), or that the
picture is what the model draws: for that, give the prompt, too, and the task is run
again on this machine (a built-in model gives the same bits everywhere).`,
	}
	cmd.AddCommand(newReceiptShow(c), newReceiptVerify(c))
	return cmd
}

func newReceiptShow(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Print what a receipt says",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, t, payer, err := readReceipt(args[0])
			if err != nil {
				return checkFailed(err)
			}
			trace, err := traced.Of(args[0], r.Task)
			if err != nil {
				return err
			}
			if c.json {
				out := map[string]any{"receipt": r, "task": t, "session_key": payer, "cid": r.CID(), "receipt_digest": r.Digest()}
				if trace != "" {
					out["trace"] = trace
				}
				return term.JSON(c.stdout, out)
			}
			if err := printReceipt(c.stdout, r, t, payer); err != nil || trace == "" {
				return err
			}
			_, err = fmt.Fprintf(c.stdout, "%-12s %s, which nobody has signed\n", "trace", trace)
			return err
		},
	}
}

func printReceipt(w io.Writer, r essaim.Receipt, t essaim.Task, payer essaim.NodeKey) error {
	rows := [][2]string{
		{"receipt", r.Digest().String()},
		{"task", r.Task.String()},
		{"session", fmt.Sprintf("%s on %s, task %d, signed by %s", r.Session, r.ChainID, r.Seq, payer.Short())},
		{"miner", r.Miner.String()},
		{"coordinator", r.Coordinator.String()},
		{"model", fmt.Sprintf("%s run by %s", r.Model.Short(), r.Engine)},
		{"seed", fmt.Sprintf("%d, %s", r.Seed, steps(int(r.Steps)))},
		{"output", fmt.Sprintf("%s, %dx%d, %d bytes", r.MediaType, r.Width, r.Height, r.Size)},
		{"cid", r.CID()},
		{"pixels", r.Pixels.String()},
		{"price", fmt.Sprintf("%s for %d unit (at most %s)", r.Price, r.Units, t.MaxPrice)},
		{"finished", fmt.Sprintf("%s by the miner's clock, took %d ms", time.UnixMilli(r.Finished).UTC().Format(time.RFC3339), r.Finished-r.Started)},
	}
	for _, row := range rows {
		if _, err := fmt.Fprintf(w, "%-12s %s\n", row[0], row[1]); err != nil {
			return err
		}
	}
	return nil
}

func newReceiptVerify(c *cli) *cobra.Command {
	var picture, prompt, gateway, proof string
	cmd := &cobra.Command{
		Use:   "verify FILE [--picture FILE] [--prompt TEXT] [--proof] [--gateway URL]",
		Short: "Check a receipt offline; exit 1 names the check that failed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, t, _, err := readReceipt(args[0])
			if err != nil {
				return checkFailed(err)
			}
			proven := cmd.Flags().Changed("proof")
			if prompt != "" && picture == "" && !proven {
				return essaim.Errorf(essaim.CodeBadInput, "add --picture FILE", "nothing to compare with what the model draws")
			}
			if prompt == "" && proven {
				return essaim.Errorf(essaim.CodeBadInput, "add --prompt TEXT", "a proof says what the model draws for a prompt, which the receipt does not hold")
			}
			said := "" // of the proof
			checks := []string{"task signature", "receipt signature", "task binding", "price"}
			if picture != "" {
				if err := verifyPicture(r, picture); err != nil {
					return checkFailed(err)
				}
				checks = append(checks, "cid", "pixels")
			}
			switch {
			case proven:
				if said, err = proving.CheckReceipt(cmd.Context(), r, args[0], prompt, strings.TrimPrefix(proof, beside), gateway); err != nil {
					return checkFailed(err)
				}
				checks = append(checks, "proof")
			case prompt != "":
				if err := rerunTask(cmd.Context(), r, t, prompt, picture); err != nil {
					return checkFailed(err)
				}
				checks = append(checks, rerun.Name)
			}
			var others *checked.Trust
			if gateway != "" {
				t, err := checked.Ask(cmd.Context(), gateway, r, c.draws(cmd.Context()))
				if err != nil {
					return err
				}
				others = &t
			}
			if c.json {
				return term.JSON(c.stdout, map[string]any{"ok": true, "checks": checks, "cid": r.CID(), "miner": r.Miner, "audit": others})
			}
			for _, name := range checks {
				fmt.Fprintf(c.stdout, "ok  %s\n", name)
			}
			if said != "" {
				fmt.Fprintf(c.stdout, "    the proof: %s\n", said)
			}
			if picture == "" {
				fmt.Fprintf(c.stdout, "    the picture was not checked: add --picture FILE\n")
			}
			fmt.Fprintf(c.stdout, "    %s\n", unchecked(prompt))
			if others != nil {
				others.Print(c.stdout)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&picture, "picture", "", "the picture that the receipt is about")
	cmd.Flags().StringVar(&gateway, "gateway", "", "URL of the coordinator's gateway: list what others have checked, who, and at which height")
	cmd.Flags().StringVar(&prompt, "prompt", "", "what was asked for: draw it again here, and compare, or check its proof")
	cmd.Flags().StringVar(&proof, "proof", "", "check the proof that the model draws this, without the weights (default: the file beside the receipt)")
	cmd.Flags().Lookup("proof").NoOptDefVal = beside
	return cmd
}

// draws is the ledger, to compute draws from again; nil: none can be asked here.
func (c *cli) draws(ctx context.Context) checked.Ledger {
	chain, err := c.dialLedger(ctx)
	if err != nil {
		return nil
	}
	return chain
}

// beside is the value of --proof without one.
const beside = "beside the receipt"

// unchecked says what remains open.
func unchecked(prompt string) string {
	if prompt == "" {
		return "that the model draws this was not checked: add --prompt TEXT"
	}
	return "that this is the prompt the task names was not checked: its salt is not kept"
}

// rerunTask draws the picture again with the built-in engines.
func rerunTask(ctx context.Context, r essaim.Receipt, t essaim.Task, prompt, picture string) error {
	b, err := os.ReadFile(picture)
	if err != nil {
		return essaim.Errorf(essaim.CodeNotFound, "", "read picture: %w", err)
	}
	engines, err := all.Engines()
	if err != nil {
		return err
	}
	f, err := rerun.Method{Runner: rerun.With(engines...)}.Compare(ctx, verify.Case{
		Task: t, Receipt: r, Input: essaim.Input{Prompt: prompt}, Output: essaim.Output{MediaType: r.MediaType, Data: b},
	})
	switch {
	case errors.Is(err, verify.ErrCannot):
		return essaim.Errorf(essaim.CodeUnavailable, "only models that are built in can be run here", "check rerun: %w", err)
	case err != nil:
		return err
	case f.Result != essaim.VerdictValid:
		return essaim.Errorf(essaim.CodeRefused, "the miner has not drawn this with that model, or the prompt is another", "check rerun: %s", f.Reason)
	}
	return nil
}

func readReceipt(name string) (essaim.Receipt, essaim.Task, essaim.NodeKey, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return essaim.Receipt{}, essaim.Task{}, essaim.NodeKey{}, essaim.Errorf(essaim.CodeNotFound, "name the file that `essaim imagine` wrote beside the picture", "read receipt: %w", err)
	}
	return essaim.ReadReceiptFile(b)
}

func verifyPicture(r essaim.Receipt, name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return essaim.Errorf(essaim.CodeNotFound, "", "read picture: %w", err)
	}
	if d := essaim.Digest(sha256.Sum256(b)); d != r.Output {
		return essaim.Errorf(essaim.CodeRefused, "the file was changed, or belongs to another receipt", "check cid: the picture is %s, the receipt says %s", essaim.CIDOf(d), r.CID())
	}
	return client.CheckPixels(b, r)
}

// checkFailed turns a check's error into the answer "no"; a file that is not there
// stays an error of its own.
func checkFailed(err error) error {
	if essaim.CodeOf(err) == essaim.CodeNotFound {
		return err
	}
	return errAnswerNo{err}
}
