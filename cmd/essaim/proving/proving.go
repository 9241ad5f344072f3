// Package proving is the commands about proofs: make one of a picture, check one without the weights, and say what
// a model's proof root and public part are. They work on files, with no network, but for `convict`, which shows the ledger
// a proof that does not hold. The package must not
// decide what a proof proves (package proof does), and knows the built-in picture model only.
package proving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/signing"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/proof/succinct"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/verify"
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

// Command is `essaim proof`.
func Command(s *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proof",
		Short: "Prove that a picture is the model's, or check that without the weights",
		Long: `A proof says that a whole run of the picture engine, every layer up to the pixels, was
computed with the registered weights. Who checks it needs neither weights nor trust.

Prompt and picture are public, and activations are in the clear, but in succinct mode; neither mode is
zero-knowledge. What is not proven is in docs/protocol/proof.md and proof-succinct.md.`,
	}
	cmd.AddCommand(newMake(s), newCheck(s), newKey(s), newRoot(s), newConvict(s))
	return cmd
}

// A request is what the flags say was run.
type request struct {
	seed  uint64
	size  string
	chain string
	task  string
}

func (r *request) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Uint64Var(&r.seed, "seed", 0, "of the picture")
	f.StringVar(&r.size, "size", "256x256", "WxH in pixels")
	f.StringVar(&r.chain, "chain", "", "chain ID that the proof is bound to")
	f.StringVar(&r.task, "task", "", "digest of the task that the proof is bound to")
}

// statement is that of a prompt, without its result.
func (r *request) statement(prompt string) (proof.Statement, error) {
	s := proof.Statement{Chain: r.chain, Model: essaim.DigestOf(pixel.Manifest()), Prompt: prompt, Seed: r.seed, Steps: 1}
	wide, high, _ := strings.Cut(r.size, "x")
	var err1, err2, err3 error
	s.Width, err1 = strconv.Atoi(wide)
	s.Height, err2 = strconv.Atoi(high)
	if r.task != "" {
		s.Task, err3 = essaim.ParseDigest(r.task)
	}
	if err := errors.Join(err1, err2, err3); err != nil {
		return s, essaim.Errorf(essaim.CodeBadInput, "give --size as 256x256 and --task as 64 hexadecimal digits", "%w", err)
	}
	return s, nil
}

func newMake(s *Shell) *cobra.Command {
	var r request
	var out, receipt string
	mode := newMode()
	cmd := &cobra.Command{
		Use:   "make PROMPT",
		Short: "Draw a picture on this machine and prove it",
		Long: `Writes FILE and FILE.proof. The first time on a machine the weights are committed to, which takes some seconds.

With --mode succinct the proof shows nothing of the network but its output: that is what to give to people who
are to know that this picture is the model's, and for which prompt, and no more. With --receipt it is of
the picture that a receipt is about, and ` + "`essaim receipt verify --proof`" + ` takes it, too.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := r.statement(args[0])
			if err == nil && receipt != "" {
				st, err = ofReceipt(receipt, args[0])
			}
			if err != nil {
				return err
			}
			p, err := newProver()
			if err != nil {
				return err
			}
			file, made, b, err := mode.drawn(cmd.Context(), p, st)
			if err != nil {
				return err
			}
			if receipt != "" && made.Result != st.Result {
				return s.No(essaim.Errorf(essaim.CodeRefused, "give the prompt as it was asked for", "the model draws another picture than the receipt is about"))
			}
			for name, content := range map[string][]byte{out: file, out + ".proof": b} {
				if err := os.WriteFile(name, content, 0o644); err != nil {
					return essaim.Errorf(essaim.CodeBadInput, "choose another place with --out", "%w", err)
				}
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"picture": out, "proof": out + ".proof", "bytes": len(b), "cid": essaim.CIDOf(essaim.DigestOf(b))})
			}
			_, err = fmt.Fprintf(s.Stdout, "%s\n%s.proof  %s bytes, %s\n", out, out, term.Grouped(uint64(len(b))), essaim.CIDOf(essaim.DigestOf(b)))
			return err
		},
	}
	r.flags(cmd)
	mode.flag(cmd)
	cmd.Flags().StringVar(&receipt, "receipt", "", "file of a receipt: prove its picture, with its seed, size, chain and task")
	cmd.Flags().StringVarP(&out, "out", "o", "picture.png", "file to write")
	return cmd
}

func newCheck(s *Shell) *cobra.Command {
	var r request
	var key, proofFile string
	cmd := &cobra.Command{
		Use:   "check FILE PROMPT",
		Short: "Check a picture's proof, of either mode, without the weights",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := r.statement(args[1])
			if err != nil {
				return err
			}
			file, err := read(args[0])
			if err != nil {
				return err
			}
			if proofFile == "" {
				proofFile = args[0] + ".proof"
			}
			b, err := read(proofFile)
			if err != nil {
				return err
			}
			c, err := newChecker(key)
			if err != nil {
				return err
			}
			picture, err := png.Decode(bytes.NewReader(file))
			if err != nil {
				return s.No(essaim.Errorf(essaim.CodeBadInput, "name the PNG file that was drawn", "%s: %w", args[0], err))
			}
			st.Result = verify.PixelsDigest(picture)
			if err := succinct.Check(cmd.Context(), c, b, st); err != nil {
				return s.No(essaim.Errorf(essaim.CodeBadInput, "give prompt, seed and size as they were asked for", "%w", err))
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"proven": true, "model": st.Model, "pixels": st.Result})
			}
			_, err = fmt.Fprintf(s.Stdout, "proven: %s is what model %s draws for this prompt, seed %d and size\n", args[0], st.Model.Short(), st.Seed)
			return err
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&key, "key", "", "file of the model's public part (default: taken from the binary)")
	cmd.Flags().StringVar(&proofFile, "proof", "", "file of the proof (default: FILE.proof)")
	return cmd
}

func newKey(s *Shell) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Write what a checker needs of the built-in model: all but its matrices",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := quant.Public(pixel.Weights())
			if err != nil {
				return err
			}
			if err := os.WriteFile(out, b, 0o644); err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "choose another place with --out", "%w", err)
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"file": out, "bytes": len(b)})
			}
			_, err = fmt.Fprintf(s.Stdout, "%s  %s bytes\n", out, term.Grouped(uint64(len(b))))
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "pixel.key", "file to write")
	return cmd
}

func newRoot(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "root WEIGHTS",
		Short: "Commit to a weights file, and print its root for proofs and for disputes",
		Long: `What a manifest states as proof and root. Who serves, audits or registers a model compares
them: a proof under a root that is not the weights' proves nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := read(args[0])
			if err != nil {
				return err
			}
			root, err := quant.ModelRoot(file)
			if err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "name a weights file", "%w", err)
			}
			p, err := proof.NewProver(essaim.Digest{}, file, runtime.GOMAXPROCS(0))
			if err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "name a weights file", "%w", err)
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"proof": p.Root(), "root": essaim.Digest(root)})
			}
			_, err = fmt.Fprintf(s.Stdout, "proof %s\nroot  %x\n", p.Root(), root)
			return err
		},
	}
}

func read(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "name a file that is there", "%w", err)
	}
	return b, nil
}

// newProver has the built-in model's prover.
func newProver() (*proof.Prover, error) {
	return builtin.Proofs{}.Prover(essaim.DigestOf(pixel.Manifest()))
}

// newChecker makes a checker of a file of the model's public part, or of the binary's own weights.
func newChecker(key string) (*proof.Checker, error) {
	if key == "" {
		return builtin.Proofs{}.Checker(essaim.DigestOf(pixel.Manifest()))
	}
	public, err := read(key)
	if err != nil {
		return nil, err
	}
	e, err := pixel.NewPublic(public)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "write the key anew with `essaim proof key`", "%w", err)
	}
	return proof.NewChecker(pixel.Manifest(), pixel.Name, public, e)
}
