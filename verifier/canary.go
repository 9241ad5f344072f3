package verifier

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/trust"
)

// canaryTime bounds a canary: a run here and one there.
const canaryTime = 2 * rerunTime

// maybeCanary follows a rerun with a task whose result is known, for a share of reruns that
// nobody else can foresee. The miner cannot tell it from any other task.
func (v *Verifier) maybeCanary(ctx context.Context, like essaim.Task, m essaim.Actor) {
	if below(int64(essaim.BpsWhole)) >= int64(v.cfg.Canaries) {
		return
	}
	f, fault, err := v.canary(ctx, like, m)
	if err != nil {
		v.log.Info("no canary", "miner", m.NodeKey.Short(), "err", err)
		return
	}
	v.found(subject{m.NodeKey, like.Model}, f, fault, true)
}

// canary asks a miner for something of which this machine knows the result. Its output is
// sealed to this verifier, so that it is compared like any rerun: what is only near is
// told from what is wrong.
//
// Errors: why it could not be compared. They say nothing about the miner.
func (v *Verifier) canary(ctx context.Context, like essaim.Task, m essaim.Actor) (f verify.Finding, fault verify.Fault, err error) {
	if v.cfg.Known == nil || like.Kind != essaim.KindImage && like.Kind != essaim.KindEmbed {
		return f, fault, fmt.Errorf("%w: no result of kind %s is known", verify.ErrCannot, like.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, canaryTime)
	defer cancel()
	reply, err := seal.GenerateKey()
	if err != nil {
		return f, fault, err
	}
	in := essaim.Input{Prompt: prompt(v.cfg.Words(like.Model)), Salt: make([]byte, 16), ReplyKey: reply.PublicKey()}
	rand.Read(in.Salt) // never fails, see crypto/rand
	t := essaim.NewTask(v.cfg.ChainID, 0, 1)
	t.Kind, t.Model, t.Input, t.Seed = like.Kind, like.Model, in.Digest(), uint64(below(1<<53))
	t.Width, t.Height, t.Steps = like.Width, like.Height, like.Steps
	sealed, err := seal.Seal(in.Encode(), t.Input[:], m.HPKEKey)
	if err != nil {
		return f, fault, err
	}
	out, err := v.cfg.Budget.Rerun(ctx, Rerun{Task: t, Input: sealed, By: m, Price: priceOf(m, t)})
	if err != nil {
		return f, fault, err
	}
	fault = verify.Fault{File: out.File, Input: in.Encode()}
	task, _, err := essaim.OpenTask(out.File.Task)
	if err != nil {
		return f, fault, err
	}
	c := verify.Case{Task: task, Receipt: out.Receipt, Input: in}
	plain, err := reply.Open(out.Sealed, out.Receipt.Task[:])
	if err == nil {
		c.Output, err = essaim.DecodeOutput(plain)
	}
	if err != nil {
		return verify.Bound("canary", essaim.Errorf(essaim.CodeRefused, "", "the result does not open")), fault, nil
	}
	f, err = v.cfg.Known.Check(ctx, c)
	return f, fault, err
}

// odd reports whether a miner that was found wrong has odd hardware: of a task that it cannot
// tell from others, its result is not the model's, but as near as other hardware comes. A cheat
// answers it rightly, or not even nearly.
func (v *Verifier) odd(ctx context.Context, like essaim.Task, miner essaim.NodeKey) bool {
	m, err := v.cfg.Ledger.Actor(ctx, miner)
	if err != nil {
		return false
	}
	f, _, err := v.canary(ctx, like, m)
	return err == nil && f.Result == essaim.VerdictInvalid && f.Near
}

// found counts what a known answer has shown. exact says that one wrong result is proof.
func (v *Verifier) found(s subject, f verify.Finding, fault verify.Fault, exact bool) {
	o := trust.OutcomeOf(essaim.Verdict{Result: f.Result, Near: f.Near})
	v.note(s, o, &fault)
	if o == trust.Wrong && exact {
		v.convict(s, fault)
	}
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
