package verifier

import (
	"context"
	"crypto/rand"
	"math/big"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/trust"
)

// What canaries ask for, as people do.
var (
	colours = []string{"red", "blue", "green", "yellow", "white", "black", "orange", "purple"}
	things  = []string{"apple", "house", "star", "tree", "fish", "boat", "ball", "flower", "car", "moon"}
	places  = []string{"", " on a table", " on a green hill", " at night", " in the snow", " by the sea"}
)

// maybeCanary follows a rerun with a task whose result is known, for a share of reruns that
// nobody else can foresee. The miner cannot tell it from any other task.
func (v *Verifier) maybeCanary(ctx context.Context, a *audit, m essaim.Actor) {
	if v.cfg.Runner == nil || below(int64(essaim.BpsWhole)) >= int64(v.cfg.Canaries) {
		return
	}
	if err := v.canary(ctx, a.Receipt, m); err != nil && ctx.Err() == nil {
		v.log.Info("no canary", "miner", m.NodeKey.Short(), "err", err)
	}
}

// canary asks a miner for something of which this machine knows the result.
//
// Errors: why it could not be compared. They say nothing about the miner.
func (v *Verifier) canary(ctx context.Context, like essaim.Receipt, m essaim.Actor) error {
	reply, err := seal.GenerateKey()
	if err != nil {
		return err
	}
	in := essaim.Input{Prompt: "a " + pick(colours) + " " + pick(things) + pick(places), Salt: make([]byte, 16), ReplyKey: reply.PublicKey()}
	rand.Read(in.Salt) // never fails, see crypto/rand
	t := essaim.NewTask(v.cfg.ChainID, 0, 1)
	t.Kind, t.Model, t.Input, t.Seed = kindOf(like), like.Model, in.Digest(), uint64(below(1<<53))
	t.Width, t.Height, t.Steps = like.Width, like.Height, like.Steps
	know := essaim.NewReceipt(t)
	know.Trace = essaim.Digest{1} // a trace is wanted
	again, err := v.cfg.Runner.Again(ctx, verify.Case{Task: t, Receipt: know, Input: in})
	if err != nil {
		return err
	}
	if know.Trace, know.Output = again.Trace, essaim.DigestOf(again.Output.Data); t.Kind == essaim.KindImage {
		picture, err := verify.Decode(again.Output)
		if err != nil {
			return err
		}
		know.Pixels = verify.PixelsDigest(picture)
	}
	sealed, err := seal.Seal(in.Encode(), t.Input[:], m.HPKEKey)
	if err != nil {
		return err
	}
	price, _ := m.Price(like.Model)
	r, file, err := v.cfg.Budget.Rerun(ctx, Rerun{Task: t, Input: sealed, By: m, Price: price})
	if err != nil {
		return err
	}
	if verify.Agree(know, r) {
		v.note(r, trust.Right)
		return nil
	}
	v.note(r, trust.Wrong)
	v.convict(r, verify.Fault{File: file, Input: in.Encode()})
	return nil
}

// kindOf is what a receipt's task has asked for.
func kindOf(r essaim.Receipt) essaim.Kind {
	if r.Pixels.IsZero() {
		return essaim.KindEmbed
	}
	return essaim.KindImage
}

// below is a random number from 0 to n-1.
func below(n int64) int64 {
	x, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		panic(err) // never fails, see crypto/rand
	}
	return x.Int64()
}

func pick(list []string) string { return list[below(int64(len(list)))] }
