package proving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/color"
	"image/draw"
	"image/png"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/verify"
)

// Demo is `essaim demo-proof`.
func Demo(s *Shell) *cobra.Command {
	cmd := term.StoryCommand("demo-proof", time.Minute, func(ctx context.Context, home string) error {
		d := &demo{Teller: term.NewTeller(s.Stdout, s.JSON(), s.No), shell: s, home: home}
		return d.Play(ctx,
			term.Chapter{Title: "The model, committed to once", Tell: d.commit},
			term.Chapter{Title: "A picture and its proof", Tell: d.prove},
			term.Chapter{Title: "Checked without the weights", Tell: d.checkIt},
			term.Chapter{Title: "Lies", Tell: d.lies},
			term.Chapter{Title: "A miner that lies, and a ledger that looks", Tell: d.convict},
		)
	})
	cmd.Short = "The story of a proven picture, told and checked"
	return cmd
}

type demo struct {
	term.Teller
	shell *Shell
	home  string

	prover    *proof.Prover
	checker   *proof.Checker
	statement proof.Statement
	file      []byte
	proof     []byte
}

func (d *demo) commit(context.Context) (err error) {
	began := time.Now()
	if d.prover, err = newProver(); err != nil {
		return err
	}
	d.Say("19 million weights, one root of 32 bytes: %s (%.1f s; once a machine it takes ten)", d.prover.Root().Short(), time.Since(began).Seconds())
	if d.checker, err = newChecker(""); err != nil {
		return err
	}
	return d.OK(d.checker.Root() == d.prover.Root(), "it is the one that the model's manifest states")
}

func (d *demo) prove(ctx context.Context) (err error) {
	r := request{seed: 7, size: "256x256", chain: "essaim-demo"}
	if d.statement, err = r.statement("a red apple and a blue house"); err != nil {
		return err
	}
	began := time.Now()
	if d.file, d.statement, d.proof, err = newMode().drawn(ctx, d.prover, d.statement); err != nil {
		return err
	}
	d.Say("%q, seed %d: drawn and proven in %d ms", d.statement.Prompt, d.statement.Seed, time.Since(began).Milliseconds())
	d.Say("the proof has %s bytes; it shows every activation, and hides nothing", term.Grouped(uint64(len(d.proof))))
	return nil
}

func (d *demo) checkIt(ctx context.Context) error {
	public, err := quant.Public(pixel.Weights())
	if err != nil {
		return err
	}
	d.Say("the checker has %s of the model's %s bytes: biases, factors, tables, none of its matrices",
		term.Grouped(uint64(len(public))), term.Grouped(uint64(len(pixel.Weights()))))
	began := time.Now()
	err = d.checker.Check(ctx, d.proof, d.statement)
	return d.OK(err == nil, "the picture is what these weights draw for this prompt and seed (%d ms)", time.Since(began).Milliseconds())
}

// lies are each refused.
func (d *demo) lies(ctx context.Context) error {
	m, err := png.Decode(bytes.NewReader(d.file))
	if err != nil {
		return err
	}
	flipped := d.statement
	canvas := m.(draw.Image)
	canvas.Set(100, 100, color.RGBA{R: 1, G: 2, B: 3, A: 255})
	flipped.Result = verify.PixelsDigest(canvas)
	if err := d.refused(ctx, flipped, d.proof, "the picture with one pixel changed"); err != nil {
		return err
	}
	other := d.statement
	other.Prompt = "a red apple and a blue horse"
	if err := d.refused(ctx, other, d.proof, "the picture as if another prompt had been asked for"); err != nil {
		return err
	}
	other = d.statement
	other.Chain = "essaim-other"
	if err := d.refused(ctx, other, d.proof, "the proof in another network"); err != nil {
		return err
	}
	for _, at := range []int{40, len(d.proof) / 2, len(d.proof) - 1} {
		b := bytes.Clone(d.proof)
		b[at] ^= 1
		if err := d.refused(ctx, d.statement, b, fmt.Sprintf("the proof with one bit changed, in byte %d", at)); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) refused(ctx context.Context, st proof.Statement, b []byte, what string) error {
	err := d.checker.Check(ctx, b, st)
	return d.OK(errors.Is(err, proof.ErrRefused), "refused: %s", what)
}
