package dispute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim/chain"
	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/signing"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/engine"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/trial"
	"github.com/essaim/essaim/wallet"
)

const (
	demoBlock  = 100 * time.Millisecond
	demoPoll   = 50 * time.Millisecond
	demoAppeal = 25 // blocks until a slash is final
	demoPrompt = "a red apple"
	backer     = "backer" // stakes on the verifier that will cheat
)

// The miners, cheapest first.
const (
	right = iota
	wrong
	lazy // as a verifier
	other
	minersInDemo
)

// Demo is essaim demo-verification.
func Demo(s *Shell) *cobra.Command {
	cmd := term.StoryCommand("demo-verification", 2*time.Minute, func(ctx context.Context, home string) error {
		d := &demo{Teller: term.NewTeller(s.Stdout, s.JSON(), s.No), shell: s, home: home}
		return d.play(ctx)
	})
	cmd.Short = "The story of a wrong picture: found, judged, paid back"
	cmd.Long = `Plays on a fresh network with four miners, one of which delivers wrong pictures, and one of
which verifies without looking. Replicas disagree, a verifier that the beacon draws says
who is wrong, a task with a known answer catches the verifier, and the ledger convicts
both by computing a single number each, without anybody asking it to. Every claim it
prints is checked; if one does not hold, it says which and exits with 1.`
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
	turned atomic.Bool // the lazy verifier has begun to be lazy
	keys   []essaim.NodeKey

	had    essaim.Amount   // by the user at the beginning
	fair   essaim.Amount   // prices of right pictures
	spoilt *client.Picture // the wrong one that the user was given
	sound  *client.Picture // a right one
}

// turncoat is honest until it is told not to be.
type turncoat struct {
	*pixel.Engine
	turned *atomic.Bool
}

func (t turncoat) now() trial.Engine {
	if t.turned.Load() {
		return Cheat{t.Engine, 0x20}
	}
	return t.Engine
}

func (t turncoat) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	return t.now().Run(ctx, r, progress)
}

func (t turncoat) RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error) {
	return t.now().RunTraced(ctx, r, watch)
}

func (d *demo) play(ctx context.Context) (err error) {
	if d.honest, err = pixel.New(); err != nil {
		return err
	}
	var stop func() error
	d.net, stop, err = d.shell.Start(ctx, devnet.Config{
		Home: d.home, Miners: minersInDemo, BlockTime: demoBlock, Funds: []devnet.Fund{{Name: backer, Has: 1_000_000 * essaim.AIM}},
		Audit: &node.Audit{Budget: uint64(essaim.AIM), Canaries: uint32(essaim.BpsWhole), Poll: node.Duration(demoPoll)},
		Instead: func(i int) []engine.Engine {
			return []engine.Engine{[]engine.Engine{d.honest, Cheat{d.honest, 0x40}, turncoat{d.honest, &d.turned}, d.honest}[i]}
		},
		Genesis: func(g *chain.Genesis) { g.Registry.AppealBlocks = demoAppeal },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	d.chain, d.user = d.net.Chain(), d.net.Account(devnet.User)
	for _, dir := range d.net.MinerDirs() {
		key, err := devnet.NodeKey(dir)
		if err != nil {
			return err
		}
		d.keys = append(d.keys, key)
	}
	if d.had, err = d.chain.Balance(ctx, d.user.Address()); err != nil {
		return err
	}
	return d.Play(ctx,
		term.Chapter{Title: "Replica: three miners draw the same picture", Tell: d.replica},
		term.Chapter{Title: "Rerun: somebody else says who is wrong", Tell: d.rerun},
		term.Chapter{Title: "Canary: a verifier that does not look", Tell: d.canary},
		term.Chapter{Title: "Dispute: the ledger computes one number", Tell: d.convict},
		term.Chapter{Title: "Refund", Tell: d.refund},
		term.Chapter{Title: "A false challenge", Tell: d.acquit},
	)
}

// pay asks in a session of its own, which is settled before it returns.
func (d *demo) pay(ctx context.Context, ask func(*client.Session, client.Request) ([]*client.Picture, error)) ([]*client.Picture, error) {
	s, err := client.Open(ctx, client.Config{
		Coordinator: d.net.Coordinator(), Ledger: devnet.Payer(d.chain, d.user), ChainID: d.net.Info().ChainID, Plan: engines.Plan,
	}, essaim.AIM)
	if err != nil {
		return nil, err
	}
	list, err := ask(s, client.Request{Model: essaim.DigestOf(pixel.Manifest()), Prompt: demoPrompt, Seed: 7, Consent: true})
	for _, p := range list {
		if p.Receipt.Miner != d.keys[wrong] {
			d.fair += p.Receipt.Price
		}
	}
	_, closing := s.Close(ctx)
	return list, errors.Join(err, closing)
}

func (d *demo) replica(ctx context.Context) error {
	var drawn []*client.Picture
	var same bool
	for d.spoilt == nil { // three of four: the one that cheats may not be among them
		var err error
		drawn, err = d.pay(ctx, func(s *client.Session, r client.Request) (list []*client.Picture, err error) {
			list, same, err = s.Replicas(ctx, r, 3, nil)
			return list, err
		})
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(drawn, func(p *client.Picture) bool { return p.Receipt.Miner == d.keys[wrong] }); i >= 0 {
			d.spoilt = drawn[i]
		}
	}
	if err := d.OK(len(drawn) == 3, "three miners of different owners drew %q and were paid; each committed to its picture before any was shown", demoPrompt); err != nil {
		return err
	}
	for _, p := range drawn {
		d.Say("miner %s: pixels %s", p.Receipt.Miner.Short(), p.Receipt.Pixels.Short())
	}
	return d.OK(!same, "they disagree. Two against one decides nothing: they were asked, not drawn")
}

// checked waits until it is known what was checked of a picture, tells it, and returns the reruns.
func (d *demo) checked(ctx context.Context, p *client.Picture) (c essaim.Checked, reruns []essaim.Receipt, err error) {
	auditor, ok := d.net.Coordinator().(client.Auditor)
	if !ok {
		return c, nil, errors.New("the coordinator has nothing checked")
	}
	err = term.Until(ctx, func() (bool, error) {
		c, err = auditor.Checked(ctx, p.Receipt.Task)
		return c.State == essaim.AuditDone || c.State == essaim.AuditNone, err
	})
	for _, check := range c.Checks {
		v, again, wrong := verify.Examine(p.Receipt, check)
		if err = errors.Join(err, wrong); err != nil {
			break
		}
		when := "asked by the payer"
		if v.Height != 0 {
			when = fmt.Sprintf("drawn by the beacon of height %d", v.Height)
			reruns = append(reruns, again)
		}
		d.Say("%s by miner %s, %s", v.Result, again.Miner.Short(), when)
	}
	return c, reruns, err
}

func (d *demo) rerun(ctx context.Context) error {
	d.Say("Receipt %s of miner %s is", d.spoilt.Receipt.Digest().Short(), d.keys[wrong].Short())
	c, reruns, err := d.checked(ctx, d.spoilt)
	if err != nil {
		return err
	}
	if err := d.OK(len(reruns) > 0 && c.Reason != "", "the verdict: %s", c.Reason); err != nil {
		return err
	}
	return d.OK(c.Height > 0, "nobody knew who would be drawn: the beacon came after the receipts")
}

func (d *demo) canary(ctx context.Context) error {
	d.turned.Store(true)
	d.Say("Miner %s stops running the model. Much stake has just been put on it, so that it is drawn.", d.keys[lazy].Short())
	if _, err := d.chain.Delegate(ctx, d.net.Account(backer), d.keys[lazy], 900_000*essaim.AIM, false); err != nil {
		return err
	}
	asked := map[essaim.Digest]bool{}
	for len(asked) == 0 {
		list, err := d.pay(ctx, func(s *client.Session, r client.Request) ([]*client.Picture, error) {
			r.MaxPrice = d.spoilt.Receipt.Price - 1 // only the cheapest miner draws it
			p, err := s.Draw(ctx, r, nil)
			if essaim.CodeOf(err) == essaim.CodeInsufficient {
				return nil, nil // it was not among the miners of the quote
			}
			if err != nil {
				return nil, err
			}
			return []*client.Picture{p}, nil
		})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			continue
		}
		d.sound = list[0]
		d.Say("Receipt %s of miner %s is", d.sound.Receipt.Digest().Short(), d.sound.Receipt.Miner.Short())
		_, reruns, err := d.checked(ctx, d.sound)
		if err != nil {
			return err
		}
		for _, r := range reruns {
			if r.Miner == d.keys[lazy] {
				asked[r.Digest()] = true
			}
		}
	}
	d.Say("What looks like the next task to that miner is a canary: its result is known. Here each rerun is followed by one, on a network 2 %%.")
	var known essaim.Dispute
	err := term.Until(ctx, func() (bool, error) {
		list, err := d.chain.Disputes(ctx, func(x essaim.Dispute) bool { return x.Miner == d.keys[lazy] && !asked[x.Receipt] })
		if len(list) > 0 {
			known = list[0]
		}
		return len(list) > 0, err
	})
	if err != nil {
		return err
	}
	return d.OK(known.Payer != d.user.Address(), "its answer to the canary was wrong: receipt %s, paid from the audit budget, is disputed", known.Receipt.Short())
}

func (d *demo) convict(ctx context.Context) error {
	for _, i := range []int{wrong, lazy} {
		var over []essaim.Dispute
		err := term.Until(ctx, func() (done bool, err error) {
			over, err = d.chain.Disputes(ctx, func(x essaim.Dispute) bool { return x.Miner == d.keys[i] })
			return len(over) > 0 && !slices.ContainsFunc(over, func(x essaim.Dispute) bool { return x.Deadline != 0 }), err
		})
		if err != nil {
			return err
		}
		for _, x := range over {
			if err := d.OK(x.Verdict == "miner wrong" && !x.Silent && x.Challenger != d.user.Address(), "miner %s defended receipt %s; after %d moves: %s", d.keys[i].Short(), x.Receipt.Short(), x.Turn, x.Verdict); err != nil {
				return err
			}
		}
		a, err := d.chain.Actor(ctx, d.keys[i])
		if err != nil {
			return err
		}
		if err := d.OK(a.JailedUntil > 0, "it is slashed, has %s at stake, and is jailed", a.Stake); err != nil {
			return err
		}
	}
	d.Say("Nobody has asked for it: the coordinator's node has run the requests again, put up the bonds and played.")
	return nil
}

func (d *demo) refund(ctx context.Context) error {
	d.Say("A slash can be appealed; here for %d blocks.", demoAppeal)
	var has essaim.Amount
	err := term.Until(ctx, func() (ok bool, err error) {
		has, err = d.chain.Balance(ctx, d.user.Address())
		return has >= d.had-d.fair, err
	})
	if err != nil {
		return err
	}
	return d.OK(has == d.had-d.fair, "the payer has its %s for the wrong picture back, out of the miner's stake, and has paid only for right ones", d.spoilt.Receipt.Price)
}

func (d *demo) acquit(ctx context.Context) error {
	r := d.sound.Receipt
	run, err := trial.Again(ctx, Cheat{d.honest, 0x40}, r, demoPrompt, essaim.Digest{})
	if err != nil {
		return err
	}
	f, err := essaim.DecodeReceiptFile(d.sound.ReceiptFile)
	if err != nil {
		return err
	}
	x := &side{Shell: d.shell, by: signing.Sender{Client: d.chain, By: d.user}, file: f, run: run, say: func(string, ...any) {}}
	id, _, err := d.chain.OpenDispute(ctx, d.user, f)
	if err != nil {
		return err
	}
	game, err := x.play(ctx, id)
	if err != nil {
		return err
	}
	if err := d.OK(game.Verdict == "challenger wrong" && !game.Silent, "who disputes a right picture loses after %d moves: %s, and its bond of %s", game.Turn, game.Verdict, game.Bond); err != nil {
		return err
	}
	a, err := d.chain.Actor(ctx, r.Miner)
	if err != nil {
		return err
	}
	return d.OK(a.JailedUntil == 0, "miner %s has defended itself, and half of that bond is its owner's", r.Miner.Short())
}
