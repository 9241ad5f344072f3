package dispute

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim/chain"
	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/engine"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/verify/trial"
	"github.com/essaim/essaim/wallet"
)

const (
	demoBlock  = 200 * time.Millisecond
	demoAppeal = 25 // blocks until a slash is final
	demoPrompt = "a red apple"
	demoSeed   = 7
)

// Demo is essaim demo-verification.
func Demo(s *Shell) *cobra.Command {
	cmd := term.StoryCommand("demo-verification", 2*time.Minute, func(ctx context.Context, home string) error {
		d := &demo{Teller: term.Teller{Out: s.Stdout, No: s.No}, shell: s, home: home}
		return d.play(ctx)
	})
	cmd.Short = "The story of a wrong picture: found, judged, paid back"
	cmd.Long = `Plays on a fresh network with two miners, one of whose engines gets one number wrong by
one. Two miners disagree about the same picture, running it again says who is wrong, and
the ledger convicts that miner by computing a single number; a right miner wins. Every
claim it prints is checked; if one does not hold, it says which and exits with 1.`
	return cmd
}

// demo is one telling of the story.
type demo struct {
	term.Teller
	shell *Shell
	home  string

	net    *devnet.Network
	chain  *chainclient.Client
	user   *wallet.Account
	honest *pixel.Engine
	keys   [2]essaim.NodeKey // of the miner that cheats, and of the one that does not
	drawn  map[essaim.NodeKey]*client.Picture
	paid   essaim.Amount // what the payer has before the refund
}

func (d *demo) play(ctx context.Context) (err error) {
	if d.honest, err = pixel.New(); err != nil {
		return err
	}
	miners := []engine.Engine{Cheat{d.honest, 0x40}, d.honest}
	var stop func() error
	d.net, stop, err = d.shell.Start(ctx, devnet.Config{
		Home: d.home, Miners: len(miners), BlockTime: demoBlock,
		Instead: func(i int) []engine.Engine { return miners[i : i+1] },
		Genesis: func(g *chain.Genesis) { g.Registry.AppealBlocks = demoAppeal },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	d.chain, d.user, d.drawn = d.net.Chain(), d.net.Account(devnet.User), map[essaim.NodeKey]*client.Picture{}
	for i, dir := range d.net.MinerDirs() {
		if d.keys[i], err = devnet.NodeKey(dir); err != nil {
			return err
		}
	}
	return d.Play(ctx,
		term.Chapter{Title: "Replica: two miners draw the same picture", Tell: d.replica},
		term.Chapter{Title: "Rerun: the model says who is wrong", Tell: d.rerun},
		term.Chapter{Title: "Dispute: the ledger computes one number", Tell: d.convict},
		term.Chapter{Title: "Refund", Tell: d.refund},
		term.Chapter{Title: "A false challenge", Tell: d.acquit},
	)
}

func (d *demo) replica(ctx context.Context) error {
	s, err := client.Open(ctx, client.Config{
		Coordinator: d.net.Coordinator(), Ledger: devnet.Payer(d.chain, d.user), ChainID: d.net.Info().ChainID, Plan: engines.Plan,
	}, 1*essaim.AIM)
	if err != nil {
		return err
	}
	for range 100 {
		p, err := s.Draw(ctx, client.Request{Model: essaim.DigestOf(pixel.Manifest()), Prompt: demoPrompt, Seed: demoSeed}, nil)
		if err != nil {
			return err
		}
		if d.drawn[p.Receipt.Miner] = p; len(d.drawn) == len(d.keys) {
			break
		}
	}
	if _, err := s.Close(ctx); err != nil {
		return err
	}
	a, b := d.drawn[d.keys[0]], d.drawn[d.keys[1]]
	if err := d.OK(a != nil && b != nil, "both miners drew %q with seed %d, and were paid", demoPrompt, demoSeed); err != nil {
		return err
	}
	d.Say("The payer asked again until each had; a replica round in which miners commit before they show is verify/replica.")
	return d.OK(a.Receipt.Pixels != b.Receipt.Pixels, "they disagree: pixels %s and %s", a.Receipt.Pixels.Short(), b.Receipt.Pixels.Short())
}

func (d *demo) again(ctx context.Context, e engine.Engine, of int) (*trial.Run, error) {
	return trial.Again(ctx, e, d.drawn[d.keys[of]].Receipt, demoPrompt, essaim.Digest{})
}

func (d *demo) rerun(ctx context.Context) error {
	for i, word := range []string{"is not", "is"} {
		run, err := d.again(ctx, d.honest, i)
		if err != nil {
			return err
		}
		if err := d.OK(run.Differs(d.drawn[d.keys[i]].Receipt) == (i == 0), "miner %s: its picture %s what the model gives", d.keys[i].Short(), word); err != nil {
			return err
		}
	}
	d.Say("The answer was known before: such a task is a canary. Drawn audits and verifiers' canaries are not played here.")
	return nil
}

// game disputes a miner's picture with what an engine gives, to the end.
func (d *demo) game(ctx context.Context, of int, e engine.Engine) (essaim.Dispute, error) {
	run, err := d.again(ctx, e, of)
	if err != nil {
		return essaim.Dispute{}, err
	}
	f, err := essaim.DecodeReceiptFile(d.drawn[d.keys[of]].ReceiptFile)
	if err != nil {
		return essaim.Dispute{}, err
	}
	x := &side{Shell: d.shell, chain: d.chain, account: d.user, file: f, run: run, say: d.Say}
	id, _, err := d.chain.OpenDispute(ctx, d.user, f)
	if err != nil {
		return essaim.Dispute{}, err
	}
	return x.play(ctx, id)
}

func (d *demo) convict(ctx context.Context) error {
	game, err := d.game(ctx, 0, d.honest)
	if err != nil {
		return err
	}
	if d.paid, err = d.chain.Balance(ctx, d.user.Address()); err != nil {
		return err
	}
	if err := d.OK(game.Verdict == "miner wrong" && !game.Silent, "after %d moves of both sides: %s", game.Turn, game.Verdict); err != nil {
		return err
	}
	a, err := d.chain.Actor(ctx, d.keys[0])
	if err != nil {
		return err
	}
	return d.OK(game.Slash != 0 && a.JailedUntil > 0, "the miner is slashed (number %d), has %s left at stake, and is jailed", game.Slash, a.Stake)
}

func (d *demo) refund(ctx context.Context) error {
	price := d.drawn[d.keys[0]].Receipt.Price
	d.Say("A slash can be appealed; here for %d blocks.", demoAppeal)
	var has essaim.Amount
	err := term.Until(ctx, func() (ok bool, err error) {
		has, err = d.chain.Balance(ctx, d.user.Address())
		return has >= d.paid+price, err
	})
	if err != nil {
		return err
	}
	return d.OK(has == d.paid+price, "the payer has its %s back, out of the miner's stake", price)
}

func (d *demo) acquit(ctx context.Context) error {
	game, err := d.game(ctx, 1, Cheat{d.honest, 0x40})
	if err != nil {
		return err
	}
	if err := d.OK(game.Verdict == "challenger wrong" && !game.Silent, "who disputes the right picture loses: %s, and its bond of %s", game.Verdict, game.Bond); err != nil {
		return err
	}
	a, err := d.chain.Actor(ctx, d.keys[1])
	if err != nil {
		return err
	}
	return d.OK(a.JailedUntil == 0, "the right miner has defended itself, and half of that bond is its owner's")
}
