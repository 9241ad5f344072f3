package proving

import (
	"bytes"
	"context"
	"errors"
	"image/color"
	"image/draw"
	"image/png"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/engine"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/verify"
)

// forger is the engine of a miner that computes what it should and delivers something else: one pixel differs.
type forger struct{ *pixel.Engine }

// RunWatched runs honestly, as far as anybody can watch.
func (f forger) RunWatched(ctx context.Context, r engine.Request, progress func(engine.Progress), watch func(quant.Op)) (engine.Result, error) {
	out, err := f.Engine.RunWatched(ctx, r, progress, watch)
	if err != nil {
		return out, err
	}
	m, err := png.Decode(bytes.NewReader(out.Data))
	if err != nil {
		return out, err
	}
	m.(draw.Image).Set(100, 100, color.RGBA{R: 1, G: 2, B: 3, A: 255})
	var file bytes.Buffer
	if err := png.Encode(&file, m); err != nil {
		return out, err
	}
	out.Data, out.PixelsDigest = file.Bytes(), verify.PixelsDigest(m)
	return out, nil
}

// convict plays a picture of a miner that changes a pixel, on a network of its own.
func (d *demo) convict(ctx context.Context) (err error) {
	e, err := pixel.New()
	if err != nil {
		return err
	}
	net, stop, err := d.shell.Start(ctx, devnet.Config{
		Home: d.home, Miners: 1, BlockTime: 200 * time.Millisecond, Instead: func(int) []engine.Engine { return []engine.Engine{forger{e}} },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	ledger, user := net.Chain(), net.Account(devnet.User)
	s, err := client.Open(ctx, client.Config{
		Coordinator: net.Coordinator(), Ledger: devnet.Payer(ledger, user), ChainID: net.Info().ChainID, Plan: engines.Plan, Proofs: builtin.Proofs{},
	}, 1*essaim.AIM)
	if err != nil {
		return err
	}
	_, refused := s.Draw(ctx, client.Request{Model: d.statement.Model, Prompt: d.statement.Prompt, Seed: d.statement.Seed}, nil)
	var bad *client.BadProof
	if err := d.OK(errors.As(refused, &bad), "a miner changes one pixel and signs: the client refuses the picture, and keeps what was signed"); err != nil {
		return errors.Join(err, refused)
	}
	if _, err := s.Close(ctx); err != nil {
		return err
	}
	v := bad.Evidence
	game, tx, err := ledger.Disprove(ctx, user, v.Receipt, v.Task, v.Input, v.Proof)
	if err != nil {
		return err
	}
	d.Say("One transaction of %d KB shows it to the ledger, which has no weights: %d million gas.", len(v.Proof)/1000, tx.Gas/1_000_000)
	r, err := essaim.OpenReceipt(v.Receipt)
	if err != nil {
		return err
	}
	return d.OK(game.Verdict == "miner wrong" && game.Slash != 0 && game.Restitution == r.Price, "%s: it is slashed (number %d), and the payer gets %s back", game.Verdict, game.Slash, game.Restitution)
}
